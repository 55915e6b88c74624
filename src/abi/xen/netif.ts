// The network interface: requests and responses on its two rings. public/io/netif.h; the same for 32- and 64-bit guests.
// "tx" and "rx" are the guest's: it sends on one and receives on the other.
import { s16, struct, u8, u16, u32 } from '../layout.ts';

export const NETTXF = { csum_blank: 1, data_validated: 2, more_data: 4, extra_info: 8 } as const;
export const NETRXF = { data_validated: 1, csum_blank: 2, more_data: 4, extra_info: 8, gso_prefix: 16 } as const;
export const NETIF_RSP = { DROPPED: -2, ERROR: -1, OKAY: 0, NULL: 1 } as const;
export const NETIF_EXTRA = { NONE: 0, GSO: 1, MCAST_ADD: 2, MCAST_DEL: 3, HASH: 4, MAX: 5 } as const;
/** Of an extra_info's flags: another one follows. */
export const NETIF_EXTRA_MORE = 1;

/** Slots with data that every backend takes in one frame: XEN_NETIF_NR_SLOTS_MIN. */
export const NETIF_SLOTS_MIN = 18;

/** `size` of a frame's first request is that of the whole frame, of the others that of their piece. */
export const NetifTxRequest = struct(12, { gref: u32, offset: u16, flags: u16, id: u16, size: u16 });
export const NetifTxResponse = struct(4, { id: u16, status: s16 });
export const NetifRxRequest = struct(8, { id: u16, pad: u16, gref: u32 });
/** `status`: bytes in this slot, or a NETIF_RSP below 0. */
export const NetifRxResponse = struct(8, { id: u16, offset: u16, flags: u16, status: s16 });

/** `struct netif_extra_info`, which takes the place of a request (tx) or of a response (rx). */
export const NetifExtraGso = struct(8, { type: u8, flags: u8, size: u16, gsoType: u8, pad: u8, features: u16 });
/** The same for multicast control: 6 bytes of address from `addr` on. */
export const NetifExtraMcast = struct(8, { type: u8, flags: u8, addr: { ...u16, size: 6 } });
