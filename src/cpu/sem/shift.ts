// Shifts and rotates. SDM vol. 2: SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD. A count of 0 (after masking) changes no
// flag, but still writes the destination: a 32-bit register is zero-extended.
// OF for counts other than 1 is undefined; processors set it as a shift by 1 of the same operand would, and so do we. The
// exceptions, ROL and ROR of a register by an immediate and RCL and RCR by a multiple of their width, leave it unchanged there and here.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { bit, bitsOf, signBit, signedAt, sized, unsignedAt, when, wide } from './value.ts';

/** What a shift by a count makes of a value; `cf` and `of` are only meaningful for counts other than 0. */
interface Shifted {
  readonly result: Expr;
  readonly cf: Expr;
  readonly of: Expr;
  /** i32: how far a value rotates through CF, if that may be 0 although the count is not: then no flag changes. */
  readonly turns?: Expr;
}

type Rotated = Omit<Shifted, 'of'>;

/** `count` is an i32, already masked to 5 or 6 bits. */
type Shift = (e: Emitter, a: Expr, count: Expr, size: OperandSize) => Shifted;
type SetFlags = (e: Emitter, shifted: Shifted, size: OperandSize, count: Expr) => void;

/** A count as an operand of WebAssembly shifts of this size. */
const by = (count: Expr, size: OperandSize): Expr => (size === 8 ? count.extendU() : count);

const shiftFlags: SetFlags = (e, { result, cf, of }, size) => e.flags.result(result, size, cf, of);
const throughCarryFlags: SetFlags = (e, { cf, of }) => e.flags.carryOverflow(cf, of);
const rotateFlags: SetFlags = (e, { cf, of }, _size, count) => {
  const [target, distance] = e.variant.operands;
  const keeps = target?.kind === 'gpr' && distance?.kind === 'imm';
  e.flags.carryOverflow(cf, keeps ? of.select(count.eq(1), e.flags.condition(0).ne(0)) : of);
};

/** The forms of one shift: by an immediate or CL, and by 1 (opcodes D0 and D1). */
function family(
  name: string,
  shift: Shift,
  setFlags: SetFlags,
  hot: boolean,
): { readonly byCount: Semantics; readonly byOne: Semantics } {
  const emit = (e: Emitter, count: Expr) => {
    const size = e.size(0);
    const shifted = shift(e, e.get(0), count, size);
    e.set(0, shifted.result);
    when(e, shifted.turns ?? count, () => setFlags(e, shifted, size, count));
  };
  return {
    byCount: semantics(name, 'rw,r', (e) => emit(e, e.f.let(e.get(1).and(e.size(0) === 8 ? 63 : 31))), { hot }),
    byOne: semantics(`${name}1`, 'rw,r', (e) => emit(e, i32(1)), { hot }),
  };
}

export const shl = family(
  'shl',
  (e, a, count, size) => {
    const n = by(count, size);
    const result = e.f.let(a.shl(n));
    const cf = e.f.let(size <= 2 ? bit(result, bitsOf(size)) : bit(a, sized(size, bitsOf(size)).sub(n)));
    return { result, cf, of: topBitsDiffer(a, size) };
  },
  shiftFlags,
  true,
);

export const shr = family(
  'shr',
  (e, a, count, size) => {
    const n = by(count, size);
    const result = e.f.let(a.shrU(n));
    const cf = bit(a, n.sub(1));
    return { result, cf, of: signBit(a, size) };
  },
  shiftFlags,
  true,
);

export const sar = family(
  'sar',
  (e, a, count, size) => {
    const n = by(count, size);
    const value = e.f.let(signedAt(a, size));
    const last = value.shrS(n.sub(1)).and(1);
    return { result: e.f.let(value.shrS(n)), cf: size === 8 ? last.wrap() : last, of: i32(0) };
  },
  shiftFlags,
  true,
);

export const rol = family(
  'rol',
  (e, a, count, size) => {
    const result = e.f.let(rotatedLeft(a, count, size));
    const cf = e.f.let(bit(result, 0));
    return { result, cf, of: topBitsDiffer(a, size) };
  },
  rotateFlags,
  true,
);

export const ror = family(
  'ror',
  (e, a, count, size) => {
    const result = e.f.let(rotatedLeft(a, i32(0).sub(count), size));
    return { result, cf: e.f.let(signBit(result, size)), of: signBit(a, size).xor(bit(a, 0)) };
  },
  rotateFlags,
  true,
);

/** Through carry: the value has one bit more. A count that is a multiple of its width leaves CF as it was. */
export const rcl = family(
  'rcl',
  (e, a, count, size) => {
    const carry = e.f.let(e.flags.carry());
    const rotated = size === 8 ? rcl64(e, a, count, carry) : rotateThroughCarry(e, a, carry, count, size, true);
    return { ...rotated, of: topBitsDiffer(a, size) };
  },
  throughCarryFlags,
  false,
);

export const rcr = family(
  'rcr',
  (e, a, count, size) => {
    const carry = e.f.let(e.flags.carry());
    const rotated = size === 8 ? rcr64(e, a, count, carry) : rotateThroughCarry(e, a, carry, count, size, false);
    return { ...rotated, of: signBit(a, size).xor(carry) };
  },
  throughCarryFlags,
  false,
);

const topBitsDiffer = (x: Expr, size: OperandSize): Expr => signBit(x, size).xor(bit(x, bitsOf(size) - 2));

/** Rotates within `size`; the result is clean. `count` may be negative. */
function rotatedLeft(a: Expr, count: Expr, size: OperandSize): Expr {
  if (size >= 4) return a.rotl(by(count, size));
  // Copies of the value in all of an i32 make a rotate of the whole one of each part.
  const copies = a.mul(size === 1 ? 0x01010101 : 0x00010001);
  return unsignedAt(copies.rotl(count), size);
}

/** Values of 1, 2 and 4 bytes with CF above them in an i64. */
function rotateThroughCarry(e: Emitter, a: Expr, carry: Expr, count: Expr, size: OperandSize, left: boolean): Rotated {
  const bits = bitsOf(size) + 1;
  const turns = size === 4 ? count : e.f.let(count.remU(bits));
  const n = e.f.let(turns.extendU());
  const value = e.f.let(a.extendU().or(carry.extendU().shl(bits - 1)));
  // A shift by the whole width (n = 0) adds nothing: the value fits in 33 bits.
  const rest = sized(8, bits).sub(n);
  const turned = e.f.let(left ? value.shl(n).or(value.shrU(rest)) : value.shrU(n).or(value.shl(rest)));
  return { result: e.f.let(unsignedAt(turned.wrap(), size)), cf: e.f.let(bit(turned, bits - 1)), turns };
}

/** The three parts of a 65-bit rotate; shifts by 64 are made in two steps, as WebAssembly takes counts modulo 64. */
function rcl64(e: Emitter, a: Expr, count: Expr, carry: Expr): Rotated {
  const n = e.f.let(count.extendU());
  const turned = a
    .shl(n)
    .or(carry.extendU().shl(n.sub(1)))
    .or(a.shrU(1).shrU(sized(8, 64).sub(n)));
  const result = e.f.let(turned.select(count, a));
  return { result, cf: e.f.let(bit(a, sized(8, 64).sub(n)).select(count, carry)) };
}

function rcr64(e: Emitter, a: Expr, count: Expr, carry: Expr): Rotated {
  const n = e.f.let(count.extendU());
  const turned = a
    .shrU(n)
    .or(carry.extendU().shl(sized(8, 64).sub(n)))
    .or(a.shl(1).shl(sized(8, 64).sub(n)));
  const result = e.f.let(turned.select(count, a));
  return { result, cf: e.f.let(bit(a, n.sub(1)).select(count, carry)) };
}

type DoubleShift = (e: Emitter, a: Expr, b: Expr, count: Expr, size: OperandSize) => Shifted;

const double = (name: string, shift: DoubleShift): Semantics =>
  semantics(name, 'rw,r,r', (e) => {
    const size = e.size(0);
    const count = e.f.let(e.get(2).and(size === 8 ? 63 : 31));
    const b = e.get(1);
    const shifted = shift(e, e.get(0), b, count, size);
    e.set(0, shifted.result);
    when(e, count, () => shiftFlags(e, shifted, size, count));
  });

/** Counts above 16 with 16-bit operands are undefined; processors shift the destination in again after the source. */
const triple16 = (a: Expr, b: Expr): Expr => wide(a, 2).shl(32).or(wide(b, 2).shl(16)).or(wide(a, 2));

export const shld = double('shld', (e, a, b, count, size) => {
  if (size === 2) {
    const shifted = e.f.let(triple16(a, b).shl(count.extendU()));
    const result = e.f.let(shifted.shrU(32).wrap().and(0xffff));
    const cf = e.f.let(bit(shifted, 48));
    return { result, cf, of: topBitsDiffer(a, 2) };
  }
  const n = by(count, size);
  const rest = sized(size, bitsOf(size) - 1).sub(n);
  const result = e.f.let(a.shl(n).or(b.shrU(1).shrU(rest)));
  const cf = e.f.let(bit(a, rest.add(1)));
  return { result, cf, of: topBitsDiffer(a, size) };
});

export const shrd = double('shrd', (e, a, b, count, size) => {
  if (size === 2) {
    const all = e.f.let(triple16(a, b));
    const result = e.f.let(all.shrU(count.extendU()).wrap().and(0xffff));
    return { result, cf: e.f.let(bit(all, count.sub(1).extendU())), of: signBit(a, 2).xor(bit(b, 0)) };
  }
  const n = by(count, size);
  const rest = sized(size, bitsOf(size) - 1).sub(n);
  const result = e.f.let(a.shrU(n).or(b.shl(1).shl(rest)));
  return { result, cf: e.f.let(bit(a, n.sub(1))), of: signBit(a, size).xor(bit(b, 0)) };
});
