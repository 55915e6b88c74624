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
  readonly #config: Omit<PvhConfig, 'kernel'>;
  readonly #plan: PvhPlan;
  readonly #unpack: () => Promise<KernelImage>;
  /** Only until it is loaded: unpacked, a kernel has 50 MiB or more. */
  #kernel: KernelImage | undefined;

  private constructor(config: Omit<PvhConfig, 'kernel' | 'ioapic'>, kernel: KernelImage, unpack: () => Promise<KernelImage>) {
    this.ioapic = !kernel.multiboot;
    this.#config = { ...config, ioapic: this.ioapic };
    this.#plan = planPvh({ ...this.#config, kernel });
    this.#unpack = unpack;
    this.#kernel = kernel;
  }

  /**
   * @param unpack gives the same kernel each time; it is called once for each time that the domain is loaded
   * @throws MachineError when it does not fit, and what `unpack` throws
   */
  static async plan(config: Omit<PvhConfig, 'kernel' | 'ioapic'>, unpack: () => Promise<KernelImage>): Promise<PvhImage> {
    return new PvhImage(config, await unpack(), unpack);
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

  async prepare(): Promise<void> {
    this.#kernel ??= await this.#unpack();
  }

  load(memory: GuestMemory): PvhEntry {
    const kernel = this.#kernel;
    if (kernel === undefined) throw new Error('the kernel was loaded before: prepare() unpacks it again');
    this.#kernel = undefined;
    return loadPvh(memory, this.#plan, { ...this.#config, kernel });
  }
}
