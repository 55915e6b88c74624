// x87 instructions with a memory operand, for ordinary operands. SDM vol. 2, under each name.
import { type Expr, i32 } from '../../../wasm/expr.ts';
import { STATE } from '../../state.ts';
import { CONVERTED, fromFloat, fromInteger, TO_DOUBLE, TO_INTEGER, TO_SINGLE } from './conversion.ts';
import type { X87Number } from './number.ts';
import { operation } from './operations.ts';
import { controlWord, roundingControl, TOWARDS_ZERO } from './rounding.ts';
import { type MemoryPlace, NEXT, TOP, type X87Unit } from './unit.ts';

/** Emits one instruction. */
export type Form = (unit: X87Unit) => void;
/** By modrm.reg; what is missing is never ordinary. */
export type MemoryForms = readonly (Form | undefined)[];

interface Source {
  readonly size: 2 | 4 | 8;
  readonly value: (unit: X87Unit, host: Expr) => X87Number;
}
const float = (size: 4 | 8): Source => ({
  size,
  value: ({ f, slow }, host) => fromFloat(f, f.let(host.load(size === 4 ? 'i32' : 'i64', size, 0)), slow),
});
const integer = (size: 2 | 4 | 8): Source => ({
  size,
  value: ({ f }, host) => fromInteger(f, host.loadS('i64', size, 0)),
});

function load(unit: X87Unit, { size, value }: Source): { operand: MemoryPlace; number: X87Number } {
  const operand = unit.operand(size, 'r');
  return { operand, number: value(unit, operand.host) };
}

/** FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR, FCOM and FCOMP with memory. */
function arithmeticForms(source: Source): MemoryForms {
  const form: Form = (unit) => {
    unit.ready(TOP);
    const { operand, number } = load(unit, source);
    const top = unit.st(i32(0));
    unit.choose(unit.e.modrm().shrU(3).and(7), [0, 1, 2, 3, 4, 5, 6, 7].map(operation), (on) => on(unit, top, number, top.at, 0));
    unit.record(operand);
  };
  return [form, form, form, form, form, form, form, form];
}

/** FLD m32fp and m64fp, FILD. */
const push =
  (source: Source): Form =>
  (unit) => {
    unit.ready(i32(0), NEXT);
    const { operand, number } = load(unit, source);
    unit.push(number);
    unit.record(operand);
  };

/** Stores the low bytes of what a routine left. */
function store(unit: X87Unit, size: 2 | 4 | 8, raised: Expr, pops: 0 | 1): void {
  const operand = unit.operand(size, 'w');
  unit.f.store(operand.host, size, unit.e.state.load('i64', 8, CONVERTED), 0);
  unit.pop(raised, pops);
  unit.record(operand);
}
/** FST and FSTP of m32fp and m64fp. */
const storeFloat =
  (size: 4 | 8, pops: 0 | 1): Form =>
  (unit) => {
    unit.ready(TOP);
    const { se, m } = unit.st(i32(0));
    store(unit, size, unit.routine(size === 4 ? TO_SINGLE : TO_DOUBLE, se, m), pops);
  };
/** FIST, FISTP and FISTTP. */
const storeInteger =
  (size: 2 | 4 | 8, pops: 0 | 1, truncates = false): Form =>
  (unit) => {
    unit.ready(TOP);
    const { se, m } = unit.st(i32(0));
    const control = truncates ? TOWARDS_ZERO : roundingControl(controlWord(unit.f, unit.e.state));
    store(unit, size, unit.routine(TO_INTEGER[size], se, m, control), pops);
  };

/** FLD m80fp: the bits as they are. */
const loadExtended: Form = (unit) => {
  unit.ready(i32(0), NEXT);
  const operand = unit.operand(10, 'r');
  const { host } = operand;
  unit.push({ se: host.load('i32', 2, 8), m: host.load('i64', 8, 0) });
  unit.record(operand);
};
/** FSTP m80fp. */
const storeExtended: Form = (unit) => {
  unit.ready(TOP);
  const { se, m } = unit.st(i32(0));
  const operand = unit.operand(10, 'w');
  const { host } = operand;
  unit.f.store(host, 8, m, 0);
  unit.f.store(host, 2, se, 8);
  unit.pop(i32(0), 1);
  unit.record(operand);
};

/** FCW: what can be written, and what reads as one. FSW: ES and B. SDM vol. 1, figures 8-4 and 8-6. */
const FCW = { writable: 0x1f3f, reserved: 0x40 } as const;
const MASKS = 0x3f;
const SUMMARY = 0x8080;

/** FLDCW, when no exception is pending before or after it. */
const loadControl: Form = (unit) => {
  const { f, e, fsw, slow } = unit;
  unit.available();
  const fcw = f.let(unit.operand(2, 'r').host.load('i32', 2, 0));
  f.brIf(slow, fsw.and(SUMMARY).or(fsw.and(fcw.not()).and(MASKS)));
  f.store(e.state, 2, fcw.and(FCW.writable).or(FCW.reserved), STATE.fcw);
};
/** FNSTCW and FNSTSW, which wait for nothing. */
const storeWord =
  (at: number): Form =>
  (unit) => {
    unit.available();
    unit.f.store(unit.operand(2, 'w').host, 2, unit.e.state.load('i32', 2, at), 0);
  };

const none = undefined;
/** By opcode − D8. */
export const MEMORY_FORMS: readonly MemoryForms[] = [
  arithmeticForms(float(4)),
  [push(float(4)), none, storeFloat(4, 0), storeFloat(4, 1), none, loadControl, none, storeWord(STATE.fcw)],
  arithmeticForms(integer(4)),
  [push(integer(4)), storeInteger(4, 1, true), storeInteger(4, 0), storeInteger(4, 1), none, loadExtended, none, storeExtended],
  arithmeticForms(float(8)),
  [push(float(8)), storeInteger(8, 1, true), storeFloat(8, 0), storeFloat(8, 1), none, none, none, storeWord(STATE.fsw)],
  arithmeticForms(integer(2)),
  [
    push(integer(2)),
    storeInteger(2, 1, true),
    storeInteger(2, 0),
    storeInteger(2, 1),
    none,
    push(integer(8)),
    none,
    storeInteger(8, 1),
  ],
];
