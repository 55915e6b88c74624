// Conversions between floats and integers: CVT*. SDM vol. 2, under each name.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { dwords, lane, laneBytes, qwords, test, vector, withLane, ZERO } from './simd-ops.ts';
import { aligned, checkMmx, checkSse, enterMmx, sse } from './sse-access.ts';
import { computeSlow, type FormName, FP_SLOT, vectorOrSlow } from './sse-operation.ts';
import { inexactIsQuiet, ordered, roundingIsQuiet, SHAPE, type Shape, truncationIsQuiet } from './sse-plain.ts';

/** 2^31 and 2^24 as lanes. */
const TWO31 = { f32x4: dwords(0x4f00_0000), f64x2: qwords(0x41e0_0000_0000_0000n) } as const;
const TWO24 = dwords(0x4b80_0000);

// Between floats.

/** CVTSS2SD, CVTPS2PD: exact. */
const widen = (name: string, scalar: boolean): Semantics =>
  sse(name, 'rw,r', (e) => {
    const b = e.getVector(1, { low: scalar });
    const a = scalar ? e.getVector(0) : b;
    const form = scalar ? 'ss' : 'ps';
    const wide = vector('f64x2.promote_low_f32x4', b);
    const fast = () => (scalar ? withLane('f64x2', a, 0, lane('f64x2', wide, 0)) : wide);
    e.setVector(0, vectorOrSlow(e, ordered(e, SHAPE[form], b), fast, 'convert', form, a, b));
  });
export const cvtss2sd = widen('cvtss2sd', true);
export const cvtps2pd = widen('cvtps2pd', false);

export const cvtsd2ss = sse('cvtsd2ss', 'rw,r', (e) => {
  const b = e.getVector(1, { low: true });
  const a = e.getVector(0);
  const value = lane('f64x2', b, 0);
  const narrow = e.f.let(withLane('f32x4', a, 0, value.convert('f32DemoteF64')));
  const back = lane('f32x4', narrow, 0).convert('f64PromoteF32');
  const quiet = inexactIsQuiet(e).or(back.float('eq', value));
  const plain = quiet.and(narrowIsSafe(e, narrow, b));
  e.setVector(
    0,
    vectorOrSlow(e, plain, () => narrow, 'convert', 'sd', a, b),
  );
});
/** The single is finite and well above underflow, or zero from zero; the double is not denormal. */
const narrowIsSafe = (e: Emitter, narrow: Expr, b: Expr): Expr => {
  const wide = e.f.let(lane('i64x2', b, 0).shl(1));
  const single = e.f.let(lane('i32x4', narrow, 0).shl(1));
  return wide.eqz().or(single.sub(i32(0x0200_0000)).ltU(i32(0xfd00_0000)));
};

export const cvtpd2ps = sse('cvtpd2ps', 'w,r', (e) => {
  const b = aligned(e, 1);
  const narrow = e.f.let(vector('f32x4.demote_f64x2_zero', b));
  const size = e.f.let(vector('f32x4.abs', narrow));
  const exact = vector('f64x2.eq', vector('f64x2.promote_low_f32x4', narrow), b);
  const bounded = vector(
    'v128.and',
    vector('f32x4.ge', size, dwords(0x0100_0000)),
    vector('f32x4.le', size, dwords(0x7f7f_ffff)),
  );
  const lanesZero = vector('f64x2.eq', b, ZERO);
  // Widens the two masks of 32 bits to the lanes of the doubles.
  const good = vector('v128.or', vector('i64x2.extend_low_i32x4_s', bounded), lanesZero);
  const quiet = inexactIsQuiet(e).or(test('i64x2.all_true', exact));
  e.setVector(
    0,
    vectorOrSlow(e, quiet.and(test('i64x2.all_true', good)), () => narrow, 'convert', 'pd', b, b),
  );
});

// From integers.

/** CVTSI2SD, CVTSI2SS. */
const fromGeneral = (form: 'ss' | 'sd'): Semantics =>
  sse(`cvtsi2${form}`, 'rw,r', (e) => {
    const value = e.get(1);
    const a = e.getVector(0);
    const shape = SHAPE[form];
    const wide = e.size(1) === 8;
    const fast = () => {
      const number =
        form === 'ss'
          ? value.convert(wide ? 'f32ConvertI64S' : 'f32ConvertI32S')
          : value.convert(wide ? 'f64ConvertI64S' : 'f64ConvertI32S');
      return withLane(shape.floats, a, 0, number);
    };
    if (form === 'sd' && !wide) {
      e.setVector(0, fast());
      return;
    }
    // Within ±2^24 or ±2^53 the conversion is exact.
    const limit = form === 'ss' ? (wide ? i64(1 << 24) : i32(1 << 24)) : i64(1n << 53n);
    const plain = inexactIsQuiet(e).or(value.add(limit).leU(limit.shl(1)));
    const b = withLane(wide ? 'i64x2' : 'i32x4', ZERO, 0, value);
    e.setVector(0, vectorOrSlow(e, plain, fast, wide ? 'fromInt64' : 'fromInt32', form, a, b));
  });
export const cvtsi2ss = fromGeneral('ss');
export const cvtsi2sd = fromGeneral('sd');

export const cvtdq2pd = sse('cvtdq2pd', 'w,r', (e) => e.setVector(0, vector('f64x2.convert_low_i32x4_s', e.getVector(1))));

/** Singles from dwords: quiet, or all within ±2^24. */
function singles(e: Emitter, b: Expr): Expr {
  const numbers = e.f.let(vector('f32x4.convert_i32x4_s', b));
  const exact = test('i32x4.all_true', vector('f32x4.lt', vector('f32x4.abs', numbers), TWO24));
  return vectorOrSlow(e, inexactIsQuiet(e).or(exact), () => numbers, 'fromInt32', 'ps', b, b);
}
export const cvtdq2ps = sse('cvtdq2ps', 'w,r', (e) => e.setVector(0, singles(e, aligned(e, 1))));

// To integers.

/** CVTSD2SI, CVTTSD2SI and the same of singles. */
const toGeneral = (form: 'ss' | 'sd', truncate: boolean): Semantics =>
  sse(`cvt${truncate ? 't' : ''}${form}2si`, 'w,r', (e) => {
    const { f } = e;
    const { floats } = SHAPE[form];
    const b = e.getVector(1, { low: true });
    const wide = e.size(0) === 8;
    const value = lane(floats, b, 0);
    const whole = f.let(value.float(truncate ? 'trunc' : 'nearest'));
    const bound =
      form === 'ss'
        ? i32(wide ? 0x5f00_0000 : 0x4f00_0000).convert('f32ReinterpretI32')
        : i64(wide ? 0x43e0_0000_0000_0000n : 0x41e0_0000_0000_0000n).convert('f64ReinterpretI64');
    const quiet = truncate ? truncationIsQuiet(e) : roundingIsQuiet(e);
    const plain = whole
      .float('abs')
      .float('lt', bound)
      .and(quiet.or(whole.float('eq', value)));
    const result = e.local(wide ? 'i64' : 'i32');
    f.if(
      plain,
      () => {
        const op = wide ? (form === 'ss' ? 'i64TruncF32S' : 'i64TruncF64S') : form === 'ss' ? 'i32TruncF32S' : 'i32TruncF64S';
        f.set(result, whole.convert(op));
      },
      () => {
        computeSlow(e, truncate ? (wide ? 'truncateInt64' : 'truncateInt32') : wide ? 'toInt64' : 'toInt32', form, b, b);
        f.set(result, wide ? e.slot64(FP_SLOT.answer) : e.slot32(FP_SLOT.answer));
      },
    );
    e.set(0, result);
  });
export const cvtss2si = toGeneral('ss', false);
export const cvttss2si = toGeneral('ss', true);
export const cvtsd2si = toGeneral('sd', false);
export const cvttsd2si = toGeneral('sd', true);

/** Dwords from packed floats; from doubles the high half is zero. */
function dwordsOf(e: Emitter, shape: Shape, b: Expr, truncate: boolean): Expr {
  const { floats } = shape;
  const whole = e.f.let(vector(`${floats}.${truncate ? 'trunc' : 'nearest'}`, b));
  const fits = vector(`${floats}.lt`, vector(`${floats}.abs`, whole), TWO31[floats]);
  const exact = test(`${shape.integers}.all_true`, vector(`${floats}.eq`, whole, b));
  const quiet = truncate ? truncationIsQuiet(e) : roundingIsQuiet(e);
  const plain = quiet.or(exact).and(test(`${shape.integers}.all_true`, fits));
  const fast = () => vector(floats === 'f32x4' ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f64x2_s_zero', whole);
  return vectorOrSlow(e, plain, fast, truncate ? 'truncateInt32' : 'toInt32', shape.name, b, b);
}
const toDwords = (name: string, form: FormName, truncate: boolean): Semantics =>
  sse(name, 'w,r', (e) => e.setVector(0, dwordsOf(e, SHAPE[form], aligned(e, 1), truncate)));
export const cvtps2dq = toDwords('cvtps2dq', 'ps', false);
export const cvttps2dq = toDwords('cvttps2dq', 'ps', true);
export const cvtpd2dq = toDwords('cvtpd2dq', 'pd', false);
export const cvttpd2dq = toDwords('cvttpd2dq', 'pd', true);

// With MMX registers. An unmasked exception of the conversion finds MMX already entered.

const toMmx = (name: string, form: 'ps' | 'pd', truncate: boolean): Semantics =>
  semantics(name, 'w,r', (e) => {
    checkSse(e);
    checkMmx(e);
    const b = aligned(e, 1);
    enterMmx(e);
    e.setVector(0, dwordsOf(e, SHAPE[form], b, truncate));
  });
export const cvtps2pi = toMmx('cvtps2pi', 'ps', false);
export const cvttps2pi = toMmx('cvttps2pi', 'ps', true);
export const cvtpd2pi = toMmx('cvtpd2pi', 'pd', false);
export const cvttpd2pi = toMmx('cvttpd2pi', 'pd', true);

/** CVTPI2PS, CVTPI2PD: with a memory operand MMX is not entered. */
const fromMmx = (name: string, access: string, convert: (e: Emitter, b: Expr) => Expr): Semantics =>
  semantics(name, access, (e) => {
    checkSse(e);
    const isMmx = e.variant.operands[1]?.kind === 'mmx';
    if (isMmx) checkMmx(e);
    const b = e.getVector(1);
    if (isMmx) enterMmx(e);
    e.setVector(0, convert(e, b));
  });
export const cvtpi2ps = fromMmx('cvtpi2ps', 'rw,r', (e, b) => singles(e, b).shuffle(e.getVector(0), laneBytes(8, [0, 3])));
export const cvtpi2pd = fromMmx('cvtpi2pd', 'w,r', (_e, b) => vector('f64x2.convert_low_i32x4_s', b));
