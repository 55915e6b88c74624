import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { XENCONS } from '../../abi/xen/console.ts';
import { TestGuest } from '../../xen/fixtures/test-guest.ts';
import { ByteQueue } from './byte-queue.ts';
import { ConsoleRing } from './console-ring.ts';

const { memory } = new TestGuest();
const PAGE = memory.host(0x8000 as never) as HostAddress;

function newRing(base = 0) {
  memory.u8.fill(0xee, PAGE, PAGE + 4096);
  for (const index of ['in_cons', 'in_prod', 'out_cons', 'out_prod'] as const) poke(XENCONS[index], base);
  return new ConsoleRing(memory, PAGE);
}
const peek = (offset: number): number => memory.u32[(PAGE + offset) >>> 2] as number;
function poke(offset: number, value: number): void {
  memory.u32[(PAGE + offset) >>> 2] = value;
}
/** What a frontend does, byte by byte. Returns how many it could print. */
function print(bytes: Uint8Array): number {
  let done = 0;
  while (done < bytes.length && (peek(XENCONS.out_prod) - peek(XENCONS.out_cons)) >>> 0 < XENCONS.out_size) {
    const prod = peek(XENCONS.out_prod);
    memory.u8[PAGE + XENCONS.out + (prod % XENCONS.out_size)] = bytes[done++] as number;
    poke(XENCONS.out_prod, prod + 1);
  }
  return done;
}
function read(count: number): number[] {
  const got: number[] = [];
  while (got.length < count && peek(XENCONS.in_cons) !== peek(XENCONS.in_prod)) {
    const cons = peek(XENCONS.in_cons);
    got.push(memory.u8[PAGE + XENCONS.in + (cons % XENCONS.in_size)] as number);
    poke(XENCONS.in_cons, cons + 1);
  }
  return got;
}

const bytes = fc.uint8Array({ maxLength: 3000 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('print' as const), bytes }),
  fc.record({ kind: fc.constant('type' as const), bytes }),
  fc.record({ kind: fc.constant('take' as const), count: fc.nat(3000) }),
  fc.record({ kind: fc.constant('read' as const), count: fc.nat(3000) }),
);

describe('a console’s ring', () => {
  it('carries bytes both ways in order and loses none, wherever the indices begin', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.array(step, { maxLength: 40 }), (base, steps) => {
        const ring = newRing(base);
        const input = new ByteQueue(5000);
        const [printed, taken, typed, got]: number[][] = [[], [], [], []];
        for (const next of steps) {
          if (next.kind === 'print') printed?.push(...next.bytes.subarray(0, print(next.bytes)));
          else if (next.kind === 'type') {
            typed?.push(...next.bytes.subarray(0, input.add(next.bytes)));
            ring.put(input);
          } else if (next.kind === 'take') taken?.push(...(ring.take(next.count) ?? []));
          else got?.push(...read(next.count));
        }
        for (; input.length > 0; ring.put(input)) got?.push(...read(3000));
        expect([...(taken ?? []), ...(ring.take() ?? [])]).toEqual(printed);
        expect([...(got ?? []), ...read(3000)]).toEqual(typed);
        expect(ring.errors).toBe(0);
      }),
    );
  });

  it('touches nothing beyond its bytes, whatever the guest writes to the indices', () => {
    const index = fc.oneof(fc.nat(0xffff_ffff), fc.nat(5000));
    fc.assert(
      fc.property(index, index, index, index, bytes, (inCons, inProd, outCons, outProd, typed) => {
        const ring = newRing();
        memory.u8.fill(0x11, PAGE - 4096, PAGE);
        memory.u8.fill(0x11, PAGE + XENCONS.sizeof, PAGE + 8192);
        poke(XENCONS.in_cons, inCons);
        poke(XENCONS.in_prod, inProd);
        poke(XENCONS.out_cons, outCons);
        poke(XENCONS.out_prod, outProd);
        const input = new ByteQueue(5000);
        input.add(typed);
        const [room, printed] = [XENCONS.in_size - ((inProd - inCons) >>> 0), (outProd - outCons) >>> 0];
        expect(ring.take()?.length ?? 0).toBe(printed <= XENCONS.out_size ? printed : 0);
        expect(ring.put(input)).toBe(Math.max(0, Math.min(typed.length, room)));
        expect([peek(XENCONS.out_prod), peek(XENCONS.in_cons)]).toEqual([outProd, inCons]);
        expect(memory.u8.subarray(PAGE - 4096, PAGE).every((byte) => byte === 0x11)).toBe(true);
        expect(memory.u8.subarray(PAGE + XENCONS.sizeof, PAGE + 8192).every((byte) => byte === 0x11)).toBe(true);
      }),
    );
  });
});
