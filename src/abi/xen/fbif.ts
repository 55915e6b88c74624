// The virtual frame buffer: a shared page with its geometry, its page directory and two rings of events. public/io/fbif.h.
import { s32, struct, u8, u32, uint53 } from '../layout.ts';

/** Bytes of every event, of which the first is its type. */
export const XENFB_EVENT_BYTES = 40;

/** The rings: byte offset in the shared page and number of events. Indices run free and are taken modulo `events`. */
export const XENFB_IN_RING = { at: 1024, events: 25 } as const;
export const XENFB_OUT_RING = { at: 2048, events: 51 } as const;

/** Events of the frontend. An update comes only when the backend has set request-update. */
export const XENFB_TYPE = { UPDATE: 2, RESIZE: 3 } as const;

/** What Linux's frontend has without being told otherwise. */
export const XENFB_DEFAULT = { width: 800, height: 600, depth: 32 } as const;

/** Entries of the page directory in the shared page; each names a page full of frame numbers. */
export const XENFB_DIRECTORIES = 256;

const indices = { in_cons: u32, in_prod: u32, out_cons: u32, out_prod: u32 } as const;
const geometry = { width: s32, height: s32, line_length: u32, mem_length: u32, depth: u8 } as const;
const pad = (size: number) => ({ ...u8, size });

/** `struct xenfb_page`; `pd` are XENFB_DIRECTORIES frame numbers of the guest's word size. */
export const XenfbPage = {
  wide: struct(2088, { ...indices, ...geometry, pad: pad(7), pd: { ...uint53, size: XENFB_DIRECTORIES * 8 } }),
  narrow: struct(1060, { ...indices, ...geometry, pad: pad(3), pd: { ...u32, size: XENFB_DIRECTORIES * 4 } }),
} as const;

/** Pixels. */
export const XenfbUpdate = struct(20, { type: u8, pad: pad(3), x: s32, y: s32, width: s32, height: s32 });
/** Width and height in pixels, stride and offset in bytes, depth in bits. */
export const XenfbResize = struct(24, {
  type: u8,
  pad: pad(3),
  width: s32,
  height: s32,
  stride: s32,
  depth: s32,
  offset: s32,
});
