// What a domain's memory is filled with before its first instruction, whatever the way it boots.
import type { Region } from '../memory/arena.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { PvhEntry } from './pvh/load.ts';
import type { MemmapEntry } from './pvh/memory-map.ts';

export interface GuestImage {
  readonly ramBytes: number;
  /** Bytes of a Region that `map` needs: RAM first, then what else the guest sees from the start. */
  readonly backingBytes: number;
  /** For XENMEM_memory_map. */
  readonly memmap: readonly MemmapEntry[];
  /** Whether it has an I/O APIC. */
  readonly ioapic: boolean;
  map(memory: GuestMemory, region: Region): void;
  /** Comes before each `load` but the first: what is large is not kept while the guest runs. */
  prepare(): Promise<void>;
  /** Fills the memory. Returns where a PVH kernel starts; undefined for the reset vector of a BIOS. */
  load(memory: GuestMemory): PvhEntry | undefined;
}
