// PV devices as a person writes them, opened on this host: disks by their paths, networks by their kind.
import { randomBytes } from 'node:crypto';
import { DiskDevice } from '../backends/block/disk-device.ts';
import { vdevNumber } from '../backends/block/vdev.ts';
import { VifDevice } from '../backends/net/vif-device.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import { ImageError } from '../image/image-error.ts';
import type { BlockStore } from '../io/block-store.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import type { FrameSink } from '../io/frame-sink.ts';
import { CapturingSink } from '../net/capturing-sink.ts';
import type { UserNetworkOptions } from '../net/user/network-plan.ts';
import { UserNetwork } from '../net/user/user-network.ts';
import { EventLoopClock } from '../time/event-loop-clock.ts';
import { NodeSockets } from './node-sockets.ts';
import { type DiskFormat, openDisk } from './open-disk.ts';
import { PcapFile } from './pcap-file.ts';

export interface DiskConfig {
  /** xvda, sdb1, hdc, d0p1, … */
  readonly vdev: string;
  /** A file, a block device or an http(s) address; or a store of one's own; neither: a CD drive without a medium. */
  readonly path?: string;
  readonly store?: BlockStore;
  /** Default: what the contents look like. Say it for disks whose guest you do not trust. */
  readonly format?: DiskFormat;
  readonly readOnly?: boolean;
  readonly cdrom?: boolean;
  /** Writes go to memory and are forgotten. */
  readonly snapshot?: boolean;
  /** Whether the guest is offered discard. Default true, where the disk can. */
  readonly discard?: boolean;
}

export interface VifConfig extends Omit<UserNetworkOptions, 'mac' | 'mtu'> {
  /** The card's number. Default: the lowest that is free. */
  readonly id?: number;
  /** Of the guest's card. Default: a random one of Xen's. */
  readonly mac?: string;
  readonly mtu?: number;
  /** What it is plugged into; default: a network in user mode, which the other options describe. */
  readonly sink?: FrameSink;
  /** A file that all frames are written to, in libpcap's format. */
  readonly pcap?: string;
}

export interface DeviceConfigs {
  /** Disks, by path or with a store of one's own. */
  readonly disks?: readonly DiskConfig[];
  /** Network cards; each is plugged into a network in user mode of its own unless it says otherwise. */
  readonly vifs?: readonly VifConfig[];
}

/**
 * Opens everything, or nothing. What is opened is closed by the domain that is given it.
 * @throws BlockStoreError, ImageError, NetworkOptionError, and the host's errors for ports that cannot be had
 */
export async function openDevices({ disks = [], vifs = [] }: DeviceConfigs): Promise<readonly PvDevice[]> {
  const opened: PvDevice[] = [];
  try {
    for (const disk of disks) opened.push(await openDiskDevice(disk));
    for (const vif of vifs) opened.push(await openVifDevice(vif));
  } catch (error) {
    await closeDevices(opened);
    throw error;
  }
  return opened;
}

/** For devices that no domain has been given. */
export async function closeDevices(devices: readonly PvDevice[]): Promise<void> {
  for (const device of devices) await device.close();
}

/** @throws BlockStoreError, ImageError, RangeError when `vdev` names no disk */
export async function openDiskDevice(config: DiskConfig): Promise<DiskDevice> {
  const { vdev, path, store, format, readOnly = false, cdrom = false, snapshot = false, discard } = config;
  const common = { vdev, readOnly, cdrom, ...(discard !== undefined && { discard }) };
  if (path === undefined) return new DiskDevice({ ...common, store });
  if (vdevNumber(vdev) === undefined) throw new RangeError(`${vdev} names no disk`);
  const how = { path, readOnly: readOnly || cdrom, overlay: snapshot, ...(format !== undefined && { format }) };
  const disk = await openDisk(how).catch((error: unknown) => {
    throw error instanceof ImageError
      ? new BlockStoreError('not-a-disk', `${path}: ${error.message}`, 'see `dom1 image check`', { cause: error })
      : error;
  });
  return new DiskDevice({ ...common, params: path, store: disk.store, close: () => disk.close() });
}

/** @throws NetworkOptionError, and the host's errors for ports that cannot be had */
export async function openVifDevice(config: VifConfig): Promise<VifDevice> {
  const { id, mac, mtu, sink, pcap, ...options } = config;
  const card = { ...(id !== undefined && { id }), ...(mac !== undefined && { mac }), ...(mtu !== undefined && { mtu }) };
  const clock = new EventLoopClock();
  const random = (): number => randomBytes(4).readUInt32LE();
  const network = { ...options, ...(mtu !== undefined && { mtu }) };
  const link = sink ?? (await UserNetwork.open({ sockets: new NodeSockets(), clock, random }, network));
  const capture = pcap === undefined ? undefined : new PcapFile(pcap);
  const close = async (): Promise<void> => {
    await link.close();
    clock.close();
    await capture?.close();
  };
  return new VifDevice({ ...card, sink: capture === undefined ? link : new CapturingSink(link, capture.write), close });
}
