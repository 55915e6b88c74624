// The keyboard and the mouse of an HVM domain's 8042, as their owner sees them: the same calls as of a PV keyboard, as mail for the board.
import { InputError } from '../../backends/vkbd/input-error.ts';
import { BUTTONS, type PointerChange } from '../../backends/vkbd/pointer-change.ts';
import { KeyStrokes } from '../../devices/ps2/key-strokes.ts';
import type { GuestInput } from '../guest-input.ts';
import { MAIL } from './mailbox.ts';

/** Bits of a PS/2 mouse's first byte. */
const BUTTON_BITS = { left: 1, right: 2, middle: 4 } as const;

export class BoardInput implements GuestInput {
  readonly #mail: (kind: number, bytes: Uint8Array) => boolean;
  readonly #strokes = new KeyStrokes();
  #buttons = 0;

  /** @param mail posts to the board; false when there is no room */
  constructor(mail: (kind: number, bytes: Uint8Array) => boolean) {
    this.#mail = mail;
  }

  key(code: number, pressed: boolean): void {
    const bytes = this.#strokes.bytes(code, pressed);
    if (bytes === undefined) throw new InputError('no-such-key', `a PS/2 keyboard has no key with code ${code}`);
    if (bytes.length > 0) this.#post(MAIL.keys, Uint8Array.from(bytes));
  }

  pointer({ buttons = {}, dx = 0, dy = 0, wheel = 0, x, y }: PointerChange): void {
    if (x !== undefined || y !== undefined)
      throw new InputError('no-absolute-pointer', 'a PS/2 mouse takes no positions, only movements');
    for (const value of [dx, dy, wheel]) if ((value | 0) !== value) throw new RangeError(`${value} is no 32-bit integer`);
    let now = this.#buttons;
    for (const [name, down] of Object.entries(buttons)) {
      const bit = BUTTON_BITS[name as keyof typeof BUTTON_BITS];
      if (bit === undefined)
        throw new InputError(
          'no-such-key',
          `a PS/2 mouse has no button ${name in BUTTONS ? name : `'${name}'`}: left, right and middle`,
        );
      now = down ? now | bit : now & ~bit;
    }
    const post = (values: readonly number[]): void => this.#post(MAIL.mouse, new Uint8Array(Int32Array.from(values).buffer));
    // Upwards is positive for the mouse. Buttons change after the motion.
    if (dx !== 0 || dy !== 0 || wheel !== 0) post([dx, -dy, this.#buttons, wheel]);
    if (now !== this.#buttons) post([0, 0, now, 0]);
    this.#buttons = now;
  }

  #post(kind: number, bytes: Uint8Array): void {
    if (!this.#mail(kind, bytes)) throw new InputError('full', 'the guest has not taken what was typed before');
  }
}
