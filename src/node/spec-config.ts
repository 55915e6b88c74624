// From a domain's specification to what `createDomain` takes.
import { positionText } from '../control/xl-config/config-error.ts';
import type { ChannelSpec } from '../control/xl-config/device-specs.ts';
import type { DiskSpec } from '../control/xl-config/disk-spec.ts';
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import type { VifSpec } from '../control/xl-config/vif-spec.ts';
import type { BootDevice } from '../machine/hvm/board-config.ts';
import type { CreateDomainConfig } from './create-domain.ts';
import type { ChannelConfig } from './open-channel.ts';
import type { DiskConfig, VifConfig } from './open-devices.ts';
import { displayDevices } from './open-display.ts';

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
 * What `createDomain` takes, of a domain's specification.
 * @param directory where domains find each other, and the members of a switch. Default: the user's
 * @throws UnsupportedDomainError, XlConfigError
 */
export function specConfig(spec: DomainSpec, directory?: string): CreateDomainConfig {
  const { name, type, kernel, ramdisk, shim, uuid, clock } = spec;
  if (kernel === undefined && type !== 'hvm' && spec.disks.length === 0)
    throw new UnsupportedDomainError(
      `${name}: there is no kernel to boot, and no disk`,
      'add kernel = "…" or disk = [ "…" ] to the configuration',
    );
  if (type === 'hvm') checkCards(spec);
  return {
    name,
    ...(type === 'hvm' && hvmConfig(spec)),
    ...(kernel !== undefined && { kernel }),
    ...(ramdisk !== undefined && { initrd: ramdisk }),
    ...(shim !== undefined && {
      type: 'pv',
      shim: { commandLine: shim.commandLine, ...(shim.path !== undefined && { file: shim.path }) },
    }),
    commandLine: spec.commandLine,
    memory: spec.memoryMiB * 2 ** 20,
    ...(spec.maxmemMiB > spec.memoryMiB && { maxMemoryBytes: spec.maxmemMiB * 2 ** 20 }),
    ...(spec.vcpus > 1 && { vcpus: spec.vcpus }),
    ...(clock !== undefined && { clock }),
    ...(uuid !== undefined && { uuid: uuidBytes(uuid) }),
    emulation: { pirq: spec.hvmPirq, viridian: spec.viridian.length > 0 },
    disks: spec.disks.map(diskConfig),
    vifs: spec.vifs.map((vif) => vifConfig(vif, directory)),
    channels: spec.channels.map(channelConfig),
    shares: spec.p9.map(({ tag, path }, id) => ({ tag, path, id })),
    devices: displayDevices(spec.vfbs, spec.vkbs),
  };
}

/** What only an HVM guest has. */
const hvmConfig = ({ boot, biosPath, diskController, name, serial, vga }: DomainSpec): Partial<CreateDomainConfig> => ({
  type: 'hvm',
  consoleType: serial ? 'serial' : 'pv',
  vga: videoCard(name, vga),
  ...(boot !== undefined && { boot: [...boot] as BootDevice[] }),
  ...(biosPath !== undefined && { bios: biosPath }),
  ...(diskController !== undefined && { diskController }),
});

/** @throws UnsupportedDomainError */
function videoCard(name: string, vga = 'stdvga'): 'stdvga' | 'none' {
  if (vga === 'stdvga' || vga === 'none') return vga;
  throw new UnsupportedDomainError(`${name}: there is no video card ${vga} here`, 'use vga = "stdvga" or "none"');
}

/** @throws UnsupportedDomainError */
function checkCards({ vifs }: DomainSpec): void {
  for (const { emulated, model = 'rtl8139', position } of vifs) {
    if (emulated && model !== 'rtl8139')
      throw new UnsupportedDomainError(
        `${positionText(position)}: there is no network card ${model} here`,
        'use model=rtl8139, or type=vif for the PV card alone',
      );
  }
}

/** @throws UnsupportedDomainError */
export function diskConfig({ vdev, target, format, readonly, cdrom, discard, position }: DiskSpec): DiskConfig {
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

/** @param directory where the members of a switch find each other. Default: the user's */
export function vifConfig(
  { devid, emulated, mac, mtu, bridge, link, hostfwd, pcap, position }: VifSpec,
  directory?: string,
): VifConfig {
  const named = link?.kind === 'switch' && directory !== undefined ? { ...link, directory } : link;
  return {
    id: devid,
    emulated,
    forwards: hostfwd,
    place: positionText(position),
    ...(named !== undefined && { link: named }),
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(bridge !== undefined && { bridge }),
    ...(pcap !== undefined && { pcap }),
  };
}

/** A vif whose files and sockets are where they are for whoever wrote it, whatever directory another process is in. */
export function absoluteVif(vif: VifSpec, absolute: (path: string) => string): VifSpec {
  const { link, pcap } = vif;
  const local = link?.kind === 'socket' && 'path' in link.address ? link.address.path : undefined;
  return {
    ...vif,
    ...(pcap !== undefined && { pcap: absolute(pcap) }),
    ...(link?.kind === 'socket' && local !== undefined && { link: { ...link, address: { path: absolute(local) } } }),
  };
}

/** Channels are the consoles after the primary one, in their order: libxl__init_console_from_channel. */
const channelConfig = ({ name, connection, path }: ChannelSpec, index: number): ChannelConfig => ({
  id: index + 1,
  name,
  connection,
  ...(path !== undefined && { path }),
});

const uuidBytes = (uuid: string): Uint8Array => new Uint8Array(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
