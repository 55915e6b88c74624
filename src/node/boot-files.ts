// Which files a domain boots: its kernel by itself, or through GRUB, and under PVH or within Xen's PV shim.
import { SHIM_COMMAND_LINE } from '../control/xl-config/key-table.ts';
import type { BootProtocol } from '../image/kernel.ts';
import { fetchGrub, fetchShim } from './boot-images.ts';
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
  /** Default: xl's: "pv-shim console=xen,pv". */
  readonly commandLine?: string;
}

/** What is loaded, and what it is told. */
export interface BootFiles {
  readonly kernel: GuestFile;
  readonly initrd?: GuestFile;
  readonly bootModules: readonly BootModuleFile[];
  readonly commandLine?: string;
  readonly bootProtocol?: BootProtocol;
}

type BootConfig = Pick<
  CreateDomainConfig,
  'type' | 'kernel' | 'initrd' | 'bootModules' | 'commandLine' | 'bootProtocol' | 'shim'
>;

/** Fetches what is not given. @throws GuestPartsError, ImageError */
export async function bootFiles(config: BootConfig, options: GuestPartsOptions = {}): Promise<BootFiles> {
  const { type = 'pvh', initrd, commandLine, bootModules = [], bootProtocol, shim = {} } = config;
  const kernel = config.kernel ?? (await fetchGrub(type === 'pv' ? 'x86_64-xen' : 'i386-xen_pvh', options));
  const line = commandLine !== undefined && { commandLine };
  const entry = bootProtocol !== undefined && { bootProtocol };
  if (type === 'pvh') return { kernel, ...(initrd !== undefined && { initrd }), bootModules, ...line, ...entry };
  const guest: BootModuleFile[] = [
    { file: kernel, ...line },
    ...(initrd === undefined ? [] : [{ file: initrd }]),
    ...bootModules,
  ];
  return {
    kernel: shim.file ?? (await fetchShim(options)),
    bootModules: guest,
    commandLine: shim.commandLine ?? SHIM_COMMAND_LINE,
    ...entry,
  };
}
