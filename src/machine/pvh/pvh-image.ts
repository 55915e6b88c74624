// A PVH domain's memory before its first instruction, after a plan.
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { GuestImage } from '../guest-image.ts';
import { loadPvh, mapPvh, type PvhEntry, pvhBackingBytes } from './load.ts';
import type { MemmapEntry } from './memory-map.ts';
import { type PvhConfig, type PvhPlan, planPvh } from './plan.ts';

export class PvhImage implements GuestImage {
  readonly #config: PvhConfig;
  readonly #plan: PvhPlan;

  /** @throws MachineError when it does not fit. */
  constructor(config: PvhConfig) {
    this.#config = config;
    this.#plan = planPvh(config);
  }

  get ramBytes(): number {
    return this.#plan.ramBytes;
  }

  get backingBytes(): number {
    return pvhBackingBytes(this.#plan);
  }

  get memmap(): readonly MemmapEntry[] {
    return this.#plan.memmap;
  }

  map(memory: GuestMemory, region: Region): void {
    mapPvh(memory, this.#plan, region);
  }

  load(memory: GuestMemory): PvhEntry {
    return loadPvh(memory, this.#plan, this.#config);
  }
}
