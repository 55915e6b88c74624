// Decides where everything of a PVH domain lies, before any memory exists. Pure: the same input gives the same plan.
import { hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info } from '../../abi/pvh.ts';
import { type Gpa, PAGE_SIZE } from '../../abi/types.ts';
import type { KernelImage } from '../../image/kernel.ts';
import { type AcpiImage, buildAcpi } from './acpi.ts';
import { MachineError } from './machine-error.ts';
import { buildMemmap, type GpaRange, type MemmapEntry, RAM_LIMIT, SPECIAL_PAGES } from './memory-map.ts';

/** What is needed of a kernel: its segments, and the physical address of its 32-bit entry. */
export type PvhKernel = Pick<KernelImage, 'entry' | 'segments'>;

export interface PvhConfig {
  readonly kernel: PvhKernel;
  /** Loaded as module 0. */
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
  /** A multiple of 4096, up to RAM_LIMIT. */
  readonly ramBytes: number;
  readonly vcpus: number;
  readonly ioapic: boolean;
  /** What else the memory map reserves. Default: Xen's eight special pages. */
  readonly reserved?: readonly GpaRange[];
}

export interface PvhPlan {
  readonly ramBytes: number;
  readonly memmap: readonly MemmapEntry[];
  readonly acpi: AcpiImage;
  /** From the first byte of the kernel to its last, bss included. */
  readonly kernel: GpaRange;
  /** Start info, memory map, module list and command line, in one block of whole pages right after the kernel. */
  readonly boot: GpaRange;
  readonly startInfoGpa: Gpa;
  readonly memmapGpa: Gpa;
  readonly modlistGpa: Gpa;
  readonly commandLineGpa: Gpa;
  /** With the NUL at its end. */
  readonly commandLine: Uint8Array;
  /** At the end of RAM, page-aligned; undefined when there is none. */
  readonly initrd: GpaRange | undefined;
  readonly entry: number;
}

/** Longest command line in bytes; Linux itself reads 2047 of them. */
export const COMMAND_LINE_LIMIT = 4095;

const MIB = 1 << 20;
const mib = (bytes: number): string => `${Math.ceil(bytes / MIB)} MiB`;
const hex = (value: number): string => `0x${value.toString(16)}`;
const pageUp = (value: number): number => Math.ceil(value / PAGE_SIZE) * PAGE_SIZE;
const pageDown = (value: number): number => Math.floor(value / PAGE_SIZE) * PAGE_SIZE;

/**
 * Plans a domain.
 * The start info goes where Xen puts it, close behind the kernel: Linux reads the memory map through early page tables
 * that reach 1 GiB. The initrd goes to the end of RAM, out of the way of a kernel that grows its heap behind itself.
 * @throws MachineError when something does not fit, with the memory it would take.
 */
export function planPvh(config: PvhConfig): PvhPlan {
  const { ramBytes, vcpus, ioapic } = config;
  checkRam(ramBytes);
  const kernel = kernelRange(config.kernel);
  const acpi = buildAcpi({ vcpus, ioapic });
  const memmap = buildMemmap(ramBytes, { at: acpi.at, size: acpi.data.length }, ioapic, config.reserved ?? [SPECIAL_PAGES]);
  const commandLine = encodeCommandLine(config.commandLine);

  const startInfoGpa = pageUp(kernel.at + kernel.size);
  const modlistGpa = startInfoGpa + align8(hvm_start_info.sizeof);
  const memmapGpa = modlistGpa + hvm_modlist_entry.sizeof;
  const commandLineGpa = memmapGpa + memmap.length * hvm_memmap_table_entry.sizeof;
  const bootEnd = pageUp(commandLineGpa + commandLine.length);
  const initrdBytes = config.initrd?.length ?? 0;
  checkFit(ramBytes, kernel, bootEnd, pageUp(initrdBytes));
  return {
    ramBytes,
    memmap,
    acpi,
    kernel,
    boot: { at: startInfoGpa as Gpa, size: bootEnd - startInfoGpa },
    startInfoGpa: startInfoGpa as Gpa,
    modlistGpa: modlistGpa as Gpa,
    memmapGpa: memmapGpa as Gpa,
    commandLineGpa: commandLineGpa as Gpa,
    commandLine,
    initrd: config.initrd === undefined ? undefined : { at: pageDown(ramBytes - initrdBytes) as Gpa, size: initrdBytes },
    entry: config.kernel.entry,
  };
}

const align8 = (value: number): number => Math.ceil(value / 8) * 8;

function checkRam(ramBytes: number): void {
  if (!Number.isSafeInteger(ramBytes) || ramBytes <= 0) {
    throw new MachineError('memory-too-small', `${ramBytes} bytes of memory are none`, 'give a size such as 256MiB');
  }
  if (ramBytes % PAGE_SIZE !== 0) {
    throw new MachineError('memory-unaligned', `${ramBytes} bytes of memory are not whole pages`, 'give a multiple of 4 KiB');
  }
  if (ramBytes > RAM_LIMIT) {
    throw new MachineError(
      'memory-too-large',
      `${mib(ramBytes)} of memory is more than a guest can have`,
      `give at most ${mib(RAM_LIMIT)}`,
    );
  }
}

/** The kernel's place in memory, checked against itself and the address space. */
function kernelRange(image: PvhKernel): GpaRange {
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  for (const { paddr, data, memSize } of image.segments) {
    if (memSize < data.length) throw new Error(`a kernel segment of ${memSize} bytes with ${data.length} of data`);
    start = Math.min(start, paddr);
    end = Math.max(end, paddr + memSize);
  }
  if (end > RAM_LIMIT) {
    const problem = `the kernel wants to lie at ${hex(start)} to ${hex(end)}, but memory ends at ${hex(RAM_LIMIT)} at the latest`;
    throw new MachineError('kernel-does-not-fit', problem, 'use a kernel that is linked to a lower physical address');
  }
  if (!image.segments.some((s) => image.entry >= s.paddr && image.entry < s.paddr + s.memSize)) {
    throw new MachineError(
      'kernel-entry-outside',
      `the kernel's PVH entry ${hex(image.entry)} is in none of its segments`,
      'use a kernel whose file is intact',
    );
  }
  return { at: start as Gpa, size: end - start };
}

function encodeCommandLine(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > COMMAND_LINE_LIMIT || bytes.includes(0)) {
    const problem = bytes.includes(0) ? 'the command line has a NUL in it' : `the command line has ${bytes.length} bytes`;
    throw new MachineError('command-line-too-long', problem, `give at most ${COMMAND_LINE_LIMIT} bytes of text`);
  }
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

function checkFit(ramBytes: number, kernel: GpaRange, bootEnd: number, initrdBytes: number): void {
  const needed = bootEnd + initrdBytes;
  if (needed <= ramBytes) return;
  const hint =
    needed <= RAM_LIMIT
      ? `give at least ${mib(needed)}`
      : `use a smaller initrd: kernel and initrd may take ${mib(RAM_LIMIT)} together`;
  const end = kernel.at + kernel.size;
  if (end > ramBytes) {
    throw new MachineError(
      'kernel-does-not-fit',
      `the kernel ends at ${mib(end)} and the guest has ${mib(ramBytes)} of memory`,
      hint,
    );
  }
  if (initrdBytes > 0 && bootEnd <= ramBytes) {
    const problem = `the initrd has ${mib(initrdBytes)}, and beside the kernel there is room for ${Math.floor((ramBytes - bootEnd) / MIB)} MiB`;
    throw new MachineError('initrd-too-large', problem, hint);
  }
  throw new MachineError('memory-too-small', `${mib(ramBytes)} of memory do not hold the kernel and its start info`, hint);
}
