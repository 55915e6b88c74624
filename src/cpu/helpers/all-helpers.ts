// The helpers that generated code calls by name: what each instruction that is rare or long does, on top of system/.
import type { RandomSource } from '../computes.ts';
import { gather } from '../gather.ts';
import type { Helper } from '../helper-context.ts';
import { avxBlocked, simdBlocked } from '../simd-blocked.ts';
import type { CpuidPolicy } from '../system/cpuid.ts';
import type { TickSource } from '../system/msr.ts';
import { FLAG_HELPERS } from './flag-helpers.ts';
import { fpuHelpers } from './fpu-helpers.ts';
import { type PortReader, stringIoHelpers } from './string-io.ts';
import { systemHelpers, type TaskPriority } from './system-helpers.ts';
import { TRANSFER_HELPERS } from './transfer-helpers.ts';

/** What the CPU needs from the machine around it. */
export interface EngineServices extends TickSource {
  readonly cpuid: CpuidPolicy;
  readonly cr8: TaskPriority;
  /** Where RDRAND's numbers come from. Default: the host's. */
  readonly random?: RandomSource;
  /** Whether `ticks` follows the instructions retired: reads of it are then exact to the instruction. Default false. */
  readonly ticksAreInstructions?: boolean;
  /** What a REP INS can have of a port without an exit for each element. Default: nothing. */
  readonly readPorts?: PortReader;
}

export const makeHelpers = (services: EngineServices): Readonly<Record<string, Helper>> => ({
  ...FLAG_HELPERS,
  ...fpuHelpers(),
  ...systemHelpers(services, services.cr8),
  ...stringIoHelpers(services.readPorts),
  ...TRANSFER_HELPERS,
  simdBlocked,
  avxBlocked,
  gather,
});
