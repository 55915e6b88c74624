// String instructions. SDM vol. 2: MOVS, STOS, LODS, INS, OUTS.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { SEGMENT } from '../state.ts';
import {
  atMost,
  destinationOffset,
  directionIsDown,
  elementsInPage,
  isDirect,
  MOVS_POINTERS,
  moveDestination,
  moveSource,
  repeated,
  STOS_POINTERS,
  sourceOffset,
  stride,
} from './repeat.ts';
import { SCRATCH } from './scratch.ts';
import { type ElementSize, stringFamily } from './string-family.ts';

const RAX = 0;

const typeOf = (size: ElementSize): 'i32' | 'i64' => (size === 8 ? 'i64' : 'i32');

export const movs = stringFamily('movs', (e, size) => {
  const { f } = e;
  const { rep, long, asize } = e.variant;
  repeated(
    e,
    (left) => {
      const step = stride(e, size);
      const from = sourceOffset(e);
      const to = destinationOffset(e);
      const source = e.linearAt('operand', from, size, false);
      const hostFrom = e.hostAddress(source, size, 'r');
      // Read before the destination is looked up: both may need the gathering buffer.
      const value = f.let(hostFrom.load(typeOf(size), size, 0));
      const done = f.local('i64');
      f.set(done, i64(1));
      const single = () => e.storeAt(SEGMENT.es, to, size, value);
      // With other addresses, or where a segment's limit may end inside a page, one element at a time.
      if (rep === 'none' || asize !== (long ? 8 : 4)) single();
      else {
        const target = long ? to : e.linearAt(SEGMENT.es, to, size, true);
        const direct = isDirect(e, source, size, 'r')
          .and(isDirect(e, target, size, 'w'))
          .and(directionIsDown(e).eqz())
          .and(e.isFlat('operand'))
          .and(e.isFlat(SEGMENT.es));
        f.if(
          direct,
          () => {
            const hostTo = e.hostAddress(target, size, 'w');
            const room = f.let(elementsInPage(source, size));
            const roomTo = f.let(elementsInPage(target, size));
            const n = atMost(e, left, room.select(room.ltU(roomTo), roomTo));
            // A destination shortly after the source repeats a pattern: copy no more than lies between them at a time.
            const distance = f.let(hostTo.sub(hostFrom));
            const apart = f.let(distance.shrU(Math.log2(size)));
            f.if(apart.ltU(n), () => f.set(n, apart.select(apart, i32(1))));
            f.if(
              n.eq(1),
              () => f.store(hostTo, size, value, 0),
              () => f.memoryCopy(hostTo, hostFrom, n.shl(Math.log2(size))),
            );
            f.set(done, n.extendU());
          },
          single,
        );
      }
      const bytes = f.let(done.mul(step));
      moveSource(e, from, bytes);
      moveDestination(e, to, bytes);
      return { done };
    },
    MOVS_POINTERS,
  );
});

export const stos = stringFamily('stos', (e, size) => {
  const { f } = e;
  const { rep, long, asize } = e.variant;
  const value = e.gpr(RAX, size);
  repeated(
    e,
    (left) => {
      const step = stride(e, size);
      const to = destinationOffset(e);
      const done = f.local('i64');
      f.set(done, i64(1));
      const single = () => e.storeAt(SEGMENT.es, to, size, value);
      if (rep === 'none' || asize !== (long ? 8 : 4)) single();
      else {
        const target = e.linearAt(SEGMENT.es, to, size, true);
        f.if(
          isDirect(e, target, size, 'w').and(directionIsDown(e).eqz()).and(e.isFlat(SEGMENT.es)),
          () => {
            const n = atMost(e, left, elementsInPage(target, size));
            fill(e, e.hostAddress(target, size, 'w'), value, n, size);
            f.set(done, n.extendU());
          },
          single,
        );
      }
      moveDestination(e, to, f.let(done.mul(step)));
      return { done };
    },
    STOS_POINTERS,
  );
});

/** Stores `n` (i32, at least 1) copies of a value at a host address. */
function fill(e: Emitter, host: Expr, value: Expr, n: Expr, size: ElementSize): void {
  const { f } = e;
  const low = f.let((size === 8 ? value.wrap() : value).and(0xff));
  if (size === 1) {
    f.memoryFill(host, low, n);
    return;
  }
  const uniform = size === 8 ? low.extendU().mul(0x0101_0101_0101_0101n) : low.mul(size === 4 ? 0x0101_0101 : 0x0101);
  f.if(
    value.eq(uniform),
    () => f.memoryFill(host, low, n.shl(Math.log2(size))),
    () => {
      const at = f.local('i32');
      const end = f.let(host.add(n.shl(Math.log2(size))));
      f.set(at, host);
      f.loop((next) => {
        f.store(at, size, value, 0);
        f.set(at, at.add(size));
        f.brIf(next, at.ltU(end));
      });
    },
  );
}

export const lods = stringFamily('lods', (e, size) => {
  repeated(e, () => {
    const step = stride(e, size);
    const from = sourceOffset(e);
    e.setGpr(RAX, size, e.loadAt('operand', from, size));
    moveSource(e, from, step);
    return { done: i64(1) };
  });
});

/**
 * INS and OUTS are done by the helpers `ins` and `outs`: one element, or with a REP prefix as many as they like, leaving RCX,
 * RSI and RDI as they have got and RIP on the instruction while some are left. The element's size is in SCRATCH.a.
 */
const port = (name: string) =>
  stringFamily(
    name,
    (e, size) => {
      e.setSlot32(SCRATCH.a, i32(size === 8 ? 4 : size));
      e.helper(name);
    },
    true,
  );
export const ins = port('ins');
export const outs = port('outs');
