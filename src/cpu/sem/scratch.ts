// Where instructions leave what helpers and computes work on, and find what they answer: the 64 bytes at STATE.scratch.
import { STATE } from '../state.ts';

export const SCRATCH = {
  /** u32: selector of a segment load or far transfer. */
  selector: STATE.scratch,
  /** u64: offset of a far transfer; linear address of INVLPG. */
  offset: STATE.scratch + 8,
  /** u32: operands and results of computes, and small operands of helpers. */
  a: STATE.scratch,
  b: STATE.scratch + 4,
  c: STATE.scratch + 8,
  d: STATE.scratch + 12,
} as const;
