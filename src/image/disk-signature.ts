// Whether a file is a disk's contents, by what is at its start.
import { startsWith } from './bounded-reader.ts';
import { isBzImage } from './bzimage.ts';
import { isElf } from './elf.ts';

/** Bytes of the file's start that tell. */
export const DISK_SIGNATURE_BYTES = 4096;

const QCOW2 = [0x51, 0x46, 0x49, 0xfb] as const;
/** At the end of a disk's first sector, with or without a partition table (UEFI 5.2.1); a bzImage has it, too. */
const BOOT_SECTOR = { at: 510, magic: [0x55, 0xaa] } as const;
/** "EFI PART": a GUID partition table. UEFI 5.3.2. */
const GPT = { at: 512, magic: [0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54] } as const;
/** s_magic of an ext2, ext3 or ext4 file system without partitions: Linux Documentation/filesystems/ext4, "Super Block". */
const EXT = { at: 0x438, magic: [0x53, 0xef] } as const;
/** XFSB. */
const XFS = { at: 0, magic: [0x58, 0x46, 0x53, 0x42] } as const;

export function isDiskImage(head: Uint8Array): boolean {
  if (isElf(head) || isBzImage(head)) return false;
  return startsWith(head, QCOW2) || [BOOT_SECTOR, GPT, EXT, XFS].some(({ at, magic }) => startsWith(head, magic, at));
}
