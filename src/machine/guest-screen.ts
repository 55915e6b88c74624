// What a guest shows, whatever draws it: a PV frame buffer, or an HVM domain's VGA.
import type { Picture } from '../image/picture.ts';

/** What a guest shows. */
export interface GuestScreen {
  /** The picture as it is at this moment; undefined while the guest shows nothing. */
  snapshot(): Picture | undefined;
  /** The characters of a VGA in text mode, row by row and without blanks at the ends; undefined in all other modes. */
  text(): readonly string[] | undefined;
}
