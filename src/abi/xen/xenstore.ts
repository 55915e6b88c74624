// The XenStore wire protocol and its ring. public/io/xs_wire.h; the numbers are the same for 32- and 64-bit guests.
import { struct, u32 } from '../layout.ts';

/** `enum xsd_sockmsg_type`. 20 was RESTRICT and is gone. */
export const XS = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
} as const;

/** `struct xsd_sockmsg`: the header of every message. `len` bytes of payload follow. */
export const XsdSockmsg = struct(16, { type: u32, req_id: u32, tx_id: u32, len: u32 });

export const XENSTORE_PAYLOAD_MAX = 4096;
/** Longest path below a domain's own directory, and the quota on path lengths. */
export const XENSTORE_REL_PATH_MAX = 2048;

/** `struct xenstore_domain_interface`: offsets in the page. Indices run free and are masked by `size - 1`. */
export const XENSTORE_RING = {
  sizeof: 2076,
  size: 1024,
  /** Requests to the store. */
  req: 0,
  /** Replies and events from the store. */
  rsp: 1024,
  /** u32 each. req_prod, rsp_cons [GST]; req_cons, rsp_prod [the store]. */
  req_cons: 2048,
  req_prod: 2052,
  rsp_cons: 2056,
  rsp_prod: 2060,
  /** XENSTORE_SERVER_FEATURE bits [the store]. */
  server_features: 2064,
  /** XENSTORE_CONNECTION [GST, the store]. */
  connection: 2068,
  /** XENSTORE_ERROR [the store]. */
  error: 2072,
} as const;

export const XENSTORE_SERVER_FEATURE = { RECONNECTION: 1, ERROR: 2 } as const;
export const XENSTORE_CONNECTION = { CONNECTED: 0, RECONNECT: 1 } as const;
export const XENSTORE_ERROR = { NONE: 0, COMM: 1, RINGIDX: 2, PROTO: 3 } as const;

/** `xsd_errors`: the error names that may travel on the wire. */
export const XSD_ERRORS = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
] as const;
export type XsdError = (typeof XSD_ERRORS)[number];
