// String instructions that compare, 16 bytes at a time where that is allowed. SDM vol. 2: CMPS, SCAS.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { SEGMENT } from '../state.ts';
import {
  atMost,
  destinationOffset,
  directionIsDown,
  elementsInPage,
  isDirect,
  moveDestination,
  moveSource,
  repeated,
  sourceOffset,
  stride,
} from './repeat.ts';
import { test, vector } from './simd-ops.ts';
import { type ElementSize, stringFamily } from './string-family.ts';

const RAX = 0;

/** REPE (F3) goes on while the elements are equal, REPNE (F2) while they differ. */
const stopWhen = (e: Emitter, a: Expr, b: Expr): Expr => (e.variant.rep === 'repne' ? a.eq(b) : a.ne(b));
const SHAPES = { 1: 'i8x16', 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' } as const;
/** The same of any lane of 16 bytes. */
const stopLanes = (e: Emitter, size: ElementSize, a: Expr, b: Expr): Expr =>
  test('v128.any_true', e.variant.rep === 'repne' ? vector(`${SHAPES[size]}.eq`, a, b) : vector('v128.xor', a, b));

/**
 * How many elements one pass of a comparison does, as i64: the first, which may have been the one to `stop` at, or as many as 16
 * bytes at a time go on, never the last one: its flags are wanted. `addresses` are the elements' linear ones.
 */
function skipped(
  e: Emitter,
  size: ElementSize,
  left: Expr,
  stop: Expr,
  addresses: () => readonly Expr[],
  stopAmong: (lanes: readonly Expr[]) => Expr,
): Expr {
  const { f } = e;
  const { rep, long, asize } = e.variant;
  // In 64-bit mode no segment limit can end inside a page.
  if (rep === 'none' || !long || asize !== 8) return i64(1);
  const shift = Math.log2(size);
  const done = f.local('i64');
  f.set(done, i64(1));
  f.if(stop.eqz().and(left.gtU(16 / size)), () => {
    const linear = addresses();
    const direct = linear.map((at) => isDirect(e, at, size, 'r')).reduce((x, y) => x.and(y), directionIsDown(e).eqz());
    f.if(direct, () => {
      const n = atMost(
        e,
        left.sub(1),
        linear.map((at) => f.let(elementsInPage(at, size))).reduce((x, y) => f.let(x.select(x.ltU(y), y))),
      );
      const bytes = f.let(n.shl(shift).and(-16));
      const hosts = linear.map((at) => e.hostAddress(at, size, 'r'));
      const at = f.local('i32');
      f.set(at, i32(0));
      f.block((found) =>
        f.loop((next) => {
          f.brIf(found, at.eq(bytes));
          f.brIf(found, stopAmong(hosts.map((host) => host.add(at).loadV(0))));
          f.set(at, at.add(16));
          f.br(next);
        }),
      );
      f.if(at, () => f.set(done, at.shrU(shift).extendU()));
    });
  });
  return done;
}

export const cmps = stringFamily('cmps', (e, size) => {
  repeated(e, (left) => {
    const step = stride(e, size);
    const from = sourceOffset(e);
    const to = destinationOffset(e);
    // The second operand is read first: it is the one whose fault is reported.
    const b = e.loadAt(SEGMENT.es, to, size);
    const a = e.loadAt('operand', from, size);
    const stop = e.f.let(stopWhen(e, a, b));
    const done = skipped(
      e,
      size,
      left,
      stop,
      () => [to, e.linearAt('operand', from, size, false)],
      ([x, y]) => stopLanes(e, size, x as Expr, y as Expr),
    );
    const bytes = e.f.let(done.mul(step));
    moveSource(e, from, bytes);
    moveDestination(e, to, bytes);
    return { done, stop, finish: () => e.flags.sub(a, b, e.f.let(a.sub(b)), size) };
  });
});

export const scas = stringFamily('scas', (e, size) => {
  const a = e.gpr(RAX, size);
  repeated(e, (left) => {
    const step = stride(e, size);
    const to = destinationOffset(e);
    const b = e.loadAt(SEGMENT.es, to, size);
    const stop = e.f.let(stopWhen(e, a, b));
    const all = e.local('v128');
    e.f.set(all, vector(`${SHAPES[size]}.splat`, a));
    const done = skipped(
      e,
      size,
      left,
      stop,
      () => [to],
      ([x]) => stopLanes(e, size, x as Expr, all),
    );
    moveDestination(e, to, e.f.let(done.mul(step)));
    return { done, stop, finish: () => e.flags.sub(a, b, e.f.let(a.sub(b)), size) };
  });
});
