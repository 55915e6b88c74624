// Why a domain on this host cannot be controlled, or why its control cannot be offered.

export type ControlConnectionErrorCode =
  /** The platform has no Unix sockets. */
  | 'unsupported'
  /** The runtime directory, or a file in it, is somebody else's or open to others. */
  | 'permission'
  /** The path of a socket would be too long for the system. */
  | 'path-too-long'
  | 'bad-name'
  /** A domain with that name runs already. */
  | 'name-taken'
  | 'no-such-domain'
  /** The domain ended while it was asked. */
  | 'ended'
  /** Too many connections. */
  | 'busy'
  /** What answers is no dom1, or says something that this version does not understand. */
  | 'protocol'
  | 'timeout';

/** There is no connection to a domain's monitor. `message` is one line that names the thing, the reason and the next step; `hint` is the next step alone. */
export class ControlConnectionError extends Error {
  override readonly name = 'ControlConnectionError';
  readonly code: ControlConnectionErrorCode;
  readonly hint: string;
  /** Of 'no-such-domain': the names of the domains that run. */
  readonly known: readonly string[];

  constructor(
    code: ControlConnectionErrorCode,
    problem: string,
    hint: string,
    options: ErrorOptions & { readonly known?: readonly string[] } = {},
  ) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
    this.known = options.known ?? [];
  }
}

/** The error's code, such as 'ENOENT', if it is one of Node's. */
export const nodeErrorCode = (error: unknown): string | undefined =>
  error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
