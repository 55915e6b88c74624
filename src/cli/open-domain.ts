// The domain that the first argument of a command names.
import { type ConnectOptions, connectControl } from '../node/connect-control.ts';
import type { ControlClient } from '../node/control-client.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { closest } from '../util/closest.ts';
import type { CommandIo } from './command-io.ts';

export const placeOf = ({ directory }: CommandIo): ConnectOptions => (directory === undefined ? {} : { directory });

/** @throws ControlConnectionError, with a guess at the name that was meant */
export async function openDomain(name: string, io: CommandIo): Promise<ControlClient> {
  return await guessingName(name, () => connectControl(name, placeOf(io)));
}

/** Does something with the domain of this name. @throws ControlConnectionError, with a guess at the name that was meant */
export async function guessingName<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const near = error instanceof ControlConnectionError ? closest(name, error.known) : undefined;
    if (near === undefined) throw error;
    throw new ControlConnectionError('no-such-domain', `no domain named '${name}' runs`, `did you mean ${near}?`, {
      cause: error,
    });
  }
}
