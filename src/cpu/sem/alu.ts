// Integer arithmetic and logic on two operands or one. SDM vol. 2: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, INC, DEC, NEG, NOT, TEST.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { fromBit, sized, source } from './value.ts';

type Combine = (a: Expr, b: Expr, e: Emitter) => Expr;
type SetFlags = (e: Emitter, a: Expr, b: Expr, r: Expr, size: OperandSize) => void;

const additive: SetFlags = (e, a, b, r, size) => e.flags.add(a, b, r, size);
const subtractive: SetFlags = (e, a, b, r, size) => e.flags.sub(a, b, r, size);
const logical: SetFlags = (e, _a, _b, r, size) => e.flags.logic(r, size);

/** Flags come after the result is written: the write is what a locked instruction retries. */
const binary = (name: string, combine: Combine, setFlags: SetFlags): Semantics =>
  semantics(
    name,
    'rw,r',
    (e) => {
      const size = e.size(0);
      const b = source(e);
      const a = e.get(0);
      const r = e.f.let(combine(a, b, e));
      e.set(0, r);
      setFlags(e, a, b, r, size);
    },
    { hot: true },
  );

/** As `binary`, but only the flags are kept. */
const compare = (name: string, combine: Combine, setFlags: SetFlags): Semantics =>
  semantics(
    name,
    'r,r',
    (e) => {
      const a = e.get(0);
      const b = source(e);
      const r = e.f.let(combine(a, b, e));
      setFlags(e, a, b, r, e.size(0));
    },
    { hot: true },
  );

const carryIn = (e: Emitter): Expr => fromBit(e.flags.carry(), e.size(0));

export const add = binary('add', (a, b) => a.add(b), additive);
export const or = binary('or', (a, b) => a.or(b), logical);
export const adc = binary('adc', (a, b, e) => a.add(b).add(carryIn(e)), additive);
export const sbb = binary('sbb', (a, b, e) => a.sub(b).sub(carryIn(e)), subtractive);
export const and = binary('and', (a, b) => a.and(b), logical);
export const sub = binary('sub', (a, b) => a.sub(b), subtractive);
export const xor = binary('xor', (a, b) => a.xor(b), logical);
export const cmp = compare('cmp', (a, b) => a.sub(b), subtractive);
export const test = compare('test', (a, b) => a.and(b), logical);

export const inc = semantics(
  'inc',
  'rw',
  (e) => {
    const a = e.get(0);
    const r = e.f.let(a.add(1));
    e.set(0, r);
    e.flags.inc(a, r, e.size(0));
  },
  { hot: true },
);

export const dec = semantics(
  'dec',
  'rw',
  (e) => {
    const a = e.get(0);
    const r = e.f.let(a.sub(1));
    e.set(0, r);
    e.flags.dec(a, r, e.size(0));
  },
  { hot: true },
);

export const neg = semantics(
  'neg',
  'rw',
  (e) => {
    const size = e.size(0);
    const a = e.get(0);
    const r = e.f.let(a.neg());
    e.set(0, r);
    e.flags.sub(sized(size, 0), a, r, size);
  },
  { hot: true },
);

export const not = semantics(
  'not',
  'rw',
  (e) => {
    e.set(0, e.get(0).not());
  },
  { hot: true },
);
