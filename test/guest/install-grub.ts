// Puts GRUB for a PC's BIOS on a disk image, where grub-install would: the first stage into the boot sector, the core image into sectors that
// are nobody else's.
import { open } from 'node:fs/promises';

export const SECTOR = 512;
/** What is behind it in a boot sector is the disk's signature and its partition table. */
const BOOT_CODE_BYTES = 440;
/** In boot.img: 64 bits, the sector of the core image (GRUB_BOOT_MACHINE_KERNEL_SECTOR of grub/i386/pc/boot.h). */
const CORE_AT = 0x5c;
/** In the core image's first sector: 64 bits, the sector of its rest (the first of the lists that end the sector, GRUB_BOOT_MACHINE_LIST_SIZE). */
const REST_AT = SECTOR - 12;

export interface GrubImages {
  /** boot.img of grub-pc-bin. */
  readonly boot: Uint8Array;
  /** What grub-mkimage makes for i386-pc. */
  readonly core: Uint8Array;
}

/**
 * @param path of a disk image that is there
 * @param first sector of the place for the core image: 1 with an MBR, that of a BIOS boot partition with a GUID partition table
 * @param end sector behind that place
 */
export async function installGrub(path: string, { boot, core }: GrubImages, first: number, end: number): Promise<void> {
  if (core.length > (end - first) * SECTOR)
    throw new Error(`GRUB has ${core.length} bytes, and sectors ${first} to ${end - 1} hold ${(end - first) * SECTOR}`);
  const code = boot.slice(0, BOOT_CODE_BYTES);
  new DataView(code.buffer).setBigUint64(CORE_AT, BigInt(first), true);
  const placed = core.slice();
  new DataView(placed.buffer).setBigUint64(REST_AT, BigInt(first + 1), true);
  const image = await open(path, 'r+');
  try {
    await image.write(code, 0, code.length, 0);
    await image.write(placed, 0, placed.length, first * SECTOR);
  } finally {
    await image.close();
  }
}
