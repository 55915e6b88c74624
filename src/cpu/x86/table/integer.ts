// All rows that are not SSE or MMX.
import type { Row } from '../row.ts';
import { ALU_ROWS } from './alu.ts';
import { BIT_ROWS } from './bits.ts';
import { BRANCH_ROWS } from './branch.ts';
import { MOVE_ROWS } from './move.ts';
import { SYSTEM_ROWS } from './system.ts';

export const INTEGER_ROWS: readonly Row[] = [...ALU_ROWS, ...BIT_ROWS, ...MOVE_ROWS, ...BRANCH_ROWS, ...SYSTEM_ROWS];
