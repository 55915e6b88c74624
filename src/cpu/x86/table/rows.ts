// The whole instruction table.
import type { Row } from '../row.ts';
import { AVX_FORM_ROWS, AVX2_FORM_ROWS } from './avx.ts';
import { AVX_OWN_ROWS, AVX2_OWN_ROWS } from './avx-own.ts';
import { CRYPTO_ROWS } from './crypto.ts';
import { F16C_ROWS, FMA_ROWS } from './fma.ts';
import { INTEGER_ROWS } from './integer.ts';
import { MMX_ROWS } from './mmx.ts';
import { SSE_FLOAT_ROWS } from './sse-float.ts';
import { SSE_INTEGER_ROWS } from './sse-integer.ts';
import { SSE_MOVE_ROWS } from './sse-move.ts';
import { SSE_STRING_ROWS } from './sse-string.ts';

/** Every instruction the engine has. What is not here raises #UD. */
export const ROWS: readonly Row[] = [
  ...INTEGER_ROWS,
  ...MMX_ROWS,
  ...SSE_MOVE_ROWS,
  ...SSE_INTEGER_ROWS,
  ...SSE_FLOAT_ROWS,
  ...SSE_STRING_ROWS,
  ...CRYPTO_ROWS,
  ...AVX_FORM_ROWS,
  ...AVX_OWN_ROWS,
  ...AVX2_FORM_ROWS,
  ...AVX2_OWN_ROWS,
  ...FMA_ROWS,
  ...F16C_ROWS,
].map((row, index) => ({ ...row, index }));
