// The eight operations that arithmetic escapes have in common, by modrm.reg. SDM vol. 2, tables A-7 on.
import type { Expr } from '../../../wasm/expr.ts';
import type { Routine } from '../../emit/routine.ts';
import { ADD, DIVIDE, MULTIPLY } from './arithmetic.ts';
import { COMPARE, CONDITION } from './compare.ts';
import { SIGN, type X87Number } from './number.ts';
import type { X87Unit } from './unit.ts';

/** On the top and another number; the result, if there is one, goes to the register at the address `to`. */
export type Operation = (unit: X87Unit, top: X87Number, other: X87Number, to: Expr, pops: 0 | 1) => void;

const negated = ({ se, m }: X87Number): X87Number => ({ se: se.xor(SIGN), m });

const arithmetic =
  (routine: Routine, order: (top: X87Number, other: X87Number) => readonly [X87Number, X87Number]): Operation =>
  (unit, top, other, to, pops) => {
    const [a, b] = order(top, other);
    unit.pop(unit.routine(routine, to, a.se, a.m, b.se, b.m), pops);
  };
export const compare =
  (pops: 0 | 1 | 2): Operation =>
  (unit, top, other) =>
    unit.pop(unit.routine(COMPARE, top.se, top.m, other.se, other.m), pops, CONDITION.mask);

const OPERATIONS: readonly Operation[] = [
  arithmetic(ADD, (top, other) => [top, other]),
  arithmetic(MULTIPLY, (top, other) => [top, other]),
  compare(0),
  compare(1),
  arithmetic(ADD, (top, other) => [top, negated(other)]),
  arithmetic(ADD, (top, other) => [other, negated(top)]),
  arithmetic(DIVIDE, (top, other) => [top, other]),
  arithmetic(DIVIDE, (top, other) => [other, top]),
];
/** @param reg 0 to 7: add, multiply, compare, compare and pop, subtract, subtract the top, divide, divide by the top */
export const operation = (reg: number): Operation => OPERATIONS[reg] as Operation;
