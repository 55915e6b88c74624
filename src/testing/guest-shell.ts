// Commands in a guest as a test wants them: their output, or a failure that tells everything.

import type { CommandOptions } from '../machine/console-command.ts';
import type { Domain } from '../machine/domain.ts';

/** A command ended with another status than 0. */
export class GuestCommandError extends Error {
  override readonly name = 'GuestCommandError';
  readonly command: string;
  /** 1..255 */
  readonly status: number;
  readonly output: string;

  constructor(command: string, status: number, output: string) {
    super(`'${command}' exited with status ${status}${output === '' ? '' : `:\n${output.trimEnd()}`}`);
    this.command = command;
    this.status = status;
    this.output = output;
  }
}

/** Runs a command and gives what it printed, without line ends at the end. */
export type GuestShell = (command: string, options?: CommandOptions) => Promise<string>;

/** Milliseconds a command may take. */
const COMMAND_TIME = 30_000;

/** A shell that rejects with GuestCommandError when a command fails; each may take 30 s unless told otherwise. */
export function guestShell(domain: Pick<Domain, 'sh'>): GuestShell {
  return async (command, options) => {
    const { output, status } = await domain.sh(command, { timeout: COMMAND_TIME, ...options });
    if (status !== 0) throw new GuestCommandError(command, status, output);
    return output.trimEnd();
  };
}
