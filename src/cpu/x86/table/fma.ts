// FMA and F16C. SDM vol. 2, appendix A, tables.
import { avxOf } from '../../sem/avx/avx-of.ts';
import { FMA_ORDERS, type FmaName, fma } from '../../sem/avx/fma.ts';
import { cvtph2ps, cvtps2ph } from '../../sem/avx/half.ts';
import type { FormName } from '../../sem/sse-operation.ts';
import type { Row } from '../row.ts';
import { vex } from '../vex-row.ts';

/** By the low half of the opcode: of packed numbers, and where they exist of scalars one higher. */
const NAMES: readonly (readonly [number, FmaName, boolean])[] = [
  [0x6, 'fmaddsub', false],
  [0x7, 'fmsubadd', false],
  [0x8, 'fmadd', true],
  [0xa, 'fmsub', true],
  [0xc, 'fnmadd', true],
  [0xe, 'fnmsub', true],
];
const HIGH = { 132: 0x90, 213: 0xa0, 231: 0xb0 } as const;

function rowsOf(name: FmaName, low: number, hasScalar: boolean): Row[] {
  return FMA_ORDERS.flatMap((order) =>
    (['s', 'd'] as const).flatMap((format) => {
      const row = (length: string, opcode: number, form: FormName, operands: string) =>
        vex(
          `${length}.66.0f38.${format === 's' ? 'w0' : 'w1'} ${opcode.toString(16)}`,
          `v${name}${order}${form}`,
          operands,
          avxOf(fma(name, order, form), { threeOperands: false }),
        );
      const packed = HIGH[order] | low;
      return [
        ...row('128', packed, `p${format}`, 'Vx,Hx,Wx'),
        ...row('256', packed, `p${format}`, 'Vx,Hx,Wx'),
        ...(hasScalar ? row('lig', packed + 1, `s${format}`, `Vo,Ho,W${format === 's' ? 'd' : 'q'}`) : []),
      ];
    }),
  );
}

export const FMA_ROWS: readonly Row[] = NAMES.flatMap(([low, name, hasScalar]) => rowsOf(name, low, hasScalar));

export const F16C_ROWS: readonly Row[] = [
  ...vex('128.66.0f38.w0 13', 'vcvtph2ps', 'Vx,Wq', avxOf(cvtph2ps)),
  ...vex('256.66.0f38.w0 13', 'vcvtph2ps', 'Vx,Wo', avxOf(cvtph2ps, { part: 8 })),
  ...vex('128.66.0f3a.w0 1d', 'vcvtps2ph', 'Wq,Vx,Ib', avxOf(cvtps2ph)),
  ...vex('256.66.0f3a.w0 1d', 'vcvtps2ph', 'Wo,Vx,Ib', avxOf(cvtps2ph, { narrow: true })),
];
