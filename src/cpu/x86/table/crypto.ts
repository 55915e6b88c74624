// AES-NI, PCLMULQDQ, SHA. SDM vol. 2, appendix A, tables.
import * as aes from '../../sem/aes.ts';
import { pclmulqdq } from '../../sem/pclmulqdq.ts';
import * as sha from '../../sem/sha.ts';
import { type Row, row } from '../row.ts';

export const CRYPTO_ROWS: readonly Row[] = [
  ...row('66 0f 38 db', 'aesimc', 'Vx,Wx', aes.aesimc),
  ...row('66 0f 38 dc', 'aesenc', 'Vx,Wx', aes.aesenc),
  ...row('66 0f 38 dd', 'aesenclast', 'Vx,Wx', aes.aesenclast),
  ...row('66 0f 38 de', 'aesdec', 'Vx,Wx', aes.aesdec),
  ...row('66 0f 38 df', 'aesdeclast', 'Vx,Wx', aes.aesdeclast),
  ...row('66 0f 3a df', 'aeskeygenassist', 'Vx,Wx,Ib', aes.aeskeygenassist),
  ...row('66 0f 3a 44', 'pclmulqdq', 'Vx,Wx,Ib', pclmulqdq),
  ...row('0f 3a cc', 'sha1rnds4', 'Vx,Wx,Ib', sha.sha1rnds4, 'np'),
  ...row('0f 38 c8', 'sha1nexte', 'Vx,Wx', sha.sha1nexte, 'np'),
  ...row('0f 38 c9', 'sha1msg1', 'Vx,Wx', sha.sha1msg1, 'np'),
  ...row('0f 38 ca', 'sha1msg2', 'Vx,Wx', sha.sha1msg2, 'np'),
  ...row('0f 38 cb', 'sha256rnds2', 'Vx,Wx', sha.sha256rnds2, 'np'),
  ...row('0f 38 cc', 'sha256msg1', 'Vx,Wx', sha.sha256msg1, 'np'),
  ...row('0f 38 cd', 'sha256msg2', 'Vx,Wx', sha.sha256msg2, 'np'),
];
