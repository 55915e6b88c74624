// The console ring. public/io/console.h; indices run free and are masked by size - 1.

/** `struct xencons_interface`: 3088 bytes. */
export const XENCONS = {
  sizeof: 3088,
  /** To the guest. */
  in: 0,
  in_size: 1024,
  /** From the guest. */
  out: 1024,
  out_size: 2048,
  /** u32 each. in_cons, out_prod [GST]; in_prod, out_cons [the backend]. */
  in_cons: 3072,
  in_prod: 3076,
  out_cons: 3080,
  out_prod: 3084,
} as const;
