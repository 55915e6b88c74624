// Floating-point arithmetic of SSE, SSE2, SSE3 and SSE4.1: directly where the result is certain to be the same, otherwise
// by the exact computation. SDM vol. 2, under each name.
import { Const, type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import type { Semantics } from '../emit/semantics.ts';
import { dwords, lane, laneBytes, ONES, qwords, test, type VectorOp, vector, withLane, ZERO } from './simd-ops.ts';
import { aligned, sse } from './sse-access.ts';
import { computeSlow, type FormName, FP_SLOT, type FpName, vectorOrSlow } from './sse-operation.ts';
import {
  exactIsQuiet,
  exactResult,
  finiteResult,
  inexactIsQuiet,
  middling,
  ordered,
  precisionIsQuiet,
  roundingControl,
  SHAPE,
  type Shape,
  safeResult,
} from './sse-plain.ts';

export const FORMS: readonly FormName[] = ['ps', 'pd', 'ss', 'sd'];
type Forms = Readonly<Record<FormName, Semantics>>;

/** One semantics for each form, named like the instruction. */
function forms(name: string, access: string, body: (e: Emitter, shape: Shape) => void, hot: readonly FormName[] = []): Forms {
  const one = (form: FormName) => sse(`${name}${form}`, access, (e) => body(e, SHAPE[form]), { hot: hot.includes(form) });
  return { ps: one('ps'), pd: one('pd'), ss: one('ss'), sd: one('sd') };
}

/** The source operand: a packed one in memory must be aligned. */
const source = (e: Emitter, n: number, shape: Shape): Expr => (shape.scalar ? e.getVector(n, { low: true }) : aligned(e, n));
/** A scalar result keeps the destination's other lanes. */
const merged = (shape: Shape, a: Expr, result: Expr): Expr =>
  shape.scalar ? withLane(shape.floats, a, 0, lane(shape.floats, result, 0)) : result;

/**
 * An operator on the lanes that count. A scalar is computed alone: what the other lanes hold could only slow it down.
 */
function apply(e: Emitter, shape: Shape, op: 'add' | 'sub' | 'mul' | 'div', a: Expr, b: Expr): Expr {
  if (!shape.scalar) return e.f.let(vector(`${shape.floats}.${op}`, a, b));
  return e.f.let(withLane(shape.floats, a, 0, lane(shape.floats, a, 0).float(op, lane(shape.floats, b, 0))));
}

/**
 * `result` where it is certain, else the exact computation. `quick` decides most cases while inexact results are quiet, and
 * `plain` those that it leaves.
 */
function certain(
  e: Emitter,
  result: Expr,
  quick: () => Expr,
  plain: () => Expr,
  name: FpName,
  form: FormName,
  a: Expr,
  b: Expr,
): Expr {
  const { f } = e;
  const kept = e.local('v128');
  f.set(kept, result);
  f.block((done) => {
    f.if(inexactIsQuiet(e), () => f.brIf(done, quick()));
    f.brIf(done, plain());
    computeSlow(e, name, form, a, b);
    f.set(kept, e.state.loadV(FP_SLOT.result));
  });
  return kept;
}

function arithmetic(name: 'add' | 'sub' | 'mul' | 'div'): Forms {
  const check = name === 'add' || name === 'sub' ? finiteResult : safeResult;
  return forms(
    name,
    'rw,r',
    (e, shape) => {
      const b = source(e, 1, shape);
      const a = e.getVector(0);
      const result = apply(e, shape, name, a, b);
      const quick = () => middling(e, shape, name === 'mul' || name === 'div' ? 'narrow' : 'wide', a, b);
      const plain = () => {
        const whole = e.local('i32');
        e.f.set(whole, check(e, shape, result, a, b));
        e.f.if(inexactIsQuiet(e).eqz(), () => {
          const exact = shape.scalar ? exactIsQuiet(e).and(exactResult(shape, name, result, a, b)) : i32(0);
          e.f.set(whole, whole.and(exact));
        });
        return whole;
      };
      e.setVector(0, certain(e, result, quick, plain, name, shape.name, a, b));
    },
    name === 'div' ? [] : ['sd'],
  );
}
export const add = arithmetic('add');
export const sub = arithmetic('sub');
export const mul = arithmetic('mul');
export const div = arithmetic('div');

export const sqrt = forms('sqrt', 'rw,r', (e, shape) => {
  const b = source(e, 1, shape);
  const a = shape.scalar ? e.getVector(0) : b;
  const result = e.f.let(
    shape.scalar ? withLane(shape.floats, a, 0, lane(shape.floats, b, 0).float('sqrt')) : vector(`${shape.floats}.sqrt`, b),
  );
  const plain = () => inexactIsQuiet(e).and(finiteResult(e, shape, result, b));
  e.setVector(
    0,
    certain(e, result, () => middling(e, shape, 'positive', b), plain, 'sqrt', shape.name, a, b),
  );
});

/** MIN and MAX give the source unless the destination is strictly less (greater): pmin and pmax with operands exchanged. */
const extreme = (name: 'min' | 'max'): Forms =>
  forms(name, 'rw,r', (e, shape) => {
    const b = source(e, 1, shape);
    const a = e.getVector(0);
    const fast = () => merged(shape, a, vector(`${shape.floats}.p${name}`, b, a));
    e.setVector(0, vectorOrSlow(e, ordered(e, shape, a, b), fast, name, shape.name, a, b));
  });
export const min = extreme('min');
export const max = extreme('max');

/** The lanes of ordered operands that a known predicate holds for. */
function comparison(shape: Shape, imm: number, a: Expr, b: Expr): Expr {
  const op = (['eq', 'lt', 'le', undefined, 'ne', 'ge', 'gt', undefined] as const)[imm];
  if (op === undefined) return imm < 4 ? ZERO : ONES;
  return vector(`${shape.floats}.${op}`, a, b);
}

/** CMPPS and kin: imm8[2:0] is EQ, LT, LE, UNORD or the negation. */
export const cmp = forms('cmp', 'rw,r,r', (e, shape) => compareLanes(e, shape, 7));
/** VCMPPS and kin: by imm8[3] with unordered counting the other way (with UNORD: never), by imm8[4] as quiet as it was not. */
export const vcmp = forms('vcmp', 'rw,r,r', (e, shape) => compareLanes(e, shape, 31));

function compareLanes(e: Emitter, shape: Shape, mask: 7 | 31): void {
  const b = source(e, 1, shape);
  const a = e.getVector(0);
  const imm = e.f.let(e.get(2).and(mask));
  const predicate = e.f.let(imm.and(3));
  const fast = () => {
    // Of operands that are ordered only three bits matter.
    if (imm instanceof Const) return merged(shape, a, comparison(shape, Number(imm.value) & 7, a, b));
    const when = (condition: Expr) => vector('i32x4.splat', i32(0).sub(condition));
    const equal = vector('v128.and', vector(`${shape.floats}.eq`, a, b), when(predicate.and(1).eqz()));
    const less = vector('v128.and', vector(`${shape.floats}.lt`, a, b), when(predicate.sub(1).ltU(2)));
    return merged(shape, a, vector('v128.xor', vector('v128.or', equal, less), when(imm.shrU(2).and(1))));
  };
  e.setVector(0, vectorOrSlow(e, ordered(e, shape, a, b), fast, 'cmp', shape.name, a, b, imm));
}

/** COMISS, UCOMISS, COMISD, UCOMISD: ZF, PF, CF; the rest is cleared. */
const compareFlags = (name: 'comi' | 'ucomi', form: 'ss' | 'sd'): Semantics =>
  sse(`${name}${form}`, 'r,r', (e) => {
    const shape = SHAPE[form];
    const b = e.getVector(1, { low: true });
    const a = e.getVector(0, { low: true });
    const image = e.local('i32');
    e.f.if(
      ordered(e, shape, a, b),
      () => {
        const [x, y] = [lane(shape.floats, a, 0), lane(shape.floats, b, 0)];
        e.f.set(image, x.float('eq', y).shl(6).or(x.float('lt', y)));
      },
      () => {
        computeSlow(e, name, form, a, b);
        e.f.set(image, e.slot32(FP_SLOT.answer));
      },
    );
    e.flags.setAll(image);
  });
export const comiss = compareFlags('comi', 'ss');
export const comisd = compareFlags('comi', 'sd');
export const ucomiss = compareFlags('ucomi', 'ss');
export const ucomisd = compareFlags('ucomi', 'sd');

/** HADD, HSUB: neighbours of the concatenation of destination and source. */
const horizontal = (name: string, op: 'add' | 'sub', form: 'ps' | 'pd'): Semantics =>
  sse(`${name}${form}`, 'rw,r', (e) => {
    const shape = SHAPE[form];
    const b = aligned(e, 1);
    const a = e.getVector(0);
    const index = (lanes: readonly number[]) => laneBytes(form === 'ps' ? 4 : 8, lanes);
    const left = e.f.let(a.shuffle(b, index(form === 'ps' ? [0, 2, 4, 6] : [0, 2])));
    const right = e.f.let(a.shuffle(b, index(form === 'ps' ? [1, 3, 5, 7] : [1, 3])));
    const result = apply(e, shape, op, left, right);
    const plain = () => inexactIsQuiet(e).and(finiteResult(e, shape, result, left, right));
    e.setVector(
      0,
      certain(e, result, () => middling(e, shape, 'wide', left, right), plain, op, form, left, right),
    );
  });
export const haddps = horizontal('hadd', 'add', 'ps');
export const haddpd = horizontal('hadd', 'add', 'pd');
export const hsubps = horizontal('hsub', 'sub', 'ps');
export const hsubpd = horizontal('hsub', 'sub', 'pd');

/** ADDSUB: odd lanes are added, even ones subtracted. */
const addSub = (form: 'ps' | 'pd', signs: Expr): Semantics =>
  sse(`addsub${form}`, 'rw,r', (e) => {
    const shape = SHAPE[form];
    const b = aligned(e, 1);
    const a = e.getVector(0);
    const result = apply(e, shape, 'add', a, e.f.let(vector('v128.xor', b, signs)));
    const plain = () => inexactIsQuiet(e).and(finiteResult(e, shape, result, a, b));
    e.setVector(
      0,
      certain(e, result, () => middling(e, shape, 'wide', a, b), plain, 'addsub', form, a, b),
    );
  });
export const addsubps = addSub('ps', dwords(0x8000_0000, 0, 0x8000_0000, 0));
export const addsubpd = addSub('pd', qwords(1n << 63n, 0n));

/** Always computed in TypeScript. */
function exactOnly(name: FpName, form: FormName, access: 'rw,r' | 'rw,r,r'): Semantics {
  return sse(`${name}${form}`, access, (e) => {
    const b = source(e, 1, SHAPE[form]);
    computeSlow(e, name, form, e.getVector(0), b, access === 'rw,r,r' ? e.get(2) : undefined);
    e.setVector(0, e.state.loadV(FP_SLOT.result));
  });
}
export const rcpps = exactOnly('rcp', 'ps', 'rw,r');
export const rcpss = exactOnly('rcp', 'ss', 'rw,r');
export const rsqrtps = exactOnly('rsqrt', 'ps', 'rw,r');
export const rsqrtss = exactOnly('rsqrt', 'ss', 'rw,r');
export const dpps = exactOnly('dot', 'ps', 'rw,r,r');
export const dppd = exactOnly('dot', 'pd', 'rw,r,r');

/** ROUND: imm8[1:0] or, by bit 2, MXCSR.RC; bit 3 keeps PE quiet. */
export const round = forms('round', 'rw,r,r', (e, shape) => {
  const { f } = e;
  const b = source(e, 1, shape);
  const a = shape.scalar ? e.getVector(0) : b;
  const imm = f.let(e.get(2));
  const mode = f.let(roundingControl(e).select(imm.and(4), imm.and(3)));
  const result = e.local('v128');
  const to = (op: 'nearest' | 'floor' | 'ceil' | 'trunc') => () => f.set(result, vector(`${shape.floats}.${op}` as VectorOp, b));
  f.if(
    mode.and(2),
    () => f.if(mode.and(1), to('trunc'), to('ceil')),
    () => f.if(mode.and(1), to('floor'), to('nearest')),
  );
  const same = vector(`${shape.floats}.eq`, result, b);
  const exact = shape.scalar ? lane('i32x4', same, 0) : test(`${shape.integers}.all_true`, same);
  const quiet = imm.and(8).ne(0).or(exact.ne(0)).or(precisionIsQuiet(e));
  const plain = quiet.and(ordered(e, shape, b));
  e.setVector(
    0,
    vectorOrSlow(e, plain, () => merged(shape, a, result), 'round', shape.name, a, b, imm),
  );
});
