// What the two sides of an emulated drive share: the medium as the I/O side has it, and a buffer for the request that is under way.
import { AHCI_PORTS } from '../../devices/ahci/ahci-controller.ts';
import type { Region } from '../../memory/arena.ts';
import type { DiskController } from './board-config.ts';

/** What a drive is, and where it shares memory with the I/O side. */
export interface DriveConfig {
  /** The number of its disk: on the cables primary master, primary slave, secondary master, secondary slave; or the port. */
  readonly place: number;
  readonly controller: DiskController;
  readonly cdrom: boolean;
  readonly region: Region;
}

/** Most drives that two channels have, and the ports. */
export const MOST_PLACES: Readonly<Record<DiskController, number>> = { ide: 4, ahci: AHCI_PORTS };

/** Offsets in a drive's region; i32 but for `sizeBytes`, an f64. Written by the I/O side only. */
export const DRIVE = {
  /** Of the medium; 0 when there is none. */
  sizeBytes: 0,
  /** Counts media. */
  medium: 8,
  readOnly: 12,
  buffer: 64,
} as const;

/** The most that one request moves. */
export const DRIVE_BUFFER_BYTES: number = 128 << 10;
export const DRIVE_BYTES: number = DRIVE.buffer + DRIVE_BUFFER_BYTES;

/** A request to the I/O side. One at a time for each drive; the answer is mail of two bytes: the drive's place, and 1 or 0. */
export interface DriveRequest {
  readonly type: 'drive';
  readonly place: number;
  readonly op: 'read' | 'write' | 'flush';
  /** Bytes on the medium. */
  readonly offset: number;
  readonly length: number;
  /** What `DRIVE.medium` was: a request for another medium fails. */
  readonly medium: number;
}
