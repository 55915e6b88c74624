// What a board is made of: plain data, posted to the thread of vCPU 0.
import type { Region } from '../../memory/arena.ts';
import type { VgaRegions } from './board-memory.ts';
import type { DriveConfig } from './drive-region.ts';
import type { NicConfig } from './nic-region.ts';

export interface BoardConfig {
  readonly ramBytes: number;
  /** Seconds since 1970 at guest time 0, in UTC. */
  readonly startSeconds: number;
  /** What to boot from, in this order. */
  readonly bootOrder: readonly BootDevice[];
  /** Files for the firmware, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What the host says to the board; see mailbox.ts. */
  readonly mailbox: Region;
  /** Beside IDE, which is always there. */
  readonly diskController: DiskController;
  /** Drives, each in a place of its own. */
  readonly drives: readonly DriveConfig[];
  /** Network cards. */
  readonly nics: readonly NicConfig[];
  /** A standard VGA; undefined without. */
  readonly vga: VgaRegions | undefined;
}

export const DISK_CONTROLLERS = ['ide', 'ahci'] as const;
/** As xl's hdtype has it. */
export type DiskController = (typeof DISK_CONTROLLERS)[number];

/** `xl`'s letters: floppy, hard disk, CD-ROM, network. */
export type BootDevice = 'a' | 'c' | 'd' | 'n';
