// Why something that was wanted of a guest's console did not come about.

/**
 * Why it did not come about:
 * - `timeout`: it did not happen in time;
 * - `closed`: the domain ended first;
 * - `login`: a command was to run, and the console asks who one is;
 * - `login-failed`: the guest did not accept the user or the password;
 * - `too-much`: a command printed more than is kept.
 */
export type ConsoleErrorCode = 'timeout' | 'closed' | 'login' | 'login-failed' | 'too-much';

/** Something that was wanted of a guest's console did not come about. `message` is one line with what was wanted and why it failed. */
export class ConsoleError extends Error {
  override readonly name = 'ConsoleError';
  readonly code: ConsoleErrorCode;
  constructor(code: ConsoleErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
