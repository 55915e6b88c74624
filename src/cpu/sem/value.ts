// Values of the four operand sizes: constants, extension, and single bits. Sizes 1, 2 and 4 are i32, size 8 is i64.
import { Const, constant, type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';

/** A constant of the type that values of `size` have. */
export const sized = (size: OperandSize, value: number | bigint): Const => constant(size === 8 ? 'i64' : 'i32', value);

/** Bits of a value of `size`. */
export const bitsOf = (size: OperandSize): number => size * 8;

/** Sign-extends within the i32 or i64 that holds a value of `size`. */
export function signedAt(x: Expr, size: OperandSize): Expr {
  if (size >= 4) return x;
  if (x instanceof Const) return i32(Number(BigInt.asIntN(size * 8, x.value)));
  return size === 2 ? x.extend16S() : x.extend8S();
}

/** Clears what is above `size` in the i32 or i64 that holds it. */
export const unsignedAt = (x: Expr, size: OperandSize): Expr => (size === 1 ? x.and(0xff) : size === 2 ? x.and(0xffff) : x);

/** Zero-extends a clean value of `from` bytes to one of `to` ≥ `from`. */
export const zeroExtend = (x: Expr, from: OperandSize, to: OperandSize): Expr => (to === 8 && from < 8 ? x.extendU() : x);

/** Sign-extends a value of `from` bytes to one of `to` ≥ `from`. */
export function signExtend(x: Expr, from: OperandSize, to: OperandSize): Expr {
  if (from === to) return x;
  const narrow = signedAt(x, from);
  return to === 8 ? narrow.extendS() : narrow;
}

/** A value of any size as i64, zero-extended. */
export const wide = (x: Expr, size: OperandSize): Expr => (size === 8 ? x : unsignedAt(x, size).extendU());

/** An i64 as a value of `size`. */
export const narrow = (x: Expr, size: OperandSize): Expr => (size === 8 ? x : x.wrap());

/** Bit `n` of a value as i32 0 or 1. */
export function bit(x: Expr, n: Expr | number): Expr {
  const shifted = x.shrU(n).and(1);
  return x.type === 'i64' ? shifted.wrap() : shifted;
}

/** The most significant bit of a value as i32 0 or 1. */
export const signBit = (x: Expr, size: OperandSize): Expr => bit(x, size * 8 - 1);

/** An i32 0 or 1 as a value of `size`. */
export const fromBit = (x: Expr, size: OperandSize): Expr => (size === 8 ? x.extendU() : x);

/** Operand `n`, sign-extended to the size of operand 0 when it is an immediate shorter than that. */
export function source(e: Emitter, n = 1): Expr {
  const size = e.size(n);
  const target = e.size(0);
  return e.variant.operands[n]?.kind === 'imm' && size < target ? signExtend(e.get(n), size, target) : e.get(n);
}

/** All ones in the low bytes of an i64. */
export const mask64 = (bytes: 2 | 4 | 8): bigint => (1n << BigInt(bytes * 8)) - 1n;

/** An i64 offset truncated to the address size. */
export const truncated = (offset: Expr, bytes: 2 | 4 | 8): Expr => (bytes === 8 ? offset : offset.and(mask64(bytes)));

/** Emits `then` when a run-time or compile-time condition holds. */
export function when(e: Emitter, condition: Expr, then: () => void): void {
  if (condition instanceof Const) {
    if (condition.small !== 0) then();
  } else e.f.if(condition, then);
}
