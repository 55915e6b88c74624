// A guest's keyboard and mouse, whatever they are: a PV keyboard, or those behind an HVM domain's 8042.
import type { PointerChange } from '../backends/vkbd/pointer-change.ts';

/** A guest's keyboard and mouse. */
export interface GuestInput {
  /**
   * Presses a key or lets go of it; a key that is pressed again repeats.
   * @param code KEY_* of Linux: see `keyCode`
   * @throws InputError; RangeError for what is no code
   */
  key(code: number, pressed: boolean): void;
  /** @throws InputError, RangeError for what is no 32-bit integer */
  pointer(change: PointerChange): void;
}
