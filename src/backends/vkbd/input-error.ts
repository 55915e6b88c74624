/**
 * Why the guest did not get input:
 * - `not-connected`: the guest does not use its keyboard, or not yet.
 * - `full`: the guest does not read what waits for it already.
 * - `no-absolute-pointer`, `no-touch`: the guest has not asked for such events, or its mouse has none.
 * - `no-such-key`: its keyboard or its mouse has no such key or button.
 */
export type InputErrorCode = 'not-connected' | 'full' | 'no-absolute-pointer' | 'no-touch' | 'no-such-key';

/** Input that the guest did not get. `message` is one line. */
export class InputError extends Error {
  override readonly name = 'InputError';
  readonly code: InputErrorCode;

  constructor(code: InputErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
