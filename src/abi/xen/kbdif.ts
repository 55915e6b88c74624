// The virtual keyboard, mouse and touch screen: a shared page with two rings of events. public/io/kbdif.h.
import { s16, s32, struct, u8, u32 } from '../layout.ts';

/** Bytes of every event, of which the first is its type. */
export const XENKBD_EVENT_BYTES = 40;

/** The rings: byte offset in the shared page and number of events. Indices run free and are taken modulo `events`. */
export const XENKBD_IN_RING = { at: 1024, events: 51 } as const;
export const XENKBD_OUT_RING = { at: 3072, events: 25 } as const;

/** Events of the backend; a frontend ignores those it does not know. There are none of the frontend's. */
export const XENKBD_TYPE = { MOTION: 1, RESERVED: 2, KEY: 3, POS: 4, MTOUCH: 5 } as const;
/** What a touch event is about. */
export const XENKBD_MT_EV = { DOWN: 0, UP: 1, MOTION: 2, SYN: 3, SHAPE: 4, ORIENT: 5 } as const;

/** The largest raw coordinate (feature-raw-pointer); the smallest is 0. */
export const XENKBD_RAW_MAX = 0x7fff;

const pad = (size: number) => ({ ...u8, size });

export const XenkbdPage = struct(16, { in_cons: u32, in_prod: u32, out_cons: u32, out_prod: u32 });

/** `rel_z` is the wheel: positive towards the user. */
export const XenkbdMotion = struct(16, { type: u8, pad: pad(3), rel_x: s32, rel_y: s32, rel_z: s32 });
/** `keycode`: KEY_* and BTN_* of Linux. */
export const XenkbdKey = struct(8, { type: u8, pressed: u8, pad: pad(2), keycode: u32 });
export const XenkbdPosition = struct(16, { type: u8, pad: pad(3), abs_x: s32, abs_y: s32, rel_z: s32 });

const touch = { type: u8, event_type: u8, contact_id: u8, reserved: pad(5) } as const;
/** `struct xenkbd_mtouch` with each member of its union: pixels; lengths of the axes in pixels; degrees from -180 to 180. */
export const XenkbdMtouch = struct(16, { ...touch, abs_x: s32, abs_y: s32 });
export const XenkbdMtouchShape = struct(16, { ...touch, major: u32, minor: u32 });
export const XenkbdMtouchOrientation = struct(16, { ...touch, orientation: s16, pad: pad(6) });
