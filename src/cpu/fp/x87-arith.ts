// Two-operand x87 arithmetic and the comparisons, with registers and with memory.
import { add, div, mul, sub } from './arith.ts';
import type { Order } from './compare.ts';
import { compare, ORDER } from './compare.ts';
import { unpackF32, unpackF64 } from './format.ts';
import type { Num } from './num.ts';
import { exactly, zero } from './num.ts';
import { orderFlags } from './sse.ts';
import { FSW } from './x87-state.ts';
import type { X87Unit } from './x87-unit.ts';

/** The memory operand of D8, DA, DC and DE: m32fp, m32int, m64fp, m16int. */
function memoryOperand(unit: X87Unit, opcode: number): Num {
  switch (opcode & 6) {
    case 0:
      return unpackF32(unit.memory.getUint32(0, true));
    case 2:
      return integer(unit.memory.getInt32(0, true));
    case 4:
      return unpackF64(unit.memory.getBigUint64(0, true));
    default:
      return integer(unit.memory.getInt16(0, true));
  }
}
export const integer = (value: number): Num => (value < 0 ? exactly(1, BigInt(-value), 0) : exactly(0, BigInt(value), 0));

/** modrm.reg: 0 add, 1 multiply, 4 a - b, 5 b - a, 6 a / b, 7 b / a. */
function compute(unit: X87Unit, operation: number, a: Num, b: Num): Num {
  const { env, format } = unit;
  switch (operation) {
    case 0:
      return add(env, format, a, b);
    case 1:
      return mul(env, format, a, b);
    case 4:
      return sub(env, format, a, b);
    case 5:
      return sub(env, format, b, a);
    case 6:
      return div(env, format, a, b);
    default:
      return div(env, format, b, a);
  }
}

/** D8, DA, DC and DE with a memory operand. */
export function memoryArithmetic(unit: X87Unit, opcode: number, operation: number): void {
  const operand = memoryOperand(unit, opcode);
  if (operation === 2 || operation === 3) {
    compareTop(unit, unit.state.isEmpty(0), operand, false, operation === 3 ? 1 : 0);
    return;
  }
  unit.replaceTop(unit.state.isEmpty(0) ? unit.underflow() : compute(unit, operation, unit.get(0), operand));
}

/** ST(into) = ST(0) op ST(i), `into` being 0 or i; then perhaps a pop. */
export function registerArithmetic(unit: X87Unit, operation: number, i: number, into: number, pop: boolean): void {
  const missing = unit.state.isEmpty(0) || unit.state.isEmpty(i);
  const result = missing ? unit.underflow() : compute(unit, operation, unit.get(0), unit.get(i));
  if (!unit.finish()) return;
  unit.put(into, result);
  if (pop) unit.pop();
}

const CONDITION: Readonly<Record<Order, number>> = {
  [ORDER.less]: FSW.C0,
  [ORDER.equal]: FSW.C3,
  [ORDER.greater]: 0,
  [ORDER.unordered]: FSW.C0 | FSW.C2 | FSW.C3,
};

/** FCOM, FUCOM, FTST and kin. */
export function compareTop(unit: X87Unit, empty: boolean, b: Num, quiet: boolean, pops: number): void {
  let order: Order = ORDER.unordered;
  if (empty) unit.underflow();
  else order = compare(unit.env, unit.get(0), b, quiet);
  const proceeds = unit.finish();
  unit.setConditions(CONDITION[order]);
  if (!proceeds) return;
  for (let n = 0; n < pops; n++) unit.pop();
}
export function compareRegister(unit: X87Unit, i: number, quiet: boolean, pops: number): void {
  compareTop(unit, unit.state.isEmpty(0) || unit.state.isEmpty(i), unit.get(i), quiet, pops);
}
export const compareZero = (unit: X87Unit): void => compareTop(unit, unit.state.isEmpty(0), zero(0), false, 0);

/** FCOMI and kin. Sets `eflags` even when an unmasked exception keeps it from popping; C1 changes only by a stack fault. */
export function compareFlags(unit: X87Unit, i: number, quiet: boolean, pop: boolean): void {
  let order: Order = ORDER.unordered;
  unit.env.roundedUp = (unit.state.fsw & FSW.C1) !== 0;
  if (unit.state.isEmpty(0) || unit.state.isEmpty(i)) unit.underflow();
  else order = compare(unit.env, unit.get(0), unit.get(i), quiet);
  const kept = unit.env.roundedUp;
  if (unit.finish() && pop) unit.pop();
  unit.setC1(kept);
  unit.eflags = orderFlags(order);
}
