// Events as they lie in the ring.
import {
  XENKBD_EVENT_BYTES,
  XENKBD_MT_EV,
  XENKBD_TYPE,
  XenkbdKey,
  XenkbdMotion,
  XenkbdMtouch,
  XenkbdMtouchOrientation,
  XenkbdMtouchShape,
  XenkbdPosition,
} from '../../abi/xen/kbdif.ts';
import type { TouchChange } from './pointer-change.ts';

function event(type: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(XENKBD_EVENT_BYTES);
  bytes[0] = type;
  fill(new DataView(bytes.buffer));
  return bytes;
}

export const keyEvent = (code: number, pressed: boolean): Uint8Array =>
  event(XENKBD_TYPE.KEY, (view) => {
    XenkbdKey.pressed.set(view, 0, pressed ? 1 : 0);
    XenkbdKey.keycode.set(view, 0, code);
  });

export const motionEvent = (dx: number, dy: number, wheel: number): Uint8Array =>
  event(XENKBD_TYPE.MOTION, (view) => {
    XenkbdMotion.rel_x.set(view, 0, dx);
    XenkbdMotion.rel_y.set(view, 0, dy);
    XenkbdMotion.rel_z.set(view, 0, wheel);
  });

export const positionEvent = (x: number, y: number, wheel: number): Uint8Array =>
  event(XENKBD_TYPE.POS, (view) => {
    XenkbdPosition.abs_x.set(view, 0, x);
    XenkbdPosition.abs_y.set(view, 0, y);
    XenkbdPosition.rel_z.set(view, 0, wheel);
  });

export const touchEvent = (change: TouchChange): Uint8Array =>
  event(XENKBD_TYPE.MTOUCH, (view) => {
    XenkbdMtouch.contact_id.set(view, 0, change.contact);
    const kind = (code: number): void => XenkbdMtouch.event_type.set(view, 0, code);
    switch (change.kind) {
      case 'up':
        return kind(XENKBD_MT_EV.UP);
      case 'shape':
        kind(XENKBD_MT_EV.SHAPE);
        XenkbdMtouchShape.major.set(view, 0, change.major);
        return XenkbdMtouchShape.minor.set(view, 0, change.minor);
      case 'orientation':
        kind(XENKBD_MT_EV.ORIENT);
        return XenkbdMtouchOrientation.orientation.set(view, 0, change.degrees);
      default:
        kind(change.kind === 'down' ? XENKBD_MT_EV.DOWN : XENKBD_MT_EV.MOTION);
        XenkbdMtouch.abs_x.set(view, 0, change.x);
        XenkbdMtouch.abs_y.set(view, 0, change.y);
    }
  });

/** What was said of fingers since the last of these belongs together. */
export const touchFrameEvent = (contact: number): Uint8Array =>
  event(XENKBD_TYPE.MTOUCH, (view) => {
    XenkbdMtouch.event_type.set(view, 0, XENKBD_MT_EV.SYN);
    XenkbdMtouch.contact_id.set(view, 0, contact);
  });
