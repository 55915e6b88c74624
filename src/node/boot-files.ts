// Which files a domain boots: its kernel by itself, or through GRUB, under PVH or within Xen's PV shim; or the BIOS of an HVM domain.
import { SHIM_COMMAND_LINE } from '../control/xl-config/key-table.ts';
import type { BootProtocol } from '../image/kernel.ts';
import { RAM_LIMIT } from '../machine/pvh/memory-map.ts';
import { fetchGrub, fetchSeabios, fetchShim, fetchVgaBios } from './boot-images.ts';
import type { CreateDomainConfig } from './create-domain.ts';
import type { GuestPartsOptions } from './guest-parts.ts';

/** A path, or bytes. */
export type GuestFile = string | Uint8Array;

/** A file that is loaded beside the kernel. */
export interface BootModuleFile {
  readonly file: GuestFile;
  /** Default: empty. */
  readonly commandLine?: string;
}

/** Xen's PV shim, which a PV guest runs in. */
export interface ShimConfig {
  /** Default: that of Debian's newest xen-utils, fetched with apt. */
  readonly file?: GuestFile;
  /** Default: "pv-shim console=xen". */
  readonly commandLine?: string;
}

/** What is loaded, and what it is told. */
export interface BootFiles {
  /** What the machine is to be; a PV guest's shim is a PVH kernel. */
  readonly type: 'pvh' | 'hvm';
  readonly kernel?: GuestFile;
  readonly bios?: GuestFile;
  /** Of an HVM domain with a VGA. */
  readonly vgaBios?: GuestFile;
  readonly initrd?: GuestFile;
  readonly bootModules: readonly BootModuleFile[];
  readonly commandLine?: string;
  readonly bootProtocol?: BootProtocol;
}

type BootConfig = Pick<
  CreateDomainConfig,
  'type' | 'kernel' | 'initrd' | 'bios' | 'vga' | 'bootModules' | 'commandLine' | 'bootProtocol' | 'shim'
>;

/** Fetches what is not given. @throws GuestPartsError, ImageError */
export async function bootFiles(config: BootConfig, options: GuestPartsOptions = {}): Promise<BootFiles> {
  const { type = 'pvh', initrd, commandLine, bootModules = [], bootProtocol, shim = {} } = config;
  const line = commandLine !== undefined && { commandLine };
  const disk = initrd !== undefined && { initrd };
  if (type === 'hvm') {
    const bios = config.bios ?? (await fetchSeabios(options));
    const vga = config.vga !== 'none' && { vgaBios: await fetchVgaBios(options) };
    return {
      type,
      bios,
      ...vga,
      bootModules: [],
      ...(config.kernel !== undefined && { kernel: config.kernel }),
      ...disk,
      ...line,
    };
  }
  const kernel = config.kernel ?? (await fetchGrub(type === 'pv' ? 'x86_64-xen' : 'i386-xen_pvh', options));
  const entry = bootProtocol !== undefined && { bootProtocol };
  if (type === 'pvh') return { type, kernel, ...disk, bootModules, ...line, ...entry };
  const guest: BootModuleFile[] = [
    { file: kernel, ...line },
    ...(initrd === undefined ? [] : [{ file: initrd }]),
    ...bootModules,
  ];
  return {
    type: 'pvh',
    kernel: shim.file ?? (await fetchShim(options)),
    bootModules: guest,
    commandLine: shim.commandLine ?? SHIM_COMMAND_LINE,
    ...entry,
  };
}

const MIB = 2 ** 20;

/**
 * The most that a PV guest of `memoryBytes` is to begin with, its shim included, when it may have up to `maxMemoryBytes`: 24 MiB and 1/128
 * more. The shim keeps a little less for itself, and the guest's balloon gives back what is over. With less than memory/target says, a
 * Linux guest would ask the shim for the rest again and again.
 */
export function memoryWithShim(memoryBytes: number, maxMemoryBytes = memoryBytes): number {
  const most = Math.max(memoryBytes, maxMemoryBytes);
  return Math.max(most, Math.min(RAM_LIMIT, most + 24 * MIB + Math.ceil(most / (128 * MIB)) * MIB));
}
