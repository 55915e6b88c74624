// What is wrong with a command line.

/** The command line is wrong. `message` is one line with the next step. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
