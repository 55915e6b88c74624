// Which of a domain's disks have an emulated drive, and where: the first four by their number on the IDE cables, or the first six at the ports of
// an AHCI controller, which takes no CD-ROM drives. Their names' family does not matter, as libxl has it (libxl__build_device_model_args_new:
// hd, xvd and d, but not sd, which is for SCSI).
import { DiskDevice } from '../../backends/block/disk-device.ts';
import { vdevNumber } from '../../backends/block/vdev.ts';
import type { PvDevice } from '../../backends/pv-device.ts';
import type { DiskController } from './board-config.ts';
import { MOST_PLACES } from './drive-region.ts';

/** A drive's place, and what it is in that place. */
export interface PlacedDrive {
  readonly place: number;
  readonly controller: DiskController;
  readonly device: DiskDevice;
}

/** Of two disks with the same number the first. @param disks what hard disks are attached to */
export function drivePlaces(devices: readonly PvDevice[], disks: DiskController): readonly PlacedDrive[] {
  const places = new Map<number, PlacedDrive>();
  for (const device of devices) {
    if (!(device instanceof DiskDevice)) continue;
    const controller = device.cdrom ? 'ide' : disks;
    const place = drivePlace(device.name, controller);
    // A sector of 4096 bytes would have to be read to write a part of it.
    const fits = device.store === undefined ? device.cdrom : device.store.sectorSize === 512;
    if (place !== undefined && fits && !places.has(place)) places.set(place, { place, controller, device });
  }
  return [...places.values()];
}

/** Undefined for what has no place: partitions, SCSI disks, and disks whose numbers are beyond the last place. */
export function drivePlace(vdev: string, controller: DiskController): number | undefined {
  const number = vdevNumber(vdev);
  for (let place = 0; place < MOST_PLACES[controller]; place++) {
    const letter = String.fromCharCode(97 + place);
    if (number === vdevNumber(`xvd${letter}`) || number === vdevNumber(`hd${letter}`)) return place;
  }
  return undefined;
}
