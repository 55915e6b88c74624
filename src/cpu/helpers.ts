// The helpers that generated code calls by name: what each instruction that is rare or long does, on top of system/.
import type { Helper } from './helper-context.ts';
import { FLAG_HELPERS } from './helpers/flag-helpers.ts';
import { fpuHelpers } from './helpers/fpu-helpers.ts';
import { STRING_IO_HELPERS } from './helpers/string-io.ts';
import { systemHelpers, type TaskPriority } from './helpers/system-helpers.ts';
import { TRANSFER_HELPERS } from './helpers/transfer-helpers.ts';
import { simdBlocked } from './simd-blocked.ts';
import type { CpuidPolicy } from './system/cpuid.ts';
import type { TickSource } from './system/msr.ts';

/** What the CPU needs from the machine around it. */
export interface EngineServices extends TickSource {
  readonly cpuid: CpuidPolicy;
  readonly cr8: TaskPriority;
}

export const makeHelpers = (services: EngineServices): Readonly<Record<string, Helper>> => ({
  ...FLAG_HELPERS,
  ...fpuHelpers(),
  ...systemHelpers(services, services.cr8),
  ...STRING_IO_HELPERS,
  ...TRANSFER_HELPERS,
  simdBlocked,
});
