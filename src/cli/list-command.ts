// `dom1 list`: the domains that run, and how they are.
import { defaultRuntimeDirectory } from '../node/runtime-directory.ts';
import { textColumns } from '../util/text-columns.ts';
import type { Invocation } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { askDomain, namedRecords } from './domain-records.ts';
import { EXIT_CODE } from './exit-codes.ts';

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
  const records = await namedRecords(invocation.positionals, io);
  const all = await Promise.all(
    records.map(async (record) => ({
      record,
      status: (await askDomain(record, directory, 'query-domain')) as DomainStatus | undefined,
    })),
  );
  if (invocation.options.has('long')) {
    const configs = await Promise.all(
      records.map(async (record) => ({
        domid: record.id,
        name: record.name,
        config: (await askDomain(record, directory, 'query-config')) ?? null,
      })),
    );
    printJson(io, configs);
    return EXIT_CODE.ok;
  }
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
