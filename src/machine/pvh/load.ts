// Fills the memory of a PVH domain after a plan: kernel, modules, start info, ACPI tables.
import { MULTIBOOT_ENTRY_MAGIC } from '../../abi/multiboot.ts';
import { type Gfn, type Gpa, gpaToGfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { nullBios } from './null-bios.ts';
import type { PvhConfig, PvhPlan } from './plan.ts';

/** Bytes a Region must have to back all that `mapPvh` maps: RAM and the pages of the ACPI tables. */
export const pvhBackingBytes = (plan: PvhPlan): number => plan.ramBytes + plan.acpi.data.length;

/** Maps RAM, from 0 on, and the ACPI pages to `region`, in this order. @throws RangeError when the region is too small. */
export function mapPvh(memory: GuestMemory, plan: PvhPlan, region: Region): void {
  const needed = pvhBackingBytes(plan);
  if (region.size < needed) throw new RangeError(`the region has ${region.size} bytes, the domain needs ${needed}`);
  mapRange(memory, 0 as Gpa, plan.ramBytes, region.at);
  mapRange(memory, plan.acpi.at, plan.acpi.data.length, (region.at + plan.ramBytes) as HostAddress);
}

/**
 * A second RSDP, in RAM, at the end of where a BIOS has it (ACPI 5.2.5.1). A kernel started by kexec gets no start info, and
 * Linux does not pass the address on when it was itself entered by PVH: it looks here. Linux keeps this range out of use.
 */
const LOW_RSDP_END = 0x10_0000;
const LOW_RSDP_BYTES = 64;
const RSDP_BYTES = 36;

/** Where the vCPU starts, for `enterPvh`. */
export interface PvhEntry {
  readonly entry: number;
  /** Of the start info, or the multiboot information: EBX. */
  readonly startInfoGpa: Gpa;
  /** EAX: who enters the Multiboot way says so. Default 0. */
  readonly magic?: number;
}

/**
 * Loads the domain into mapped memory. RAM outside of what it writes is left alone: to be zero, it must have been.
 * `config` must be the one that `plan` was made of.
 * @throws Error when a page of the plan is not mapped.
 */
export function loadPvh(memory: GuestMemory, plan: PvhPlan, config: PvhConfig): PvhEntry {
  for (const segment of config.kernel.segments) {
    put(memory, segment.paddr, segment.data);
    zero(memory, segment.paddr + segment.data.length, segment.memSize - segment.data.length);
  }
  for (const [i, { at, size }] of plan.modules.entries()) {
    put(memory, at, config.modules?.[i]?.data ?? new Uint8Array(0));
    zero(memory, at + size, Math.ceil((at + size) / PAGE_SIZE) * PAGE_SIZE - (at + size));
  }
  put(memory, plan.boot.at, plan.bootBlock);
  const pc = plan.protocol === 'multiboot';
  if (pc) for (const { at, data } of nullBios()) put(memory, at, data);
  put(memory, plan.acpi.at, plan.acpi.data);
  if (plan.kernel.at >= LOW_RSDP_END) {
    const rsdp = plan.acpi.data.subarray(plan.acpi.rsdpGpa - plan.acpi.at).subarray(0, RSDP_BYTES);
    put(memory, LOW_RSDP_END - LOW_RSDP_BYTES, rsdp);
  }
  return { entry: plan.entry, startInfoGpa: plan.boot.at, ...(pc && { magic: MULTIBOOT_ENTRY_MAGIC }) };
}

function mapRange(memory: GuestMemory, gpa: Gpa, size: number, host: HostAddress): void {
  const first = gpaToGfn(gpa);
  for (let i = 0; i < size / PAGE_SIZE; i++) memory.map((first + i) as Gfn, (host + i * PAGE_SIZE) as HostAddress);
}

function put(memory: GuestMemory, gpa: number, data: Uint8Array): void {
  if (!memory.write(gpa as Gpa, data)) throw new Error(`no memory for ${data.length} bytes at 0x${gpa.toString(16)}`);
}

function zero(memory: GuestMemory, gpa: number, size: number): void {
  const zeros = new Uint8Array(Math.min(size, ZERO_CHUNK));
  for (let done = 0; done < size; done += ZERO_CHUNK) {
    put(memory, gpa + done, zeros.subarray(0, Math.min(ZERO_CHUNK, size - done)));
  }
}
const ZERO_CHUNK = 1 << 20;
