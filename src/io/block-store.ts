// What a virtual disk is kept in: a raw file, an image with a format of its own, a range of a web server, memory.

/** What a disk is kept in: bytes by their offsets. */
export interface BlockStore {
  /** Bytes; a multiple of `sectorSize`, below 2^53. */
  readonly sizeBytes: number;
  /** Bytes in a logical sector. Offsets and lengths of all calls are multiples of it. */
  readonly sectorSize: 512 | 4096;
  readonly readOnly: boolean;
  /**
   * Fills `into` from `offset`; resolves when it is there. `into` may be a view of shared memory that a guest sees.
   * Calls may overlap in time and resolve in any order; the caller keeps those apart that must not be mixed.
   * @throws (rejects) when the bytes cannot be had; `into` is then undefined.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Stores `from` at `offset`. Resolved, a later read sees it; only `flush` makes it durable. `from` may change meanwhile if it is shared. */
  write(offset: number, from: Uint8Array): Promise<void>;
  /** The same for bytes that lie in several places, one after another on the disk: one call per piece is made without it. */
  readv?(offset: number, into: readonly Uint8Array[]): Promise<void>;
  writev?(offset: number, from: readonly Uint8Array[]): Promise<void>;
  /** All writes that have resolved are durable when this does. */
  flush(): Promise<void>;
  /** The range may read as zeroes from now on: at least it may be forgotten. */
  discard?(offset: number, length: number): Promise<void>;
  /** The range reads as zeroes from now on. */
  writeZeroes?(offset: number, length: number): Promise<void>;
  /** Calls the listener whenever `sizeBytes` has changed. */
  onResize?(listener: () => void): Disposable;
  /** Ends it; nothing may be under way. Writes that were not flushed may be lost. */
  close(): Promise<void>;
}
