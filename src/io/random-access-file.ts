// A file as image formats see it: bytes at offsets. What it lies on (a disk, a web server, memory) they do not know.

export interface RandomAccessFile {
  /** Names it in errors. */
  readonly name: string;
  readonly readOnly: boolean;
  /** Bytes, as far as this opener knows: its own writes count, those of others do not. */
  readonly size: number;
  /** Fills `into` from `offset`. What lies behind the end of the file reads as zeroes. `into` may be shared memory. */
  read(offset: number, into: Uint8Array): Promise<void>;
  readv(offset: number, into: readonly Uint8Array[]): Promise<void>;
  /** Stores all of `from` at `offset`, behind the end too: the file grows, and what was left out reads as zeroes. */
  write(offset: number, from: Uint8Array): Promise<void>;
  writev(offset: number, from: readonly Uint8Array[]): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Writes that have resolved are durable when this does, and so is the size. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}
