// From a domain's specification to what `createDomain` takes.
import { type ConfigPosition, positionText } from '../control/xl-config/config-error.ts';
import type { DiskSpec } from '../control/xl-config/disk-spec.ts';
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import type { VifSpec } from '../control/xl-config/vif-spec.ts';
import type { CreateDomainConfig } from './create-domain.ts';
import type { DiskConfig, VifConfig } from './open-devices.ts';

/** The specification asks for something that dom1 cannot do yet. `message` is one line with the next step. */
export class UnsupportedDomainError extends Error {
  override readonly name = 'UnsupportedDomainError';
  readonly hint: string;
  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

/**
 * Shares, channels, frame buffers and keyboards are not in it: they are in the specification.
 * @throws UnsupportedDomainError
 */
export function specConfig(spec: DomainSpec): CreateDomainConfig & { readonly kernel: string } {
  const { name, type, kernel, ramdisk, uuid } = spec;
  if (type === 'pv')
    throw new UnsupportedDomainError(
      `${name}: PV guests are not supported yet`,
      'use type = "pvh", if the kernel has a PVH entry',
    );
  if (type === 'hvm')
    throw new UnsupportedDomainError(`${name}: HVM guests are not supported yet`, 'use type = "pvh" and kernel = "…"');
  if (kernel === undefined)
    throw new UnsupportedDomainError(`${name}: there is no kernel to boot`, 'add kernel = "…" to the configuration');
  return {
    name,
    kernel,
    ...(ramdisk !== undefined && { initrd: ramdisk }),
    commandLine: spec.commandLine,
    memory: spec.memoryMiB * 2 ** 20,
    ...(spec.maxmemMiB > spec.memoryMiB && { maxMemoryBytes: spec.maxmemMiB * 2 ** 20 }),
    ...(spec.vcpus > 1 && { vcpus: spec.vcpus }),
    ...(uuid !== undefined && { uuid: uuidBytes(uuid) }),
    emulation: { pirq: spec.hvmPirq, viridian: spec.viridian.length > 0 },
    disks: spec.disks.map(diskConfig),
    vifs: spec.vifs.map(vifConfig),
  };
}

/** @throws UnsupportedDomainError */
function diskConfig({ vdev, target, format, readonly, cdrom, discard, position }: DiskSpec): DiskConfig {
  if (format !== 'raw' && format !== 'qcow2' && format !== 'empty')
    throw new UnsupportedDomainError(
      `${positionText(position)}: a disk in the format ${format} cannot be opened`,
      'convert it to raw or qcow2: qemu-img convert, or dom1 image convert',
    );
  return {
    vdev,
    readOnly: readonly,
    cdrom,
    discard,
    ...(target !== undefined && { path: target }),
    ...(format !== 'empty' && { format }),
  };
}

/** Every card has a network in user mode of its own, whatever bridge the configuration names. @throws UnsupportedDomainError */
function vifConfig({ devid, mac, mtu, link = 'user', hostfwd, pcap, position }: VifSpec): VifConfig {
  if (link !== 'user')
    throw new UnsupportedDomainError(`${positionText(position)}: link=${link} is not supported yet`, 'use link=user');
  return {
    id: devid,
    forwards: hostfwd,
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(pcap !== undefined && { pcap }),
  };
}

/** What the specification has and the domain will not: devices that are not connected yet. A line each, the place first. */
export function unconnectedDevices(spec: DomainSpec): readonly string[] {
  const line = (what: string, position: ConfigPosition): string =>
    `${positionText(position)}: ${what} is not supported yet, and the guest does not see it`;
  return [
    ...spec.p9.map(({ tag, position }) => line(`the share ${tag}`, position)),
    ...spec.channels.map(({ name, position }) => line(`the channel ${name}`, position)),
    ...spec.vfbs.map(({ position }) => line('the frame buffer', position)),
    ...spec.vkbs.map(({ position }) => line('the PV keyboard', position)),
  ];
}

const uuidBytes = (uuid: string): Uint8Array => new Uint8Array(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
