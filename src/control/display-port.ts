// What the monitor needs of a guest's screen, keyboard and mouse.
import type { PointerChange } from '../backends/vkbd/pointer-change.ts';
import type { Picture } from '../image/picture.ts';

export interface DisplayPort {
  /** The picture as it is at this moment; undefined while the guest does not use its frame buffer. */
  snapshot(): Picture | undefined;
}

/** Both throw, with one line for the person who asked, when the guest does not get it. */
export interface InputPort {
  /** @param code KEY_* of Linux */
  key(code: number, pressed: boolean): void;
  pointer(change: PointerChange): void;
}
