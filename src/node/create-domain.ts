// A domain on Node: files by their paths, memory as people write it, and a vCPU in a worker.
import { buildDomain, type Domain } from '../machine/domain.ts';
import type { BuildOptions, DomainConfig } from '../machine/domain-config.ts';
import { parseMemorySize } from '../machine/memory-size.ts';
import { checkDomainConfig } from './check-domain-config.ts';
import { readGuestFile } from './guest-file.ts';
import { nodeHost } from './node-host.ts';
import { closeDevices, type DeviceConfigs, openDevices } from './open-devices.ts';
import { fetchSeabios } from './seabios.ts';

/** What a domain is made of: everything but the kernel has a default. */
export interface CreateDomainConfig extends Omit<DomainConfig, 'bios' | 'kernel' | 'initrd' | 'memoryBytes'>, DeviceConfigs {
  /** ELF or bzImage with a PVH entry: its path, or its bytes. An HVM domain needs none, and takes a bzImage. */
  readonly kernel?: string | Uint8Array;
  /** The BIOS of an HVM domain: its path, or its bytes. Default: Debian's SeaBIOS, from the cache or the host's package tool. */
  readonly bios?: string | Uint8Array;
  /** The initial RAM disk: its path, or its bytes. Default: none. */
  readonly initrd?: string | Uint8Array;
  /** RAM, such as "256MiB" or "1GiB", or a number of bytes: a multiple of 4 KiB, 3840 MiB at most. Default 256 MiB. */
  readonly memory?: string | number;
}

/** What a domain has when nothing is said. */
export const DEFAULT_MEMORY = '256MiB';

/**
 * Builds a domain; `run()` starts it. When `options.signal` aborts, building is given up, and a domain that is built is
 * destroyed. `options.onProgress` is told what building is busy with.
 * @throws DomainConfigError, GuestFileError, ImageError, BlockStoreError, NetworkOptionError, MachineError, TracepointError, and the signal's reason.
 */
export async function createDomain(config: CreateDomainConfig, options: BuildOptions = {}): Promise<Domain> {
  checkDomainConfig(config);
  const {
    bios,
    kernel,
    initrd,
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
  signal?.throwIfAborted();
  const read = async (file: string | Uint8Array, role: string): Promise<Uint8Array> =>
    typeof file === 'string' ? readGuestFile(file, role, signal) : file;
  options.onProgress?.({ stage: 'read', done: 0, total: 1 });
  const kernelBytes = kernel === undefined ? undefined : await read(kernel, 'kernel');
  const biosBytes =
    rest.type !== 'hvm'
      ? undefined
      : bios === undefined
        ? await fetchSeabios({ ...(signal && { signal }) })
        : await read(bios, 'BIOS');
  const initrdBytes = initrd === undefined ? undefined : await read(initrd, 'initrd');
  options.onProgress?.({ stage: 'read', done: 1, total: 1 });
  const opened = await openDevices({ disks, vifs, channels, shares });
  const parts = {
    ...(kernelBytes !== undefined && { kernel: kernelBytes }),
    ...(biosBytes !== undefined && { bios: biosBytes }),
    ...(initrdBytes !== undefined && { initrd: initrdBytes }),
    memoryBytes,
  };
  const all = { devices: [...opened, ...devices] };
  const domain = await buildDomain({ ...rest, ...parts, ...all }, nodeHost, options).catch(async (error: unknown) => {
    await closeDevices(opened);
    throw error;
  });
  if (signal !== undefined) {
    const destroy = (): void => void domain.destroy();
    signal.addEventListener('abort', destroy, { once: true });
    void domain.ended.catch(() => {}).then(() => signal.removeEventListener('abort', destroy));
  }
  return domain;
}
