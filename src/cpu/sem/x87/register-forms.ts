// x87 instructions on the stack alone, for ordinary operands. SDM vol. 2, under each name.
import { type Expr, i32, i64 } from '../../../wasm/expr.ts';
import { createFpEnv, type Rounding } from '../../fp/env.ts';
import { packF80 } from '../../fp/format.ts';
import { constant } from '../../fp/x87-constants.ts';
import { type ADD, SQUARE_ROOT } from './arithmetic.ts';
import { COMPARE, CONDITION } from './compare.ts';
import { ROUND_TO_INTEGER } from './conversion.ts';
import type { Form } from './memory-forms.ts';
import { EXPONENT, exponentOf, isOrdinary, SIGN } from './number.ts';
import { compare, type Operation, operation } from './operations.ts';
import { C1_SHIFT, controlWord, roundingControl } from './rounding.ts';
import { bitOf, NEXT, TOP, type X87Unit } from './unit.ts';

/** Emits an instruction on ST(0) and ST(i). */
type RegisterForm = (unit: X87Unit, i: Expr) => void;

/** Arithmetic on ST(0) and ST(i), to one of them, or FCOM and kin: FUCOM does the same to ordinary numbers. */
const onPair =
  (toOther: boolean, pops: 0 | 1, operations: readonly (Operation | undefined)[]): RegisterForm =>
  (unit, i) => {
    unit.ready(TOP.or(bitOf(i)));
    const [top, other] = [unit.st(i32(0)), unit.st(i)];
    const to = (toOther ? other : top).at;
    unit.choose(unit.e.modrm().shrU(3).and(7), operations, (on) => on(unit, top, other, to, pops));
    unit.record();
  };
const COMPARISONS: Readonly<Record<'once' | 'popping' | 'twice', RegisterForm>> = {
  once: onPair(false, 0, new Array<Operation>(8).fill(compare(0))),
  popping: onPair(false, 0, new Array<Operation>(8).fill(compare(1))),
  twice: onPair(false, 0, new Array<Operation>(8).fill(compare(2))),
};
/** FCOMI, FUCOMI and kin: C0, C2 and C3 would be CF, PF and ZF, 8 bits further down. C1 stays. */
const compareToFlags =
  (pops: 0 | 1): RegisterForm =>
  (unit, i) => {
    unit.ready(TOP.or(bitOf(i)));
    const [top, other] = [unit.st(i32(0)), unit.st(i)];
    const order = unit.routine(COMPARE, top.se, top.m, other.se, other.m);
    if (pops === 1) unit.pop(unit.fsw.and(1 << C1_SHIFT), 1);
    unit.record();
    unit.e.flags.setAll(order.shrU(8));
  };

/** FCMOVcc by the condition codes of Jcc. */
const moveIf =
  (condition: number): RegisterForm =>
  (unit, i) => {
    const { f, e } = unit;
    unit.ready(TOP.or(bitOf(i)));
    const [top, other] = [unit.st(i32(0)), unit.st(i)];
    f.if(e.flags.condition(condition), () => {
      f.store(top.at, 8, other.m, 0);
      f.store(top.at, 2, other.se, 8);
    });
    unit.record();
  };

/** FLD ST(i). */
const pushRegister: RegisterForm = (unit, i) => {
  unit.ready(bitOf(i), NEXT);
  unit.push(unit.st(i));
  unit.record();
};
/** FXCH. */
const exchange: RegisterForm = (unit, i) => {
  const { f } = unit;
  unit.ready(TOP.or(bitOf(i)));
  const [top, other] = [unit.st(i32(0)), unit.st(i)];
  f.store(top.at, 8, other.m, 0);
  f.store(top.at, 2, other.se, 8);
  f.store(other.at, 8, top.m, 0);
  f.store(other.at, 2, top.se, 8);
  unit.finish();
  unit.record();
};
/** FST ST(i) and FSTP ST(i), which may be empty. */
const storeRegister =
  (pops: 0 | 1): RegisterForm =>
  (unit, i) => {
    const { f } = unit;
    unit.ready(TOP);
    const [{ se, m }, to] = [unit.st(i32(0)), unit.at(i)];
    f.store(to, 8, m, 0);
    f.store(to, 2, se, 8);
    unit.tag(bitOf(i), pops === 1 ? TOP : undefined);
    unit.finish(undefined, pops);
    unit.record();
  };
/** FFREE, and the undocumented one that pops as well. */
const free =
  (pops: 0 | 1): RegisterForm =>
  (unit, i) => {
    unit.ready(i32(0));
    unit.tag(undefined, pops === 1 ? TOP.or(bitOf(i)) : bitOf(i));
    unit.finish(undefined, pops);
    unit.record();
  };

/** FCHS and FABS work on the bits. */
const changeSign =
  (absolute: boolean): Form =>
  (unit) => {
    unit.ready(TOP);
    const { at, se } = unit.st(i32(0));
    unit.f.store(at, 2, absolute ? se.and(EXPONENT) : se.xor(SIGN), 8);
    unit.finish();
    unit.record();
  };
/** FTST. */
const test: Form = (unit) => {
  unit.ready(TOP);
  const { se, m } = unit.st(i32(0));
  unit.finish(unit.routine(COMPARE, se, m, i32(0), i64(0)), 0, CONDITION.mask);
  unit.record();
};
/** FXAM: C3 tells a zero, C2 a normal number, C1 the sign. */
const examine: Form = (unit) => {
  const { f } = unit;
  unit.ready(TOP);
  const { se, m } = unit.st(i32(0));
  f.brIf(unit.slow, isOrdinary(f.let(exponentOf(se)), m).eqz());
  const kind = i32(0x4000).select(m.eqz(), 0x400);
  unit.finish(kind.or(se.shrU(15).shl(C1_SHIFT)), 0, CONDITION.mask);
  unit.record();
};
const onTop =
  (routine: typeof ADD): Form =>
  (unit) => {
    unit.ready(TOP);
    const { at, se, m } = unit.st(i32(0));
    unit.finish(unit.routine(routine, at, se, m));
    unit.record();
  };
/** FINCSTP and FDECSTP leave the tags alone. */
const moveTop =
  (by: -1 | 1): Form =>
  (unit) => {
    unit.ready(i32(0));
    unit.finish(undefined, by);
    unit.record();
  };

/** FLD1 and kin: the constant of each rounding mode. */
function pushConstant(index: number): Form {
  const env = createFpEnv(true);
  const values = ([0, 1, 2, 3] as const).map((rounding: Rounding) => {
    env.rounding = rounding;
    return packF80(constant(env, index), { se: 0, m: 0n });
  });
  const [nearest, ...directed] = values as [(typeof values)[number], ...typeof values];
  return (unit) => {
    const { f, e } = unit;
    unit.ready(i32(0), NEXT);
    let m: Expr = i64(nearest.m);
    for (const [at, value] of directed.entries()) {
      if (value.m === nearest.m) continue;
      m = i64(value.m).select(roundingControl(controlWord(f, e.state)).eq(at + 1), m);
    }
    unit.push({ se: i32(nearest.se), m });
    unit.record();
  };
}

/** FNOP waits all the same. */
const nothing: Form = (unit) => {
  unit.ready(i32(0));
  unit.record();
};
/** FNSTSW AX waits for nothing. */
const storeStatus: Form = (unit) => {
  unit.available();
  unit.e.setGpr(0, 2, unit.fsw);
};

/** D9 E0 to FF, by the low 5 bits. */
const UNARY: Readonly<Record<number, Form>> = {
  0x00: changeSign(false),
  0x01: changeSign(true),
  0x04: test,
  0x05: examine,
  ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6].map((index) => [8 + index, pushConstant(index)])),
  0x16: moveTop(-1),
  0x17: moveTop(1),
  0x1a: onTop(SQUARE_ROOT),
  0x1c: onTop(ROUND_TO_INTEGER),
};

const none = undefined;
const [FLAGS, FLAGS_POPPING, POP_TO] = [compareToFlags(0), compareToFlags(1), storeRegister(1)];
/** Conditions of FCMOV: CF, ZF, CF or ZF, PF, as Jcc's condition codes. */
const moves = (not: 0 | 1): RegisterForm[] => [2, 4, 6, 10].map((condition) => moveIf(condition + not));
/** The operations of a group, some of them aliases of FCOMP or missing. */
function arithmeticGroup(toOther: boolean, pops: 0 | 1, aliases: Readonly<Record<number, Operation | undefined>> = {}) {
  const operations = [0, 1, 2, 3, 4, 5, 6, 7].map((reg) => (reg in aliases ? aliases[reg] : operation(reg)));
  const form = onPair(toOther, pops, operations);
  return operations.map((each) => each && form);
}

/** By opcode − D8 and modrm.reg. */
const GROUPS: readonly (readonly (RegisterForm | undefined)[])[] = [
  arithmeticGroup(false, 0),
  [pushRegister, exchange, none, storeRegister(1)],
  moves(0),
  [...moves(1), none, FLAGS, FLAGS],
  arithmeticGroup(true, 0),
  [free(0), exchange, storeRegister(0), storeRegister(1), COMPARISONS.once, COMPARISONS.popping],
  arithmeticGroup(true, 1, { 2: compare(1), 3: none }),
  [free(1), exchange, POP_TO, POP_TO, none, FLAGS_POPPING, FLAGS_POPPING],
];

/** FCOMPP, FUCOMPP. */
const compareTwo: Form = (unit) => COMPARISONS.twice(unit, i32(1));
/** By opcode − D8, then the low 6 bits of modrm. */
const SINGLE: Readonly<Record<number, Readonly<Record<number, Form>>>> = {
  1: { 0x10: nothing, ...Object.fromEntries(Object.entries(UNARY).map(([low, form]) => [0x20 | Number(low), form])) },
  2: { 0x29: compareTwo },
  6: { 0x19: compareTwo },
  7: { 0x20: storeStatus },
};

/** Takes ST(i) from modrm; the same form for the same register form, so that it is emitted once. */
const onStack = new Map<RegisterForm, Form>();
for (const form of GROUPS.flat())
  if (form !== undefined) onStack.set(form, (unit) => form(unit, unit.f.let(unit.e.modrm().and(7))));

/** By opcode − D8, then the low 6 bits of modrm; what is missing is never ordinary. */
export const REGISTER_FORMS: readonly (readonly (Form | undefined)[])[] = GROUPS.map((groups, opcode) =>
  Array.from({ length: 64 }, (_, low) => {
    const form = groups[low >> 3];
    return SINGLE[opcode]?.[low] ?? (form && onStack.get(form));
  }),
);
