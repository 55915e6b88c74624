// What the manual leaves undefined after an instruction, for the comparison with the native CPU.
import type { Row } from '../../src/cpu/x86/row.ts';
import type { Undefined } from './compare.ts';
import type { CpuImage, CpuResult } from './cpu-image.ts';

export function undefinedAfter(_row: Row, _code: Uint8Array, _before: CpuImage, _native: CpuResult): Undefined {
  return {};
}
