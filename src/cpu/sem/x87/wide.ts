// Products and quotients of 64-bit significands, from the 64-bit operators of WebAssembly.
import { type Expr, i64, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';

const LOW = 0xffff_ffff;

/** a × b as 128 bits. Both must be cheap to repeat. */
export function product(f: FunctionBuilder, a: Expr, b: Expr): { hi: Local; lo: Local } {
  const [a0, a1] = [f.let(a.and(LOW)), f.let(a.shrU(32))];
  const [b0, b1] = [f.let(b.and(LOW)), f.let(b.shrU(32))];
  const low = f.let(a0.mul(b0));
  const left = f.let(a1.mul(b0));
  const right = f.let(a0.mul(b1));
  const middle = f.let(low.shrU(32).add(left.and(LOW)).add(right.and(LOW)));
  const [hi, lo] = [f.local('i64'), f.local('i64')];
  f.set(hi, a1.mul(b1).add(left.shrU(32)).add(right.shrU(32)).add(middle.shrU(32)));
  f.set(lo, middle.shl(32).or(low.and(LOW)));
  return { hi, lo };
}

/**
 * (hi × 2^64 + top × 2^32) ÷ divisor, for hi < divisor, the divisor's highest bit set and top < 2^32: two digits of 32 bits
 * (Knuth, The Art of Computer Programming, vol. 2, 4.3.1, algorithm D).
 */
export function quotient(f: FunctionBuilder, hi: Expr, top: Expr, divisor: Expr): { quotient: Local; remainder: Local } {
  const upper = f.let(divisor.shrU(32));
  const lower = f.let(divisor.and(LOW));
  const remainder = f.local('i64');
  const whole = f.local('i64');
  f.set(remainder, hi);
  f.set(whole, i64(0));
  for (const next of [top, i64(0)]) {
    const digit = f.local('i64');
    const rest = f.local('i64');
    f.set(digit, remainder.divU(upper));
    f.set(rest, remainder.sub(digit.mul(upper)));
    // The guess is at most 2 too large.
    f.block((found) => {
      f.loop((again) => {
        const fits = digit.leU(LOW).and(digit.mul(lower).leU(rest.shl(32).or(next)));
        f.brIf(found, fits);
        f.set(digit, digit.sub(1));
        f.set(rest, rest.add(upper));
        f.brIf(again, rest.leU(LOW));
      });
    });
    f.set(remainder, remainder.shl(32).or(next).sub(digit.mul(divisor)));
    f.set(whole, whole.shl(32).or(digit));
  }
  return { quotient: whole, remainder };
}
