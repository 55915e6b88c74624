// The numbers of the format (QEMU, docs/interop/qcow2.txt). All fields are big-endian.

export const MAGIC = 0x5146_49fb; // "QFI\xfb"
export const V2_HEADER_LENGTH = 72;
export const V3_HEADER_LENGTH = 104;

/** Offsets of header fields, in bytes. */
export const HEADER = {
  magic: 0,
  version: 4,
  backingOffset: 8,
  backingLength: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1Offset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotsOffset: 64,
  incompatible: 72,
  compatible: 80,
  autoclear: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

export const EXTENSION = {
  end: 0,
  backingFormat: 0xe279_2aca,
  featureNames: 0x6803_f857,
  bitmaps: 0x2385_2875,
  encryption: 0x0537_be77,
  dataFile: 0x4441_5441,
} as const;

/** Bits of the low word of incompatible_features. */
export const INCOMPATIBLE = { dirty: 1, corrupt: 2, dataFile: 4, compressionType: 8, extendedL2: 16 } as const;
export const COMPATIBLE = { lazyRefcounts: 1 } as const;
export const AUTOCLEAR = { bitmaps: 1 } as const;
export const COMPRESSION = { zlib: 0, zstd: 1 } as const;
export type CompressionType = (typeof COMPRESSION)[keyof typeof COMPRESSION];

export const MIN_CLUSTER_BITS = 9;
/** QEMU opens no larger ones either. */
export const MAX_CLUSTER_BITS = 21;
/** QEMU's limits; they bound what a hostile header makes us allocate. */
export const MAX_L1_BYTES: number = 32 * 2 ** 20;
export const MAX_REFCOUNT_TABLE_BYTES: number = 8 * 2 ** 20;
export const MAX_SNAPSHOTS = 65536;
export const MAX_BACKING_NAME = 1023;

/** Of an L1 or L2 entry's high word. */
export const COPIED = 0x8000_0000;
export const COMPRESSED = 0x4000_0000;
/** Of an L2 entry's low word: reads as zeroes. */
export const ZERO = 1;
/** Bits 9 to 55 are an offset; what is left of the two words is reserved, but for the flags above. */
export const OFFSET_HIGH = 0x00ff_ffff;
export const OFFSET_LOW = 0xffff_fe00;
export const RESERVED_HIGH = 0x3f00_0000;
export const RESERVED_LOW = 0x1fe;

export const TWO32 = 0x1_0000_0000;

/** A 64-bit field as a Number. From 2^53 on it loses low bits, but stays too large for any file. */
export const getU64 = (view: DataView, at: number): number => view.getUint32(at) * TWO32 + view.getUint32(at + 4);

export const setU64 = (view: DataView, at: number, value: number): void => {
  view.setUint32(at, Math.floor(value / TWO32));
  view.setUint32(at + 4, value >>> 0);
};

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
