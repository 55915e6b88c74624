// The block interface: requests and responses on its ring. public/io/blkif.h. Sector numbers and counts are of 512 bytes,
// whatever sector size the disk has.
import { aligned, type Struct, s16, struct, u8, u16, u32, uint53 } from '../layout.ts';

export const BLKIF_OP = {
  READ: 0,
  WRITE: 1,
  WRITE_BARRIER: 2,
  FLUSH_DISKCACHE: 3,
  RESERVED_1: 4,
  DISCARD: 5,
  INDIRECT: 6,
} as const;
export const BLKIF_RSP = { OKAY: 0, ERROR: -1, EOPNOTSUPP: -2 } as const;
/** Of the backend's `info` node. */
export const VDISK = { CDROM: 1, REMOVABLE: 2, READONLY: 4 } as const;
export const BLKIF_DISCARD_SECURE = 1;

export const BLKIF_SECTOR = 512;
/** Sectors in a page: `first_sect` and `last_sect` are below. */
export const BLKIF_SECTORS_PER_PAGE = 8;
export const BLKIF_MAX_SEGMENTS = 11;
/** Pages of segments that one indirect request can name, and segments in a page. */
export const BLKIF_MAX_INDIRECT_PAGES = 8;
export const BLKIF_SEGMENTS_PER_INDIRECT_PAGE = 512;

/** `struct blkif_request_segment`: both sectors inclusive. */
export const BlkifSegment = struct(8, { gref: u32, first_sect: u8, last_sect: u8, pad: u16 });

/** i386 aligns a 64-bit member to 4 bytes. */
const compat53 = aligned(uint53, 4);

const rw = { operation: u8, nr_segments: u8, handle: u16 };
const Rw64 = struct(112, { ...rw, pad: u32, id: uint53, sector_number: uint53, seg: { ...u32, size: 88 } });
const Rw32 = struct(108, { ...rw, id: compat53, sector_number: compat53, seg: { ...u32, size: 88 } });

const discard = { operation: u8, flag: u8, handle: u16 };
const Discard64 = struct(32, { ...discard, pad: u32, id: uint53, sector_number: uint53, nr_sectors: uint53 });
const Discard32 = struct(28, { ...discard, id: compat53, sector_number: compat53, nr_sectors: compat53 });

const grefs = { ...u32, size: BLKIF_MAX_INDIRECT_PAGES * 4 };
const indirect = { operation: u8, indirect_op: u8, nr_segments: u16 };
const Indirect64 = struct(64, {
  ...indirect,
  pad: u32,
  id: uint53,
  sector_number: uint53,
  handle: u16,
  pad2: u16,
  indirect_grefs: grefs,
  pad3: u32,
});
const Indirect32 = struct(64, {
  ...indirect,
  id: compat53,
  sector_number: compat53,
  handle: u16,
  pad2: u16,
  indirect_grefs: grefs,
  pad3: { ...u32, size: 8 },
});

const Response64 = struct(16, { id: uint53, operation: u8, pad: u8, status: s16, pad2: u32 });
const Response32 = struct(12, { id: compat53, operation: u8, pad: u8, status: s16 });

/** The structures as one protocol has them. `id` is opaque 64 bits: copy its words. */
export interface BlkifLayout {
  /** `struct blkif_request`; also the size of a ring entry. */
  readonly request: typeof Rw64 | typeof Rw32;
  readonly discard: typeof Discard64 | typeof Discard32;
  readonly indirect: typeof Indirect64 | typeof Indirect32;
  readonly response: Struct<{ id: typeof uint53; operation: typeof u8; status: typeof s16 }>;
}

const LAYOUT64: BlkifLayout = { request: Rw64, discard: Discard64, indirect: Indirect64, response: Response64 };
const LAYOUT32: BlkifLayout = { request: Rw32, discard: Discard32, indirect: Indirect32, response: Response32 };

/** XEN_IO_PROTO_ABI_*: by the frontend's `protocol` node. Without one it speaks domain 0's own, which has 64 bits. */
export const BLKIF_PROTOCOLS: { readonly [protocol: string]: BlkifLayout } = {
  'x86_64-abi': LAYOUT64,
  'x86_32-abi': LAYOUT32,
};
export const BLKIF_NATIVE: BlkifLayout = LAYOUT64;
