// What a disk controller's drive keeps its sectors in. The store itself is elsewhere, on another thread: every request is answered
// later, by a call on the chip's own thread, never from inside the request.

/** Bytes a sector of a hard disk. */
export const DISK_SECTOR = 512;

export interface DiskPort {
  /** Bytes a sector: 512, or 2048 of a CD. */
  readonly sectorBytes: number;
  /** How many sectors there are; 0 when there is no medium. Changes with the medium. */
  readonly sectors: number;
  /** Changes whenever another medium has come, or none. */
  readonly medium: number;
  readonly readOnly: boolean;
  /**
   * The most bytes that `read` or `write` take at once; a longer transfer is several requests. A drive has one request under way.
   */
  readonly maxBytes: number;
  /** Reads whole sectors. `done` has the bytes, valid during the call only, or undefined when the medium failed. */
  read(sector: number, count: number, done: (bytes: Uint8Array | undefined) => void): void;
  /** Writes whole sectors; `bytes` is copied before the call returns. */
  write(sector: number, bytes: Uint8Array, done: (ok: boolean) => void): void;
  /** What was written is on stable storage when `done` is called. */
  flush(done: (ok: boolean) => void): void;
}
