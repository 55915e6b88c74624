// Questions to all domains, or to those that are named, without waiting for one that does not answer.
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRecord } from '../node/connect-control.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import type { DomainRecord } from '../node/domain-record.ts';
import { listDomains } from '../node/domain-registry.ts';
import { closest } from '../util/closest.ts';
import type { CommandIo } from './command-io.ts';
import { placeOf } from './open-domain.ts';

/** How long a domain may take to say how it is, in milliseconds. */
const TIMEOUT = 2000;

/** The domains that run, or those of them with these names or ids. @throws ControlConnectionError */
export async function namedRecords(names: readonly string[], io: CommandIo): Promise<readonly DomainRecord[]> {
  const all = await listDomains(placeOf(io));
  if (names.length === 0) return all;
  return names.map((wanted) => {
    const record = all.find(({ id, name }) => (/^\d+$/.test(wanted) ? id === Number(wanted) : name === wanted));
    if (record !== undefined) return record;
    const known = all.map(({ name }) => name);
    const near = closest(wanted, known);
    const hint = near !== undefined ? `did you mean ${near}?` : known.length === 0 ? 'none runs' : `running: ${known.join(', ')}`;
    throw new ControlConnectionError('no-such-domain', `no domain named '${wanted}' runs`, hint, { known });
  });
}

/** The answer to a command; undefined when the domain is starting, ending or stuck, or knows no such command. */
export async function askDomain(record: DomainRecord, directory: string, command: string): Promise<unknown> {
  try {
    using client = await connectRecord(record, directory, TIMEOUT);
    const late = sleep(TIMEOUT, undefined, { ref: false });
    return await Promise.race([client.execute(command), late]);
  } catch {
    return undefined;
  }
}
