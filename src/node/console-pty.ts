// The primary console at a pty, as xenconsoled offers it: console/tty in XenStore names the end that a user opens.
import { OutputReader } from '../backends/console/output-reader.ts';
import type { StateEvent } from '../machine/domain-events.ts';
import type { GuestConsole } from '../machine/guest-console.ts';
import { domainPath } from '../xen/store/path.ts';
import type { StoreClient } from '../xen/store/store-client.ts';
import type { Pty } from './pty.ts';

/** When to offer again what a guest did not take, in milliseconds. */
const RETRY = 20;

export interface ConsoleOwner {
  /** The guest's domid. */
  readonly id: number;
  readonly console: Pick<GuestConsole, 'onOutput' | 'write'>;
  readonly xenstore: StoreClient;
  on(name: 'state', listener: (event: StateEvent) => void): Disposable;
}

/**
 * Connects a domain's console and a pty, in place of the domain that was there before. Others may use the console too. The pty
 * is not closed with the domain.
 */
export function attachPty(domain: ConsoleOwner, pty: Pty): void {
  const { console } = domain;
  const reader = new OutputReader((bytes) => {
    if (!pty.write(bytes)) reader.hold();
  });
  pty.onDrain = () => reader.resume();
  console.onOutput((bytes) => reader.receive(bytes));
  pty.onData = (bytes) => {
    const rest = bytes.subarray(console.write(bytes));
    pty.reading(rest.length === 0);
    if (rest.length > 0) setTimeout(() => pty.onData(rest), RETRY).unref();
  };
  const publish = (): void => domain.xenstore.write(`${domainPath(domain.id)}/console/tty`, pty.path);
  publish();
  // XenStore is new then.
  domain.on('state', ({ cause }) => void (cause === 'reset' && publish()));
}
