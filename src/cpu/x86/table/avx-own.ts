// AVX and AVX2 instructions that SSE has nothing like. SDM vol. 2, appendix A, tables.

import type { Semantics } from '../../emit/semantics.ts';
import { avxOf } from '../../sem/avx/avx-of.ts';
import * as masks from '../../sem/avx/flags-and-masks.ts';
import { vgatherd, vgatherq } from '../../sem/avx/gather.ts';
import * as permute from '../../sem/avx/permute.ts';
import { blendvpd, blendvps, pblendvb, pshufd } from '../../sem/sse-shuffle.ts';
import type { Row } from '../row.ts';
import { vex } from '../vex-row.ts';

/** Forms of 128 and of 256 bits. */
const both = (encoding: string, mnemonic: string, operands: string, semantics: Semantics): Row[] => [
  ...vex(`128.${encoding}`, mnemonic, operands, semantics),
  ...vex(`256.${encoding}`, mnemonic, operands, semantics),
];
const blendBy = (sse: Semantics): Semantics => avxOf(sse, { xmm0: 3 });
const { maskedDwords, maskedQuadwords } = masks;

export const AVX_OWN_ROWS: readonly Row[] = [
  ...vex('128.np.0f.wig 77', 'vzeroupper', '', masks.vzeroupper),
  ...vex('256.np.0f.wig 77', 'vzeroall', '', masks.vzeroall),
  ...both('66.0f38.w0 0c', 'vpermilps', 'Vx,Hx,Wx', permute.vpermilps),
  ...both('66.0f38.w0 0d', 'vpermilpd', 'Vx,Hx,Wx', permute.vpermilpd),
  ...both('66.0f3a.w0 04', 'vpermilps', 'Vx,Wx,Ib', avxOf(pshufd)),
  ...both('66.0f3a.w0 05', 'vpermilpd', 'Vx,Wx,Ib', permute.vpermilpdImmediate),
  ...both('66.0f38.w0 0e', 'vtestps', 'Vx,Wx', masks.vtestps),
  ...both('66.0f38.w0 0f', 'vtestpd', 'Vx,Wx', masks.vtestpd),
  ...vex('256.66.0f38.wig 17', 'vptest', 'Vx,Wx', masks.vptest),
  ...both('66.0f38.w0 18', 'vbroadcastss', 'Vx,Md', permute.vbroadcastd),
  ...vex('256.66.0f38.w0 19', 'vbroadcastsd', 'Vx,Mq', permute.vbroadcastq),
  ...vex('256.66.0f38.w0 1a', 'vbroadcastf128', 'Vx,Mo', permute.vbroadcasto),
  ...both('66.0f38.w0 2c', 'vmaskmovps', 'Vx,Hx,Mx', maskedDwords.load),
  ...both('66.0f38.w0 2d', 'vmaskmovpd', 'Vx,Hx,Mx', maskedQuadwords.load),
  ...both('66.0f38.w0 2e', 'vmaskmovps', 'Mx,Hx,Vx', maskedDwords.store),
  ...both('66.0f38.w0 2f', 'vmaskmovpd', 'Mx,Hx,Vx', maskedQuadwords.store),
  ...vex('256.66.0f3a.w0 06', 'vperm2f128', 'Vx,Hx,Wx,Ib', permute.vperm2x128),
  ...vex('256.66.0f3a.w0 18', 'vinsertf128', 'Vx,Hx,Wo,Ib', permute.vinsert128),
  ...vex('256.66.0f3a.w0 19', 'vextractf128', 'Wo,Vx,Ib', permute.vextract128),
  ...both('66.0f3a.w0 4a', 'vblendvps', 'Vx,Hx,Wx,Lx', blendBy(blendvps)),
  ...both('66.0f3a.w0 4b', 'vblendvpd', 'Vx,Hx,Wx,Lx', blendBy(blendvpd)),
  ...vex('128.66.0f3a.w0 4c', 'vpblendvb', 'Vx,Hx,Wx,Lx', blendBy(pblendvb)),
];

export const AVX2_OWN_ROWS: readonly Row[] = [
  ...both('66.0f38.w0 18', 'vbroadcastss', 'Vx,Uo', permute.vbroadcastd),
  ...vex('256.66.0f38.w0 19', 'vbroadcastsd', 'Vx,Uo', permute.vbroadcastq),
  ...both('66.0f38.w0 78', 'vpbroadcastb', 'Vx,Wb', permute.vbroadcastb),
  ...both('66.0f38.w0 79', 'vpbroadcastw', 'Vx,Ww', permute.vbroadcastw),
  ...both('66.0f38.w0 58', 'vpbroadcastd', 'Vx,Wd', permute.vbroadcastd),
  ...both('66.0f38.w0 59', 'vpbroadcastq', 'Vx,Wq', permute.vbroadcastq),
  ...vex('256.66.0f38.w0 5a', 'vbroadcasti128', 'Vx,Mo', permute.vbroadcasto),
  ...vex('256.66.0f38.w0 16', 'vpermps', 'Vx,Hx,Wx', permute.vpermd),
  ...vex('256.66.0f38.w0 36', 'vpermd', 'Vx,Hx,Wx', permute.vpermd),
  ...vex('256.66.0f3a.w1 00', 'vpermq', 'Vx,Wx,Ib', permute.vpermq),
  ...vex('256.66.0f3a.w1 01', 'vpermpd', 'Vx,Wx,Ib', permute.vpermq),
  ...both('66.0f3a.w0 02', 'vpblendd', 'Vx,Hx,Wx,Ib', permute.vpblendd),
  ...vex('256.66.0f3a.w0 38', 'vinserti128', 'Vx,Hx,Wo,Ib', permute.vinsert128),
  ...vex('256.66.0f3a.w0 39', 'vextracti128', 'Wo,Vx,Ib', permute.vextract128),
  ...vex('256.66.0f3a.w0 46', 'vperm2i128', 'Vx,Hx,Wx,Ib', permute.vperm2x128),
  ...vex('256.66.0f3a.w0 4c', 'vpblendvb', 'Vx,Hx,Wx,Lx', blendBy(pblendvb)),
  ...both('66.0f38.w0 45', 'vpsrlvd', 'Vx,Hx,Wx', permute.vpsrlvd),
  ...both('66.0f38.w1 45', 'vpsrlvq', 'Vx,Hx,Wx', permute.vpsrlvq),
  ...both('66.0f38.w0 46', 'vpsravd', 'Vx,Hx,Wx', permute.vpsravd),
  ...both('66.0f38.w0 47', 'vpsllvd', 'Vx,Hx,Wx', permute.vpsllvd),
  ...both('66.0f38.w1 47', 'vpsllvq', 'Vx,Hx,Wx', permute.vpsllvq),
  // Indices of 32 and of 64 bits. The vectors of the two have different lengths where the elements do.
  ...(
    [
      ['90', '92', 'd', vgatherd],
      ['91', '93', 'q', vgatherq],
    ] as const
  ).flatMap(([integer, float, index, semantics]) =>
    (
      [
        [integer, 'w0', 'd', `vpgather${index}d`],
        [integer, 'w1', 'q', `vpgather${index}q`],
        [float, 'w0', 'd', `vgather${index}ps`],
        [float, 'w1', 'q', `vgather${index}pd`],
      ] as const
    ).flatMap(([opcode, w, element, name]) => {
      const to = index === 'q' && element === 'd' ? 'o' : 'x';
      const from = index === 'd' && element === 'q' ? 'o' : 'x';
      return both(`66.0f38.${w} ${opcode}`, name, `V${to},M${element},H${to},K${from}`, semantics);
    }),
  ),
  ...both('66.0f38.w0 8c', 'vpmaskmovd', 'Vx,Hx,Mx', maskedDwords.load),
  ...both('66.0f38.w1 8c', 'vpmaskmovq', 'Vx,Hx,Mx', maskedQuadwords.load),
  ...both('66.0f38.w0 8e', 'vpmaskmovd', 'Mx,Hx,Vx', maskedDwords.store),
  ...both('66.0f38.w1 8e', 'vpmaskmovq', 'Mx,Hx,Vx', maskedQuadwords.store),
];
