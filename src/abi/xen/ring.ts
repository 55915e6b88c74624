// The shared ring of requests and responses. public/io/ring.h.

/**
 * `struct name_sring` up to its entries: byte offsets. Indices run free and are masked by the number of entries - 1.
 * req_prod, rsp_event [GST]; rsp_prod, req_event [the backend].
 */
export const SRING = {
  req_prod: 0,
  /** The backend wants an event when req_prod passes this. */
  req_event: 4,
  rsp_prod: 8,
  /** The frontend wants an event when rsp_prod passes this. */
  rsp_event: 12,
  /** Entries begin here. */
  ring: 64,
} as const;

/** Most pages of one ring (order 4): XENBUS_MAX_RING_GRANTS. */
export const MAX_RING_PAGES = 16;

/** __RING_SIZE: entries of `entryBytes` that fit into `bytes`, rounded down to a power of two. */
export const ringEntries = (bytes: number, entryBytes: number): number =>
  2 ** Math.floor(Math.log2((bytes - SRING.ring) / entryBytes));
