// The transport of 9P messages: rings of bytes. public/io/9pfs.h, which takes its layout from DEFINE_XEN_FLEX_RING_AND_INTF of
// public/io/ring.h; docs/misc/9pfs.pandoc.
import { PAGE_SIZE } from '../types.ts';

/**
 * `struct xen_9pfs_data_intf`, one page a ring: byte offsets. Indices run free and are masked by the size of a half ring - 1.
 * in_cons, out_prod, ring_order, ref[] [GST]; in_prod, out_cons [the backend].
 */
export const XEN_9PFS_INTF = {
  in_cons: 0,
  in_prod: 4,
  out_cons: 64,
  out_prod: 68,
  ring_order: 128,
  /** Grants of 2^ring_order pages: the first half holds responses ("in"), the second requests ("out"). */
  ref: 132,
} as const;

/** Of the transport, in the `versions` and `version` nodes. */
export const XEN_9PFS_VERSION = '1';

/** Pages of a ring are 2 to this power: at least one for each half, at most what the page of references can name. */
export const XEN_9PFS_MIN_RING_ORDER = 1;
export const XEN_9PFS_MAX_RING_ORDER = 9;

/** XEN_FLEX_RING_SIZE: bytes of one half, of a ring of 2^order pages. */
export const xen9pfsHalfBytes = (order: number): number => (PAGE_SIZE << order) / 2;

/** Every message begins with its size (u32, with this header), its type (u8) and its tag (u16). */
export const XEN_9PFS_HEADER_BYTES = 7;
