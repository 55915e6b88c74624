// AVX instructions that test, that move what a mask chooses, and that clear upper halves. SDM vol. 2, under each name.
import type { Expr, Local } from '../../../wasm/expr.ts';
import type { Emitter } from '../../emit/emitter.ts';
import type { Semantics } from '../../emit/semantics.ts';
import { FLAG, STATE } from '../../state.ts';
import { test, vector, ZERO } from '../simd-ops.ts';
import { avx, halves, isWide } from './avx-access.ts';

/** VPTEST, VTESTPS, VTESTPD: ZF when no bit is common, CF when the source has none that the destination lacks. */
const tests = (name: string, any: (v: Expr) => Expr): Semantics =>
  avx(name, 'r,r', (e) => {
    const b = halves(e, 1);
    const a = halves(e, 0);
    const some = (op: 'v128.and' | 'v128.andnot'): Expr => {
      const of = (half: 0 | 1) => (op === 'v128.and' ? vector(op, a[half], b[half]) : vector(op, b[half], a[half]));
      return any(isWide(e) ? e.f.let(vector('v128.or', of(0), of(1))) : e.f.let(of(0)));
    };
    e.flags.setAll(some('v128.and').eqz().shl(6).or(some('v128.andnot').eqz()));
  });
export const vptest = tests('vptest', (v) => test('v128.any_true', v));
export const vtestps = tests('vtestps', (v) => test('i32x4.bitmask', v));
export const vtestpd = tests('vtestpd', (v) => test('i64x2.bitmask', v));

/** Bit n of the answer is the sign of element n. */
function signs(e: Emitter, mask: readonly [Expr, Expr], size: 4 | 8): Expr {
  const of = (v: Expr) => test(size === 4 ? 'i32x4.bitmask' : 'i64x2.bitmask', v);
  return e.f.let(isWide(e, 1) ? of(mask[0]).or(of(mask[1]).shl(16 / size)) : of(mask[0]));
}

/** Steps through the elements that are chosen. */
function forEach(e: Emitter, chosen: Expr, act: (n: Local) => void): void {
  const { f } = e;
  const left = e.local('i32');
  const n = e.local('i32');
  f.set(left, chosen);
  f.block((done) => {
    f.loop((next) => {
      f.brIf(done, left.eqz());
      f.set(n, left.ctz());
      act(n);
      f.set(left, left.and(left.sub(1)));
      f.br(next);
    });
  });
}

/** Bytes of an element by themselves while alignment is checked: these instructions never raise #AC (exceptions of type 6). */
function unchecked(e: Emitter, size: 4 | 8, checked: () => void, each: (byte: number) => void): void {
  e.f.if(
    e.slot32(STATE.eflags).and(FLAG.ac),
    () => {
      for (let byte = 0; byte < size; byte++) each(byte);
    },
    checked,
  );
}

/**
 * VMASKMOVPS, VPMASKMOVD and kin. Elements that are not chosen are not touched and cannot fault. A store looks at all of its
 * elements before it changes one.
 */
function masked(size: 4 | 8): { readonly load: Semantics; readonly store: Semantics } {
  const scale = Math.log2(size);
  const at = (e: Emitter, operand: number) => {
    const start = e.offset(operand);
    const { asize } = e.variant;
    return (n: Expr, byte = 0) => {
      const sum = start.add(n.shl(scale).add(byte).extendU());
      return e.f.let(asize === 8 ? sum : sum.and(asize === 4 ? 0xffff_ffff : 0xffff));
    };
  };
  const load = avx(
    `vmaskmov.load${size}`,
    'w,r,a',
    (e) => {
      const chosen = signs(e, halves(e, 1), size);
      const offset = at(e, 2);
      e.f.storeV(e.state, ZERO, STATE.vectorScratch);
      e.f.storeV(e.state, ZERO, STATE.vectorScratch + 16);
      forEach(e, chosen, (n) => {
        const to = e.f.let(e.state.add(n.shl(scale)));
        const move = (bytes: 1 | 4 | 8, byte: number) =>
          e.f.store(to, bytes, e.loadAt('operand', offset(n, byte), bytes), STATE.vectorScratch + byte);
        unchecked(
          e,
          size,
          () => move(size, 0),
          (byte) => move(1, byte),
        );
      });
      e.setWide(0, e.state.loadV(STATE.vectorScratch), isWide(e) ? e.state.loadV(STATE.vectorScratch + 16) : ZERO);
    },
    { by: 'asize mode' },
  );
  const store = avx(
    `vmaskmov.store${size}`,
    'a,r,r',
    (e) => {
      const [low, high] = halves(e, 2);
      e.f.storeV(e.state, low, STATE.vectorScratch);
      e.f.storeV(e.state, high, STATE.vectorScratch + 16);
      const chosen = signs(e, halves(e, 1), size);
      const offset = at(e, 0);
      const probe = (n: Expr, bytes: 1 | 4 | 8, byte: number) => {
        e.hostAddress(e.linearAt('operand', offset(n, byte), bytes, true), bytes, 'w');
      };
      const move = (n: Expr, bytes: 1 | 4 | 8, byte: number) => {
        const value = e.state.add(n.shl(scale)).load(bytes === 8 ? 'i64' : 'i32', bytes, STATE.vectorScratch + byte);
        e.storeAt('operand', offset(n, byte), bytes, e.f.let(value));
      };
      for (const act of [probe, move])
        forEach(e, chosen, (n) =>
          unchecked(
            e,
            size,
            () => act(n, size, 0),
            (byte) => act(n, 1, byte),
          ),
        );
    },
    { by: 'asize mode' },
  );
  return { load, store };
}
export const maskedDwords = masked(4);
export const maskedQuadwords = masked(8);

/** Outside 64-bit mode there are eight registers. */
const registers = (e: Emitter): number => (e.variant.long ? 16 : 8);
export const vzeroupper = avx(
  'vzeroupper',
  '',
  (e) => {
    for (let n = 0; n < registers(e); n++) e.setYmmHigh(n, ZERO);
  },
  { hot: true, by: 'mode' },
);
export const vzeroall = avx(
  'vzeroall',
  '',
  (e) => {
    for (let n = 0; n < registers(e); n++) {
      e.setXmm(n, ZERO);
      e.setYmmHigh(n, ZERO);
    }
  },
  { by: 'mode' },
);
