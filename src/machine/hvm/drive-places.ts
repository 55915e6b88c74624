// Which of a domain's disks have an emulated drive, and where on the IDE cables: the first four by their number, whatever their names'
// family, as libxl has it (libxl__build_device_model_args: hd, xvd and d, but not sd, which is for SCSI).
import { DiskDevice } from '../../backends/block/disk-device.ts';
import { vdevNumber } from '../../backends/block/vdev.ts';
import type { PvDevice } from '../../backends/pv-device.ts';
import { MOST_DRIVES } from './drive-region.ts';

/** By place; of two disks with the same number the first. */
export function drivePlaces(devices: readonly PvDevice[]): ReadonlyMap<number, DiskDevice> {
  const places = new Map<number, DiskDevice>();
  for (const device of devices) {
    if (!(device instanceof DiskDevice)) continue;
    const place = drivePlace(device.name);
    // A sector of 4096 bytes would have to be read to write a part of it.
    const fits = device.store === undefined ? device.cdrom : device.store.sectorSize === 512;
    if (place !== undefined && fits && !places.has(place)) places.set(place, device);
  }
  return places;
}

/** Undefined for what has no place: partitions, the fifth disk and those after it, SCSI disks. */
export function drivePlace(vdev: string): number | undefined {
  for (let place = 0; place < MOST_DRIVES; place++) {
    const letter = String.fromCharCode(97 + place);
    const number = vdevNumber(vdev);
    if (number === vdevNumber(`xvd${letter}`) || number === vdevNumber(`hd${letter}`)) return place;
  }
  return undefined;
}
