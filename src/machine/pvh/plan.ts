// Decides where everything of a PVH domain lies, before any memory exists. Pure: the same input gives the same plan.
import { type Gpa, PAGE_SIZE } from '../../abi/types.ts';
import type { BootProtocol, KernelImage } from '../../image/kernel.ts';
import { type AcpiImage, buildAcpi } from './acpi.ts';
import type { PlacedModule } from './boot-block.ts';
import { MachineError } from './machine-error.ts';
import { buildMemmap, type GpaRange, type MemmapEntry, RAM_LIMIT, SPECIAL_PAGES } from './memory-map.ts';
import { buildMultibootInfo } from './multiboot-info.ts';
import { BASE_MEMORY_BYTES, BIOS } from './null-bios.ts';
import { buildStartInfo } from './start-info.ts';

/** What is needed of a kernel: its segments, and the physical address of its 32-bit entry. */
export type PvhKernel = Pick<KernelImage, 'entry' | 'segments'>;

/** A file that is loaded beside the kernel: its initrd, or what a hypervisor is to run. */
export interface BootModule {
  readonly data: Uint8Array;
  /** 4095 bytes at most. Default: empty. */
  readonly commandLine?: string;
}

export interface PvhConfig {
  readonly kernel: PvhKernel;
  /** How the kernel is entered. Default 'pvh'. */
  readonly protocol?: BootProtocol;
  /** In the order in which the kernel is told of them. Default: none. */
  readonly modules?: readonly BootModule[];
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
  readonly protocol: BootProtocol;
  /** Start info or multiboot information, memory map, module list and command lines, in one block of whole pages right after the kernel. */
  readonly boot: GpaRange;
  readonly bootBlock: Uint8Array;
  /** At the end of RAM, page-aligned, in their order. */
  readonly modules: readonly PlacedModule[];
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
  const { ramBytes, vcpus, ioapic, protocol = 'pvh', modules: files = [] } = config;
  checkRam(ramBytes);
  const kernel = kernelRange(config.kernel);
  const pc = protocol === 'multiboot';
  if (pc && kernel.at < PC_KERNEL_START)
    throw new MachineError(
      'kernel-does-not-fit',
      `the kernel wants to lie at ${hex(kernel.at)}, where a PC has its BIOS`,
      'enter it the PVH way, which is the default',
    );
  const acpi = buildAcpi({ vcpus, ioapic });
  const reserved = [...(config.reserved ?? [SPECIAL_PAGES]), ...(pc ? [BIOS] : [])];
  const ram = pc ? pcRam(ramBytes) : [{ at: 0 as Gpa, size: ramBytes }];
  const memmap = buildMemmap(ram, { at: acpi.at, size: acpi.data.length }, ioapic, reserved);
  const modules = placeModules(files, ramBytes);
  const commandLine = encodeCommandLine(pc ? `${MULTIBOOT_IMAGE_NAME} ${config.commandLine}` : config.commandLine);
  const facts = { commandLine, modules, memmap, rsdpGpa: acpi.rsdpGpa };
  const bootAt = pageUp(kernel.at + kernel.size);
  const bootBlock = pc ? buildMultibootInfo(bootAt, facts) : buildStartInfo(bootAt, facts);
  checkFit(ramBytes, kernel, bootAt + bootBlock.length, ramBytes - (modules[0]?.at ?? ramBytes), modules.length);
  return {
    ramBytes,
    memmap,
    acpi,
    kernel,
    protocol,
    boot: { at: bootAt as Gpa, size: bootBlock.length },
    bootBlock,
    modules,
    entry: config.kernel.entry,
  };
}

/** Boot loaders say the kernel's file first, and Xen leaves the first word out, whatever it is (xen/arch/x86/setup.c, cmdline_cook). */
const MULTIBOOT_IMAGE_NAME = 'kernel';
/** Below it are base memory and the BIOS. */
const PC_KERNEL_START = 0x10_0000;

const pcRam = (ramBytes: number): GpaRange[] =>
  [
    { at: 0 as Gpa, size: Math.min(ramBytes, BASE_MEMORY_BYTES) },
    { at: PC_KERNEL_START as Gpa, size: ramBytes - PC_KERNEL_START },
  ].filter(({ size }) => size > 0);

/** From the end of RAM downwards; where they do not fit, the first begins below the kernel, or below 0. */
function placeModules(files: readonly BootModule[], ramBytes: number): PlacedModule[] {
  let end = ramBytes;
  const placed = files.toReversed().map(({ data, commandLine = '' }) => {
    end = pageDown(end - data.length);
    return { at: end as Gpa, size: data.length, commandLine: encodeCommandLine(commandLine) };
  });
  return placed.reverse();
}

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

function checkFit(ramBytes: number, kernel: GpaRange, bootEnd: number, moduleBytes: number, moduleCount: number): void {
  const needed = bootEnd + moduleBytes;
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
  if (moduleBytes > 0 && bootEnd <= ramBytes) {
    const what = moduleCount === 1 ? 'the initrd has' : `the ${moduleCount} modules have`;
    const problem = `${what} ${mib(moduleBytes)}, and beside the kernel there is room for ${Math.floor((ramBytes - bootEnd) / MIB)} MiB`;
    throw new MachineError('initrd-too-large', problem, hint);
  }
  throw new MachineError('memory-too-small', `${mib(ramBytes)} of memory do not hold the kernel and its start info`, hint);
}
