// SSE4.2: string comparison. Memory operands need no alignment. SDM vol. 2, appendix A, table A-5.
import { pcmpestri, pcmpestrm, pcmpistri, pcmpistrm } from '../../sem/sse-string.ts';
import { type Row, row } from '../row.ts';

export const SSE_STRING_ROWS: readonly Row[] = [
  ...row('66 0f 3a 60', 'pcmpestrm', 'Vx,Wx,Ib', pcmpestrm),
  ...row('66 0f 3a 61', 'pcmpestri', 'Vx,Wx,Ib', pcmpestri),
  ...row('66 0f 3a 62', 'pcmpistrm', 'Vx,Wx,Ib', pcmpistrm),
  ...row('66 0f 3a 63', 'pcmpistri', 'Vx,Wx,Ib', pcmpistri),
];
