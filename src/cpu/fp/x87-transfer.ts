// Loads, stores, exchange and conditional moves.
import { fromBcd, toBcd, writeBcdIndefinite } from './bcd.ts';
import { convert, toInteger } from './convert.ts';
import { FLAG, ROUNDING } from './env.ts';
import type { Format } from './format.ts';
import { F32, F64, F80, packF32, packF64, unpackF32, unpackF64 } from './format.ts';
import type { Num } from './num.ts';
import { exactly, INDEFINITE } from './num.ts';
import type { X87Unit } from './x87-unit.ts';

/** Pushes a value that needs no conversion exception. */
export function pushValue(unit: X87Unit, value: Num): void {
  const result = unit.state.isEmpty(-1) ? value : unit.overflow();
  if (unit.finish()) unit.push(result);
}

/** FLD m32fp (`double` false) and m64fp. */
export function loadFloat(unit: X87Unit, double: boolean): void {
  const { memory, env } = unit;
  const overflows = !unit.state.isEmpty(-1);
  const value = convert(env, F80, double ? unpackF64(memory.getBigUint64(0, true)) : unpackF32(memory.getUint32(0, true)));
  const result = overflows ? unit.overflow() : value;
  // A denormal is loaded even when its exception is unmasked: the value in the register is normal.
  const stops = (env.flags & ~env.masks & FLAG.IE) !== 0;
  unit.finish();
  if (!stops) unit.push(result);
}

/** FLD m80fp and FLD ST(i): the bits as they are. */
export function loadRaw(unit: X87Unit, se: number, m: bigint): void {
  if (!unit.state.isEmpty(-1)) {
    pushValue(unit, INDEFINITE);
    return;
  }
  unit.finish();
  unit.state.top--;
  unit.putRaw(0, se, m);
}
export function loadRegister(unit: X87Unit, i: number): void {
  if (unit.state.isEmpty(i)) {
    unit.underflow();
    if (unit.finish()) unit.push(INDEFINITE);
  } else loadRaw(unit, unit.state.signExponent(i), unit.state.significand(i));
}

/** FILD of 2, 4 or 8 bytes. */
export function loadInteger(unit: X87Unit, size: number): void {
  const { memory } = unit;
  const value =
    size === 8 ? memory.getBigInt64(0, true) : BigInt(size === 4 ? memory.getInt32(0, true) : memory.getInt16(0, true));
  pushValue(unit, exactly(value < 0n ? 1 : 0, value < 0n ? -value : value, 0));
}

/** FBLD. */
export const loadBcd = (unit: X87Unit): void => pushValue(unit, fromBcd(unit.memory, 0));

/** FST m32fp and m64fp; false when nothing is stored. */
export function storeFloat(unit: X87Unit, double: boolean, pop: boolean): boolean {
  const { env, memory } = unit;
  const format: Format = double ? F64 : F32;
  const value = unit.state.isEmpty(0) ? unit.underflow() : convert(env, format, unit.get(0));
  // Denormal sources are not reported by stores.
  env.flags &= ~FLAG.DE;
  const ranged = env.flags & ~env.masks & (FLAG.OE | FLAG.UE);
  if (ranged) {
    env.flags &= ~FLAG.PE;
    env.roundedUp = false;
  }
  if (!unit.finish() || ranged) return false;
  if (double) memory.setBigUint64(0, packF64(value), true);
  else memory.setUint32(0, packF32(value), true);
  if (pop) unit.pop();
  return true;
}

/** FSTP m80fp: the bits as they are. */
export function storeRaw(unit: X87Unit): boolean {
  const { memory, state } = unit;
  if (state.isEmpty(0)) {
    unit.underflow();
    if (!unit.finish()) return false;
    memory.setBigUint64(0, INDEFINITE.sig, true);
    memory.setUint16(8, 0xffff, true);
  } else {
    unit.finish();
    memory.setBigUint64(0, state.significand(0), true);
    memory.setUint16(8, state.signExponent(0), true);
  }
  unit.pop();
  return true;
}

/** FST ST(i) and FSTP ST(i). */
export function storeRegister(unit: X87Unit, i: number, pop: boolean): void {
  const { state } = unit;
  if (state.isEmpty(0)) {
    unit.underflow();
    if (!unit.finish()) return;
    unit.put(i, INDEFINITE);
  } else {
    unit.finish();
    unit.putRaw(i, state.signExponent(0), state.significand(0));
  }
  if (pop) unit.pop();
}

/** The undocumented FSTP of D9 D8: an empty ST(0) is popped without a word and without a store. */
export function storeRegisterQuietly(unit: X87Unit, i: number): void {
  if (!unit.state.isEmpty(0)) {
    storeRegister(unit, i, true);
    return;
  }
  unit.finish();
  unit.pop();
}

/** FIST, FISTP, FISTTP of 2, 4 or 8 bytes. */
export function storeInteger(unit: X87Unit, size: number, truncate: boolean, pop: boolean): boolean {
  const { env, memory } = unit;
  let value: bigint | undefined;
  if (unit.state.isEmpty(0)) unit.underflow();
  else value = toInteger(env, unit.get(0), size * 8, truncate ? ROUNDING.zero : env.rounding);
  if (!unit.finish()) return false;
  value ??= 1n << BigInt(size * 8 - 1);
  if (size === 8) memory.setBigUint64(0, BigInt.asUintN(64, value), true);
  else if (size === 4) memory.setInt32(0, Number(BigInt.asIntN(32, value)), true);
  else memory.setInt16(0, Number(BigInt.asIntN(16, value)), true);
  if (pop) unit.pop();
  return true;
}

/** FBSTP. */
export function storeBcd(unit: X87Unit): boolean {
  if (unit.state.isEmpty(0)) {
    unit.underflow();
    writeBcdIndefinite(unit.memory, 0);
  } else toBcd(unit.env, unit.get(0), unit.memory, 0);
  if (!unit.finish()) return false;
  unit.pop();
  return true;
}

/** FXCH. Empty registers become the indefinite first. */
export function exchange(unit: X87Unit, i: number): void {
  const { state } = unit;
  const [noTop, noOther] = [state.isEmpty(0), state.isEmpty(i)];
  if (noTop || noOther) unit.underflow();
  if (!unit.finish()) return;
  if (noTop) unit.put(0, INDEFINITE);
  if (noOther) unit.put(i, INDEFINITE);
  const [se, m] = [state.signExponent(0), state.significand(0)];
  unit.putRaw(0, state.signExponent(i), state.significand(i));
  unit.putRaw(i, se, m);
}

/** FCMOVcc: CF, ZF, CF|ZF, PF by `condition` 0..3, inverted by `not`. */
export function moveIf(unit: X87Unit, condition: number, not: boolean, i: number): void {
  const { state } = unit;
  if (state.isEmpty(0) || state.isEmpty(i)) {
    unit.replaceTop(unit.underflow());
    return;
  }
  const mask = [0x01, 0x40, 0x41, 0x04][condition]!;
  if (((unit.eflags & mask) !== 0) !== not) unit.putRaw(0, state.signExponent(i), state.significand(i));
}
