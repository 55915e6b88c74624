// The D9 E0..FF group: one-operand arithmetic, FPREM, FSCALE, FXAM, the transcendental functions, the stack pointer.
import { sqrt } from './arith.ts';
import { roundToIntegral } from './convert.ts';
import type { Num } from './num.ts';
import { infinity, isNan, KIND, ONE } from './num.ts';
import { special1 } from './operands.ts';
import { extract, remainder, scale } from './remainder.ts';
import { atan2, beyondReduction, cos, f2xm1, sin, tan, yl2x, yl2xp1 } from './transcendental.ts';
import { compareZero } from './x87-arith.ts';
import { constant } from './x87-constants.ts';
import { FSW } from './x87-state.ts';
import { pushValue } from './x87-transfer.ts';
import type { X87Unit } from './x87-unit.ts';

/** @param modrm 0xe0..0xff, an encoding that exists */
export function unary(unit: X87Unit, modrm: number): void {
  const { env, state } = unit;
  switch (modrm) {
    case 0xe0: // FCHS
    case 0xe1: // FABS
      changeSign(unit, modrm === 0xe1);
      return;
    case 0xe4: // FTST
      compareZero(unit);
      return;
    case 0xe5: // FXAM
      examine(unit);
      return;
    case 0xf0: // F2XM1
      onTop(unit, (a) => f2xm1(env, a));
      return;
    case 0xf1: // FYL2X
      onPair(unit, (x, y) => yl2x(env, y, x), true);
      return;
    case 0xf2: // FPTAN
      trigonometric(unit, true, (a) => [tan(env, a), ONE]);
      return;
    case 0xf3: // FPATAN
      onPair(unit, (x, y) => atan2(env, y, x), true);
      return;
    case 0xf4: // FXTRACT
      split(unit);
      return;
    case 0xf5: // FPREM1
    case 0xf8: // FPREM
      divideForRemainder(unit, modrm === 0xf5);
      return;
    case 0xf6: // FDECSTP
      state.top--;
      unit.setC1(false);
      return;
    case 0xf7: // FINCSTP
      state.top++;
      unit.setC1(false);
      return;
    case 0xf9: // FYL2XP1
      onPair(unit, (x, y) => yl2xp1(env, y, x), true);
      return;
    case 0xfa: // FSQRT
      onTop(unit, (a) => sqrt(env, unit.format, a));
      return;
    case 0xfb: // FSINCOS
      trigonometric(unit, true, (a) => [sin(env, a), cos(env, a)]);
      return;
    case 0xfc: // FRNDINT
      onTop(unit, (a) => special1(env, a) ?? roundToIntegral(env, a, env.rounding));
      return;
    case 0xfd: // FSCALE
      onPair(unit, (a, b) => scale(env, a, b), false);
      return;
    case 0xfe: // FSIN
      trigonometric(unit, false, (a) => [sin(env, a)]);
      return;
    case 0xff: // FCOS
      trigonometric(unit, false, (a) => [cos(env, a)]);
      return;
    default: // FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ
      pushValue(unit, constant(env, modrm - 0xe8));
  }
}

function onTop(unit: X87Unit, operation: (a: Num) => Num): void {
  unit.replaceTop(unit.state.isEmpty(0) ? unit.underflow() : operation(unit.get(0)));
}

/** With a pop, the result goes to ST(1), which becomes the top. */
function onPair(unit: X87Unit, operation: (top: Num, next: Num) => Num, pop: boolean): void {
  const missing = unit.state.isEmpty(0) || unit.state.isEmpty(1);
  const result = missing ? unit.underflow() : operation(unit.get(0), unit.get(1));
  if (!unit.finish()) return;
  if (pop) unit.pop();
  unit.put(0, result);
}

/** Works on the bits: no operand is invalid. */
function changeSign(unit: X87Unit, absolute: boolean): void {
  const { state } = unit;
  if (state.isEmpty(0)) {
    unit.replaceTop(unit.underflow());
    return;
  }
  unit.finish();
  const se = state.signExponent(0);
  unit.putRaw(0, absolute ? se & 0x7fff : se ^ 0x8000, state.significand(0));
}

function examine(unit: X87Unit): void {
  const { state } = unit;
  unit.setC1((state.signExponent(0) & 0x8000) !== 0);
  const a = unit.get(0);
  if (state.isEmpty(0)) unit.setConditions(FSW.C3 | FSW.C0);
  else if (a.kind === KIND.unsupported) unit.setConditions(0);
  else if (isNan(a)) unit.setConditions(FSW.C0);
  else if (a.kind === KIND.infinity) unit.setConditions(FSW.C2 | FSW.C0);
  else if (a.kind === KIND.zero) unit.setConditions(FSW.C3);
  else unit.setConditions(a.denormal ? FSW.C3 | FSW.C2 : FSW.C2);
}

function divideForRemainder(unit: X87Unit, nearest: boolean): void {
  if (unit.state.isEmpty(0) || unit.state.isEmpty(1)) {
    unit.replaceTop(unit.underflow());
    unit.state.fsw &= ~FSW.C2;
    return;
  }
  const { value, quotient, complete } = remainder(unit.env, unit.get(0), unit.get(1), nearest);
  const proceeds = unit.finish();
  if (proceeds) unit.put(0, value);
  if (!proceeds || value.kind >= KIND.quiet) {
    // There is no quotient: C0 and C3 stay.
    unit.state.fsw &= ~FSW.C2;
    return;
  }
  unit.setConditions(complete ? ((quotient & 4) !== 0 ? FSW.C0 : 0) | ((quotient & 2) !== 0 ? FSW.C3 : 0) : FSW.C2);
  unit.setC1(complete && (quotient & 1) !== 0);
}

/** FXTRACT: the exponent replaces the operand, the significand goes on top. */
function split(unit: X87Unit): void {
  replaceAndPush(unit, (a) => {
    const { exponent, significand } = extract(unit.env, a);
    return [exponent, significand];
  });
}

/** FSIN, FCOS, FSINCOS, FPTAN: an angle out of range only sets C2, unless there is no room for the second result. */
function trigonometric(unit: X87Unit, pushes: boolean, operation: (a: Num) => Num[]): void {
  const { state } = unit;
  const noRoom = pushes && !state.isEmpty(-1);
  if (!noRoom && !state.isEmpty(0) && beyondReduction(unit.get(0))) {
    unit.finish();
    state.fsw |= FSW.C2;
    return;
  }
  state.fsw &= ~FSW.C2;
  replaceAndPush(unit, operation);
}

/** One result replaces the top; of two, the second is pushed. */
function replaceAndPush(unit: X87Unit, operation: (a: Num) => Num[]): void {
  const { state } = unit;
  let results: Num[];
  if (state.isEmpty(0)) {
    const { length } = operation(infinity(0));
    results = Array.from({ length }, () => unit.underflow());
  } else {
    results = operation(unit.get(0));
    if (results.length === 2) {
      if (!state.isEmpty(-1)) results.fill(unit.overflow());
      else if (results[0]!.kind >= KIND.quiet) results.fill(results[0]!);
    }
  }
  if (!unit.finish()) return;
  unit.put(0, results[0]!);
  if (results.length === 2) unit.push(results[1]!);
}
