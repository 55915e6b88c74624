// Gives a guest a disk, with the nodes that libxl writes for one (libxl__device_disk_add).
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { BlockBackend, type BlockBackendOptions } from './block-backend.ts';
import { vdevNumber } from './vdev.ts';

export interface DiskOptions extends BlockBackendOptions {
  /** xvda, sdb1, hdc, d0p1, 51712, … */
  readonly vdev: string;
  /** What the disk is kept in, for people: such as "qcow2:/var/disk.img". */
  readonly params?: string;
}

export interface AttachedDisk {
  readonly device: BackendDevice;
  readonly backend: BlockBackend;
}

/** @throws RangeError when `vdev` names no disk; Error when there is one of that name. */
export function attachDisk(bus: BackendBus, options: DiskOptions): AttachedDisk {
  const { vdev, params = '', cdrom = false, removable = false, readOnly = false, discard = true, store } = options;
  const id = vdevNumber(vdev);
  if (id === undefined) throw new RangeError(`${vdev} names no disk`);
  const backend = new BlockBackend(options);
  const kind = cdrom ? 'cdrom' : 'disk';
  const readable = readOnly || cdrom || store?.readOnly !== false;
  const device = bus.attach(backend, {
    id,
    frontend: { 'virtual-device': id, 'device-type': kind },
    backend: {
      params,
      removable: removable ? 1 : 0,
      bootable: 1,
      dev: vdev,
      type: 'phy',
      mode: readable ? 'r' : 'w',
      'device-type': kind,
      'discard-enable': discard ? 1 : 0,
    },
  });
  return { device, backend };
}
