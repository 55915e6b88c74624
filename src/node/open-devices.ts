// PV devices as a person writes them, opened on this host: disks by their paths, networks by their kind.
import { randomBytes } from 'node:crypto';
import { ImageError } from '../image/image-error.ts';
import type { BlockStore } from '../io/block-store.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import type { FrameSink } from '../io/frame-sink.ts';
import type { DomainDisk, DomainVif } from '../machine/domain-config.ts';
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

export interface OpenDevices {
  readonly disks: readonly DomainDisk[];
  readonly vifs: readonly DomainVif[];
  close(): Promise<void>;
}

/**
 * Opens everything, or nothing. What is opened is closed by the domain that is given it.
 * @throws BlockStoreError, ImageError, NetworkOptionError, and the host's errors for ports that cannot be had
 */
export async function openDevices(disks: readonly DiskConfig[], vifs: readonly VifConfig[]): Promise<OpenDevices> {
  const opened = { disks: [] as DomainDisk[], vifs: [] as DomainVif[] };
  const close = async (): Promise<void> => {
    for (const device of [...opened.disks, ...opened.vifs]) await device.close?.();
  };
  try {
    for (const disk of disks) opened.disks.push(await openConfiguredDisk(disk));
    for (const vif of vifs) opened.vifs.push(await openVif(vif));
  } catch (error) {
    await close();
    throw error;
  }
  return { ...opened, close };
}

async function openConfiguredDisk(config: DiskConfig): Promise<DomainDisk> {
  const { vdev, path, store, format, readOnly = false, cdrom = false, snapshot = false, discard } = config;
  const common = { vdev, readOnly, cdrom, ...(discard !== undefined && { discard }) };
  if (path === undefined) return { ...common, store };
  const how = { path, readOnly: readOnly || cdrom, overlay: snapshot, ...(format !== undefined && { format }) };
  const disk = await openDisk(how).catch((error: unknown) => {
    throw error instanceof ImageError
      ? new BlockStoreError('not-a-disk', `${path}: ${error.message}`, 'see `dom1 image check`', { cause: error })
      : error;
  });
  return { ...common, params: path, store: disk.store, close: () => disk.close() };
}

async function openVif(config: VifConfig): Promise<DomainVif> {
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
  return { ...card, sink: capture === undefined ? link : new CapturingSink(link, capture.write), close };
}
