// Why a command of the monitor failed.

/**
 * - `BadRequest`: not JSON, not a request, or too long.
 * - `CommandNotFound`, `InvalidArgument`: the request names no command, or its arguments will not do.
 * - `WrongState`: not while the domain is in this state.
 * - `StoreError`: XenStore refused; `errno` says why.
 * - `GenericError`: the domain refused.
 * - `TooManyConnections`: sent instead of a greeting.
 */
export type ControlErrorClass =
  | 'BadRequest'
  | 'CommandNotFound'
  | 'InvalidArgument'
  | 'WrongState'
  | 'StoreError'
  | 'GenericError'
  | 'TooManyConnections';

/** `message` is one line. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly class: ControlErrorClass;
  /** Of a `StoreError`: 'ENOENT', 'EACCES'… */
  readonly errno: string | undefined;

  constructor(kind: ControlErrorClass, message: string, errno?: string) {
    super(message);
    this.class = kind;
    this.errno = errno;
  }
}

/** Whatever a handler threw, as what the client is told. */
export function asControlError(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' ');
  return new ControlError('GenericError', message);
}
