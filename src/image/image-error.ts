// What is wrong with a file that was handed to us: a kernel, an archive, a compressed stream.

/** Why an image cannot be used. */
export type ImageErrorCode =
  | 'not-a-kernel'
  | 'no-pvh-entry'
  | 'no-multiboot-header'
  | 'truncated'
  | 'corrupt'
  | 'unsupported-compression'
  | 'unsupported'
  | 'too-large'
  | 'not-an-archive'
  | 'not-found';

/**
 * A file cannot be used. `message` is one line that names the thing, the reason and the next step; `hint` is the next
 * step alone.
 */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly code: ImageErrorCode;
  readonly hint: string;

  /** @param problem the thing and what is wrong with it, without a full stop */
  constructor(code: ImageErrorCode, problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
  }
}

/** The error for a file that ends before its own headers say it should. */
export const truncated = (what: string, needs: number, has: number): ImageError =>
  new ImageError('truncated', `${what} is truncated: it needs ${needs} bytes and has ${has}`, 'fetch or copy the file again');

/** The error for a file whose contents contradict themselves. */
export const corrupt = (what: string, why: string, cause?: unknown): ImageError =>
  new ImageError(
    'corrupt',
    `${what} is corrupt: ${why}`,
    'fetch or copy the file again',
    cause === undefined ? undefined : { cause },
  );
