// Why the demo guest's parts cannot be had from the host's package tool.

/** Why the demo guest's parts cannot be had. */
export type GuestPartsErrorCode =
  | 'no-package-tool'
  | 'no-package-lists'
  | 'unknown-package'
  | 'download-failed'
  | 'missing-file'
  | 'cache-unwritable';

/** The demo guest's parts cannot be had. `message` is one line that names the thing, the reason and the next step; `hint` is the next step alone. */
export class GuestPartsError extends Error {
  override readonly name = 'GuestPartsError';
  readonly code: GuestPartsErrorCode;
  readonly hint: string;

  constructor(code: GuestPartsErrorCode, problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
  }
}
