// PV devices as a person writes them, opened on this host: disks by their paths, networks by their kind.
import { DiskDevice, type Medium } from '../backends/block/disk-device.ts';
import { vdevNumber } from '../backends/block/vdev.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import { ImageError } from '../image/image-error.ts';
import type { BlockStore } from '../io/block-store.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import { type ChannelConfig, openChannel } from './open-channel.ts';
import { type DiskFormat, openDisk } from './open-disk.ts';
import { openShare, type ShareConfig } from './open-share.ts';
import { openVifDevice, type VifConfig } from './open-vif.ts';

export { openVifDevice, type VifConfig } from './open-vif.ts';

/** A disk of a domain. */
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

export interface DeviceConfigs {
  /** Disks, by path or with a store of one's own. */
  readonly disks?: readonly DiskConfig[];
  /** Network cards; each is plugged into a network in user mode of its own unless it says otherwise. */
  readonly vifs?: readonly VifConfig[];
  /** PV consoles for programs, each at a Unix socket or a pty. */
  readonly channels?: readonly ChannelConfig[];
  /** Folders of the host that the guest mounts by 9P. */
  readonly shares?: readonly ShareConfig[];
}

/**
 * Opens everything, or nothing. What is opened is closed by the domain that is given it.
 * @throws BlockStoreError, ImageError, NetworkOptionError, VifError, ChannelError, PtyError, SharedFolderError
 */
export async function openDevices(configs: DeviceConfigs): Promise<readonly PvDevice[]> {
  const { disks = [], vifs = [], channels = [], shares = [] } = configs;
  const opened: PvDevice[] = [];
  try {
    for (const disk of disks) opened.push(await openDiskDevice(disk));
    for (const vif of vifs) opened.push(await openVifDevice(vif));
    for (const channel of channels) opened.push(await openChannel(channel));
    for (const share of shares) opened.push(await openShare(share));
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

/** @throws BlockStoreError, RangeError when `vdev` names no disk */
export async function openDiskDevice(config: DiskConfig): Promise<DiskDevice> {
  const { vdev, path, store, readOnly = false, cdrom = false, discard } = config;
  const common = { vdev, readOnly, cdrom, ...(discard !== undefined && { discard }) };
  if (path === undefined) return new DiskDevice({ ...common, store });
  if (vdevNumber(vdev) === undefined) throw new RangeError(`${vdev} names no disk`);
  return new DiskDevice({ ...common, ...(await openMedium({ ...config, path })) });
}

/** What a disk is kept in. @throws BlockStoreError */
export async function openMedium(config: DiskConfig & { readonly path: string }): Promise<Medium> {
  const { path, format, readOnly = false, cdrom = false, snapshot = false } = config;
  const how = { path, readOnly: readOnly || cdrom, overlay: snapshot, ...(format !== undefined && { format }) };
  const disk = await openDisk(how).catch((error: unknown) => {
    throw error instanceof ImageError
      ? new BlockStoreError('not-a-disk', `${path}: ${error.message}`, 'see `dom1 image check`', { cause: error })
      : error;
  });
  return { params: path, store: disk.store, close: () => disk.close() };
}
