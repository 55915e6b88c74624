// `dom1 list`: the domains that run, and how they are.
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRecord } from '../node/connect-control.ts';
import type { DomainRecord } from '../node/domain-record.ts';
import { listDomains } from '../node/domain-registry.ts';
import { defaultRuntimeDirectory } from '../node/runtime-directory.ts';
import { textColumns } from '../util/text-columns.ts';
import type { Invocation } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';

/** How long a domain may take to say how it is, in milliseconds. */
const TIMEOUT = 2000;

/** What a monitor answers to query-domain. */
interface DomainStatus {
  readonly domid: number;
  readonly uuid: string;
  readonly state: string;
  readonly vcpus: number;
  /** Bytes. */
  readonly memory: number;
}

export async function listCommand(invocation: Invocation, io: CommandIo): Promise<number> {
  const directory = io.directory ?? (await defaultRuntimeDirectory());
  const records = await listDomains({ directory });
  const all = await Promise.all(records.map(async (record) => ({ record, status: await statusOf(record, directory) })));
  if (invocation.options.has('json')) {
    printJson(
      io,
      all.map(({ record: { id, name, pid, started }, status }) => ({
        id,
        name,
        pid,
        started,
        ...(status ?? { state: 'no answer' }),
      })),
    );
    return EXIT_CODE.ok;
  }
  const rows = all.map(({ record, status }) => [
    record.name,
    `${record.id}`,
    status === undefined ? '-' : `${Math.round(status.memory / 2 ** 20)}`,
    status === undefined ? '-' : `${status.vcpus}`,
    status?.state ?? 'no answer',
    `${record.pid}`,
  ]);
  io.out(`${textColumns([['Name', 'ID', 'Mem', 'VCPUs', 'State', 'PID'], ...rows]).join('\n')}\n`);
  return EXIT_CODE.ok;
}

/** undefined when the domain is starting, ending or stuck. */
async function statusOf(record: DomainRecord, directory: string): Promise<DomainStatus | undefined> {
  try {
    using client = await connectRecord(record, directory, TIMEOUT);
    const late = sleep(TIMEOUT, undefined, { ref: false });
    return (await Promise.race([client.execute('query-domain'), late])) as DomainStatus | undefined;
  } catch {
    return undefined;
  }
}
