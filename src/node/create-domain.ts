// A domain on Node: files by their paths, memory as people write it, and a vCPU in a worker.
import { buildDomain, type Domain } from '../machine/domain.ts';
import type { BuildOptions, DomainConfig } from '../machine/domain-config.ts';
import { parseMemorySize } from '../machine/memory-size.ts';
import { type BootModuleFile, bootFiles, type GuestFile, memoryWithShim, type ShimConfig } from './boot-files.ts';
import { checkDomainConfig } from './check-domain-config.ts';
import { returnFreedMemory } from './freed-memory.ts';
import { readGuestFile } from './guest-file.ts';
import { NodeHost } from './node-host.ts';
import { closeDevices, type DeviceConfigs, openDevices, type VifConfig } from './open-devices.ts';

/** What a domain is made of: everything has a default, but there must be a kernel or a disk. */
export interface CreateDomainConfig
  extends Omit<DomainConfig, 'type' | 'kernel' | 'initrd' | 'bios' | 'vgaBios' | 'bootModules' | 'memoryBytes'>,
    DeviceConfigs {
  /** What kind of guest it is: 'pvh', the default; 'pv', which runs within Xen's PV shim; or 'hvm', a PC with a BIOS. */
  readonly type?: 'pvh' | 'pv' | 'hvm';
  /**
   * Its path, or its bytes: ELF or bzImage, with a PVH entry or, of a PV guest, with Xen's ELF notes. Default: GRUB of Debian's
   * grub-xen-host, fetched with apt, which reads the grub.cfg of the disks. Of an HVM guest: a bzImage to boot instead of a disk; default
   * none.
   */
  readonly kernel?: GuestFile;
  /** The BIOS of an HVM domain: its path, or its bytes. Default: Debian's SeaBIOS, fetched with apt. */
  readonly bios?: GuestFile;
  /** The video card of an HVM domain. Default 'stdvga': a standard VGA with SeaBIOS's VGA BIOS of Debian, fetched with apt. */
  readonly vga?: 'stdvga' | 'none';
  /** The initial RAM disk: its path, or its bytes. Default: none. */
  readonly initrd?: GuestFile;
  /** Files that are loaded beside the kernel, with their command lines, after the initrd: what a hypervisor is to run. Default: none. */
  readonly bootModules?: readonly BootModuleFile[];
  /** The shim of a PV guest. */
  readonly shim?: ShimConfig;
  /** RAM, such as "256MiB" or "1GiB", or a number of bytes: a multiple of 4 KiB, 3840 MiB at most. Default 256 MiB. */
  readonly memory?: string | number;
}

/** In the Xen project's range, where others have random ones. */
const withFixedMac = (vif: VifConfig, index: number): VifConfig => ({
  mac: `00:16:3e:00:00:${(index & 0xff).toString(16).padStart(2, '0')}`,
  ...vif,
});

/** What a domain has when nothing is said. */
export const DEFAULT_MEMORY = '256MiB';

/**
 * Builds a domain; `run()` starts it. When `options.signal` aborts, building is given up, and a domain that is built is
 * destroyed. `options.onProgress` is told what building is busy with.
 * @throws DomainConfigError, GuestFileError, GuestPartsError, ImageError, BlockStoreError, NetworkOptionError, MachineError, TracepointError, and the signal's reason.
 */
export async function createDomain(config: CreateDomainConfig, options: BuildOptions = {}): Promise<Domain> {
  checkDomainConfig(config);
  options.signal?.throwIfAborted();
  const host = new NodeHost(config.vcpus ?? 1);
  try {
    const domain = await createOn(host, config, options);
    void domain.ended.catch(() => {}).then(() => host[Symbol.dispose]());
    return domain;
  } catch (error) {
    host[Symbol.dispose]();
    throw error;
  }
}

async function createOn(host: NodeHost, config: CreateDomainConfig, options: BuildOptions): Promise<Domain> {
  const {
    type = 'pvh',
    kernel: _kernel,
    initrd: _initrd,
    bios: _bios,
    vga: _vga,
    bootModules: _modules,
    commandLine: _line,
    bootProtocol: _protocol,
    shim: _shim,
    memory = DEFAULT_MEMORY,
    disks = [],
    vifs = [],
    channels = [],
    shares = [],
    devices = [],
    ...rest
  } = config;
  const { signal } = options;
  const memoryBytes = typeof memory === 'string' ? parseMemorySize(memory) : memory;
  const boot = await bootFiles(config, signal === undefined ? {} : { signal });
  const read = async (file: GuestFile, role: string): Promise<Uint8Array> =>
    typeof file === 'string' ? readGuestFile(file, role, signal) : file;
  options.onProgress?.({ stage: 'read', done: 0, total: 1 });
  const { kernel, initrd, bios, vgaBios, bootModules, ...told } = boot;
  const parts = {
    ...told,
    ...(kernel !== undefined && { kernel: await read(kernel, 'kernel') }),
    ...(initrd !== undefined && { initrd: await read(initrd, 'initrd') }),
    ...(bios !== undefined && { bios: await read(bios, 'BIOS') }),
    ...(vgaBios !== undefined && { vgaBios: await read(vgaBios, 'VGA BIOS') }),
    bootModules: await Promise.all(
      bootModules.map(async ({ file, commandLine }) => ({
        data: await read(file, 'module'),
        ...(commandLine !== undefined && { commandLine }),
      })),
    ),
    memoryBytes,
    ...(type === 'pv' && { maxMemoryBytes: memoryWithShim(memoryBytes, rest.maxMemoryBytes) }),
  };
  options.onProgress?.({ stage: 'read', done: 1, total: 1 });
  const cards = rest.clock?.kind === 'virtual' ? vifs.map(withFixedMac) : vifs;
  const opened = await openDevices({ disks, vifs: cards, channels, shares });
  const all = { devices: [...opened, ...devices] };
  const domain = await buildDomain({ ...rest, ...parts, ...all }, host, options).catch(async (error: unknown) => {
    await closeDevices(opened);
    throw error;
  });
  const returning = returnFreedMemory();
  void domain.ended.catch(() => {}).then(() => returning[Symbol.dispose]());
  if (signal !== undefined) {
    const destroy = (): void => void domain.destroy();
    signal.addEventListener('abort', destroy, { once: true });
    void domain.ended.catch(() => {}).then(() => signal.removeEventListener('abort', destroy));
  }
  return domain;
}
