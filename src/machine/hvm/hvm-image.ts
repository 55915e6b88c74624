// An HVM domain's memory before its first instruction: RAM with the BIOS at its place below 1 MiB, the tables that hvmloader would have
// built, and a kernel and an initrd when they are given. Decided once, filled at each start.
import { type Gfn, type Gpa, gpaToGfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { GuestImage } from '../guest-image.ts';
import { MachineError } from '../pvh/machine-error.ts';
import type { MemmapEntry } from '../pvh/memory-map.ts';
import { COMMAND_LINE_LIMIT } from '../pvh/plan.ts';
import { buildHvmTables } from './acpi-tables.ts';
import { buildBiosInfo } from './bios-info.ts';
import { buildKernelRom } from './kernel-rom.ts';
import { completeSetup, readLinuxImage } from './linux-image.ts';
import { BIOS_END, BIOS_INFO_GPA, BIOS_TABLES_GPA, buildHvmMemmap, HVM_RAM_LIMIT, LEGACY_VGA } from './memory-map.ts';

export interface HvmConfig {
  readonly ramBytes: number;
  readonly vcpus: number;
  /** 16 bytes, for SMBIOS. */
  readonly uuid: Uint8Array;
  /** SeaBIOS, 64 to 256 KiB. */
  readonly bios: Uint8Array;
  /** A bzImage to boot instead of a disk. */
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
}

const MIB = 1 << 20;
/**
 * What SeaBIOS takes at the end of RAM before it starts a kernel: 16 MiB for good where there are 33 (src/malloc.c of SeaBIOS, BUILD_MAX_HIGHTABLE),
 * and below them what it needs while it starts, its own relocated code among it. An initrd must not lie there.
 */
const BIOS_HIGH = { most: 16 * MIB, from: 33 * MIB } as const;
const BIOS_SCRATCH = 4 * MIB;
const biosBytes = (ramBytes: number): number => BIOS_SCRATCH + (ramBytes >= BIOS_HIGH.from ? BIOS_HIGH.most : 0);
const LEAST_RAM = 16 * MIB;
const BIOS_BYTES = { least: 64 << 10, most: 256 << 10 } as const;
const ROM_FILE = 'kernel.rom';

interface Placed {
  readonly at: number;
  readonly data: Uint8Array;
}

export class HvmImage implements GuestImage {
  readonly ioapic = true;
  readonly ramBytes: number;
  readonly memmap: readonly MemmapEntry[];
  /** For the firmware configuration device. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly #tables: Uint8Array;
  readonly #placed: readonly Placed[];

  /** @throws MachineError, ImageError */
  constructor(config: HvmConfig) {
    const { bios, ramBytes } = config;
    checkSizes(config);
    this.ramBytes = ramBytes;
    const tables = buildHvmTables({ vcpus: config.vcpus, at: BIOS_TABLES_GPA, uuid: config.uuid, ramBytes });
    this.#tables = tables.data;
    this.memmap = buildHvmMemmap(ramBytes, bios.length, tables.data.length);
    const direct = config.kernel === undefined ? undefined : placeKernel(config, config.kernel);
    this.files = direct?.files ?? new Map();
    this.#placed = [
      { at: BIOS_END - bios.length, data: bios },
      { at: BIOS_TABLES_GPA, data: tables.data },
      { at: BIOS_INFO_GPA, data: buildBiosInfo(tables.roots, this.memmap) },
      ...(direct?.placed ?? []),
    ];
  }

  get backingBytes(): number {
    return this.ramBytes + this.#tables.length;
  }

  map(memory: GuestMemory, region: Region): void {
    for (let gpa = 0; gpa < this.ramBytes; gpa += PAGE_SIZE) {
      // A VGA's memory is the VGA's, and what RAM is there is lost.
      if (gpa >= LEGACY_VGA.at && gpa < LEGACY_VGA.at + LEGACY_VGA.size) continue;
      memory.map(gpaToGfn(gpa as Gpa), (region.at + gpa) as HostAddress);
    }
    const first = gpaToGfn(BIOS_TABLES_GPA);
    for (let i = 0; i < this.#tables.length / PAGE_SIZE; i++)
      memory.map((first + i) as Gfn, (region.at + this.ramBytes + i * PAGE_SIZE) as HostAddress);
  }

  /** Its files are loaded as they are. */
  prepare(): Promise<void> {
    return Promise.resolve();
  }

  load(memory: GuestMemory): undefined {
    for (const { at, data } of this.#placed)
      if (!memory.write(at as Gpa, data)) throw new Error(`no memory for ${data.length} bytes at 0x${at.toString(16)}`);
    return undefined;
  }
}

function checkSizes({ bios, ramBytes, vcpus }: HvmConfig): void {
  if (ramBytes % PAGE_SIZE !== 0)
    throw new MachineError('memory-unaligned', `${ramBytes} bytes of memory are not whole pages`, 'give a multiple of 4 KiB');
  if (ramBytes < LEAST_RAM)
    throw new MachineError('memory-too-small', 'an HVM domain needs 16 MiB for its BIOS to start', 'give at least 16MiB');
  if (ramBytes > HVM_RAM_LIMIT)
    throw new MachineError('memory-too-large', 'an HVM domain has its PCI devices above 3840 MiB', 'give at most 3840MiB');
  if (bios.length < BIOS_BYTES.least || bios.length > BIOS_BYTES.most || bios.length % PAGE_SIZE !== 0)
    throw new MachineError('bios-size', `a BIOS of ${bios.length} bytes`, "give SeaBIOS's bios.bin or bios-256k.bin");
  if (vcpus !== 1)
    throw new MachineError('too-many-vcpus', 'the chips of an HVM domain serve one vCPU', 'give vcpus=1, or type="pvh"');
}

/** The kernel at 1 MiB, the initrd below what SeaBIOS uses, and the ROM that starts them. */
function placeKernel(config: HvmConfig, bytes: Uint8Array): { placed: Placed[]; files: Map<string, Uint8Array> } {
  const { initrd, ramBytes } = config;
  const { setup, kernel, initrdMax } = readLinuxImage(bytes);
  const end = Math.min(ramBytes - biosBytes(ramBytes), initrdMax + 1);
  const initrdAt = initrd === undefined ? end : Math.floor((end - initrd.length) / PAGE_SIZE) * PAGE_SIZE;
  if (BIOS_END + kernel.length > initrdAt) {
    const need = Math.ceil((BIOS_END + kernel.length + (initrd?.length ?? 0)) / MIB) + 1 + (BIOS_SCRATCH + BIOS_HIGH.most) / MIB;
    throw new MachineError('kernel-does-not-fit', 'kernel and initrd do not fit into memory', `give at least ${need}MiB`);
  }
  completeSetup(setup, initrd === undefined ? undefined : { at: initrdAt, size: initrd.length });
  const commandLine = new TextEncoder().encode(config.commandLine);
  const rom = buildKernelRom(setup, Uint8Array.of(...commandLine, 0));
  if (commandLine.length > COMMAND_LINE_LIMIT || commandLine.includes(0) || rom === undefined)
    throw new MachineError(
      'command-line-too-long',
      `a command line of ${commandLine.length} bytes`,
      `give at most ${COMMAND_LINE_LIMIT} of text`,
    );
  const placed = [{ at: BIOS_END, data: kernel }, ...(initrd === undefined ? [] : [{ at: initrdAt, data: initrd }])];
  const files = new Map([
    [`genroms/${ROM_FILE}`, rom],
    ['bootorder', new TextEncoder().encode(`/rom@genroms/${ROM_FILE}\n\0`)],
  ]);
  return { placed, files };
}
