// A PVH domain's memory before its first instruction, after a plan.

import type { KernelImage } from '../../image/kernel.ts';
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { GuestImage } from '../guest-image.ts';
import { loadPvh, mapPvh, type PvhEntry, pvhBackingBytes } from './load.ts';
import type { MemmapEntry } from './memory-map.ts';
import { type PvhConfig, type PvhPlan, planPvh } from './plan.ts';

export class PvhImage implements GuestImage {
  /**
   * Real Xen gives a PVH domain no I/O APIC, and Linux asks for one before it believes its ACPI tables. A hypervisor takes one for the sign of
   * a PC and looks for the PIT behind it.
   */
  readonly ioapic: boolean;
  readonly #config: PvhConfig;
  readonly #plan: PvhPlan;

  /** @throws MachineError when it does not fit. */
  constructor(config: Omit<PvhConfig, 'kernel' | 'ioapic'> & { readonly kernel: KernelImage }) {
    this.ioapic = !config.kernel.multiboot;
    this.#config = { ...config, ioapic: this.ioapic };
    this.#plan = planPvh(this.#config);
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
