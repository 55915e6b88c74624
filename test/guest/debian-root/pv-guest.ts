// The shell guest with xen-blkfront loaded from a file, so that the driver can go and come back: nothing of its own is on a disk.
import { cpioDirectory, cpioFile } from '../../../src/image/cpio.ts';
import { readKernelModules } from '../../../src/node/guest-parts.ts';
import type { DiskConfig } from '../../../src/node/open-devices.ts';
import { XenGuest, type XenGuestParts } from '../xen-guest.ts';

/** Loads the driver again after `rmmod xen_blkfront`. */
export const LOAD_DRIVER = 'insmod /disk/xen-blkfront.ko';

/** In the guest: waits for disks to be there. Linux makes the node some moments before it can be opened (device_add_disk). */
export const awaitDisks = (...names: readonly string[]): string =>
  `for disk in ${names.join(' ')}; do until dd if=/dev/$disk of=/dev/null bs=512 count=1 2> /dev/null; do sleep 0.01; done; done`;

/** Boots, and waits for its disks. */
export async function bootWithDisks(parts: XenGuestParts, disks: readonly DiskConfig[]): Promise<XenGuest> {
  const modules = await readKernelModules(parts, ['xen-blkfront']);
  const files = [cpioDirectory('disk'), ...modules.map(({ data, name }) => cpioFile(`disk/${name}.ko`, data))];
  const guest = await XenGuest.boot(parts, { files, disks });
  try {
    await guest.sh(
      `${modules.map(({ name }) => `insmod /disk/${name}.ko`).join('; ')}; ${awaitDisks(...disks.map(({ vdev }) => vdev))}`,
    );
  } catch (error) {
    await guest.domain.destroy();
    throw error;
  }
  return guest;
}
