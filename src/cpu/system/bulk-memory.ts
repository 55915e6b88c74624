// Linear memory that moves runs of bytes in one call: exception frames and FPU images are many words.
import type { LinearMemory } from '../cpu.ts';

export interface BulkMemory extends LinearMemory {
  /** As `read` and `write`, for any number of bytes. `supervisor` defaults to false: CPL decides. */
  readBytes(linear: bigint, into: Uint8Array, supervisor?: boolean): void;
  writeBytes(linear: bigint, from: Uint8Array, supervisor?: boolean): void;
}
