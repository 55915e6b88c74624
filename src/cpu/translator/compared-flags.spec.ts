// Conditions after the instructions that they look back at, on the interpreter and translated: all 16 must agree.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { STATE } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';

const RBX = 3;
const RCX = 1;
const RESULTS = 0x400;
/** Instructions over RBX and RCX, or 32, 16 or 8 bits of them, by the bytes that 64-bit operands make. */
const OPERATIONS: Readonly<Record<string, readonly number[]>> = {
  add: [0x01, 0xcb],
  adc: [0x11, 0xcb],
  sub: [0x29, 0xcb],
  sbb: [0x19, 0xcb],
  cmp: [0x39, 0xcb],
  'cmp with a constant': [0x83, 0xfb, 0xff],
  and: [0x21, 0xcb],
  xor: [0x31, 0xcb],
  test: [0x85, 0xcb],
  inc: [0xff, 0xc3],
  dec: [0xff, 0xcb],
  neg: [0xf7, 0xdb],
  'shl by CL': [0xd3, 0xe3],
  'sub, then shl by CL': [0x29, 0xcb, 0x48, 0xd3, 0xe0],
  cmpxchg: [0x0f, 0xb1, 0xcb],
  'sub, then inc': [0x29, 0xcb, 0x48, 0xff, 0xc0],
  'add, then dec': [0x01, 0xcb, 0x48, 0xff, 0xc8],
  'inc, then sbb': [0xff, 0xc3, 0x48, 0x19, 0xc8],
  'add, then rol': [0x01, 0xcb, 0x48, 0xd1, 0xc0],
  'cmp, then bt': [0x39, 0xcb, 0x48, 0x0f, 0xba, 0xe0, 0x05],
  'dec, then stc': [0xff, 0xcb, 0xf9],
  'sub, then lahf and sahf': [0x29, 0xcb, 0x9f, 0x9e],
  // Behind a branch it is not known what the flags are of.
  'add, a branch, then adc': [0x01, 0xcb, 0x71, 0x00, 0x48, 0x11, 0xc8],
  'sub, a branch, then rol': [0x29, 0xcb, 0x71, 0x00, 0x48, 0xd1, 0xc0],
  'inc, a branch, then clc': [0xff, 0xc3, 0x71, 0x00, 0xf8],
};

/** Carry set or not; the operation; then each condition into a byte, by SETcc and by a branch over a MOV. */
function program(operation: readonly number[], size: number, carry: boolean): Uint8Array {
  const prefix = size === 8 ? [0x48] : size === 2 ? [0x66] : [];
  const head = operation[0] as number;
  const bytes =
    size !== 1
      ? operation
      : head === 0x0f
        ? [0x0f, (operation[1] as number) - 1, ...operation.slice(2)]
        : [head === 0x83 ? 0x80 : head - 1, ...operation.slice(1)];
  const conditions = Array.from({ length: 16 }, (_, code) => code);
  return new Uint8Array([
    carry ? 0xf9 : 0xf8,
    ...prefix,
    ...bytes,
    // setcc [rdi+code]
    ...conditions.flatMap((code) => [0x0f, 0x90 | code, 0x47, code]),
    // jcc +4; mov byte [rdi+16+code],1
    ...conditions.flatMap((code) => [0x70 | code, 4, 0xc6, 0x47, 16 + code, 1]),
    0xf4,
  ]);
}

describe('a condition', () => {
  const engines = [new LongModeEngine(false), new LongModeEngine(true)];
  it.each(Object.entries(OPERATIONS))('after %s is what the interpreter finds', (_name, operation) => {
    const value = fc.oneof(
      fc.constantFrom(0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n, 1n << 63n, (1n << 64n) - 1n),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    );
    const pairs = fc.sample(fc.tuple(value, value), { numRuns: 24, seed: 1 });
    for (const size of [8, 4, 2, 1])
      for (const carry of [false, true]) {
        const code = program(operation, size, carry);
        for (const [i, each] of engines.entries()) {
          each.load(code);
          // Only code that was run is translated.
          for (const [a, b] of pairs.slice(0, 8)) outcome(each, a, b);
          if (i === 1) translate(each);
        }
        for (const [a, b] of pairs) {
          const [interpreted, translated] = engines.map((each) => outcome(each, a, b));
          expect(translated, `${size} bytes, ${a} and ${b}`).toEqual(interpreted);
        }
      }
  });
});

function translate({ engine }: LongModeEngine): void {
  engine.cpu.rip = BigInt(AT.code);
  engine.cpu.set64(STATE.slowAddress, BigInt(AT.code));
  expect(engine.regions?.translate(BigInt(AT.code), engine.mmu.codeTable(), 0)).toBe(true);
}

function outcome({ engine, memory }: LongModeEngine, a: bigint, b: bigint): unknown {
  const { cpu } = engine;
  const at = AT.data + RESULTS;
  memory.write(at as Gpa, new Uint8Array(32));
  cpu.setGpr(0, a ^ b);
  cpu.setGpr(RBX, a);
  cpu.setGpr(RCX, b);
  cpu.setGpr(7, BigInt(at));
  cpu.rflags = 2;
  cpu.rip = BigInt(AT.code);
  expect(engine.run(1000)).toBe(EXIT.hlt);
  const bytes = new Uint8Array(32);
  memory.read(at as Gpa, bytes);
  return { bytes: [...bytes], rbx: cpu.gpr(RBX), rflags: cpu.rflags };
}
