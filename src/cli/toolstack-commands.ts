// What the toolstack's commands do.
import { defaultRuntimeDirectory } from '../node/runtime-directory.ts';
import { textColumns } from '../util/text-columns.ts';
import { type Invocation, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { completionCommand } from './completion-command.ts';
import { consoleCommand } from './console-command.ts';
import { DEVICE_IMPLEMENTATIONS } from './device-commands.ts';
import { DISPLAY_IMPLEMENTATIONS } from './display-commands.ts';
import { askDomain, namedRecords } from './domain-records.ts';
import { durationText } from './duration.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { manPageCommand } from './man-page-command.ts';
import { memoryKib } from './memory-argument.ts';
import { openDomain } from './open-domain.ts';

type Implementation = (invocation: Invocation, io: CommandIo) => Promise<number>;

const dmesg: Implementation = async ({ positionals, options }, io) => {
  using client = await openDomain(positionals[0] as string, io);
  const { data } = (await client.execute('query-log', { clear: options.has('clear') })) as { readonly data: string };
  const bytes = Buffer.from(data, 'base64');
  if (options.has('json')) printJson(io, { log: bytes.toString('utf8') });
  else io.out(bytes);
  return EXIT_CODE.ok;
};

const sysrq: Implementation = async ({ positionals: [name = '', key = ''] }, io) => {
  if (!/^[\x21-\x7e]$/.test(key)) throw new UsageError(`'${key}' is no key; give one letter or digit, such as s`);
  using client = await openDomain(name, io);
  await client.execute('xen-sysrq', { key });
  return EXIT_CODE.ok;
};

const memory =
  (command: 'xen-memory-target' | 'xen-memory-max'): Implementation =>
  async ({ positionals: [name = '', size = ''] }, io) => {
    const kib = memoryKib(size);
    using client = await openDomain(name, io);
    await client.execute(command, { kib });
    return EXIT_CODE.ok;
  };

const rename: Implementation = async ({ positionals: [name = '', next = ''] }, io) => {
  using client = await openDomain(name, io);
  await client.execute('rename', { name: next });
  return EXIT_CODE.ok;
};

/** `domid` and `domname`: one of a domain's two names by the other. */
const identity =
  (which: 'id' | 'name'): Implementation =>
  async ({ positionals: [name = ''], options }, io) => {
    const [record] = await namedRecords([name], io);
    if (options.has('json')) printJson(io, { id: record?.id, name: record?.name });
    else io.out(`${record?.[which]}\n`);
    return EXIT_CODE.ok;
  };

interface VcpuStatus {
  readonly vcpu: number;
  readonly online: boolean;
  readonly blocked: boolean;
  readonly 'time-running': number;
}

const vcpuList: Implementation = async ({ positionals, options }, io) => {
  const directory = io.directory ?? (await defaultRuntimeDirectory());
  const rows = await Promise.all(
    (await namedRecords(positionals, io)).map(async (record) => {
      const [vcpus, domain] = await Promise.all([
        askDomain(record, directory, 'query-vcpus'),
        askDomain(record, directory, 'query-domain'),
      ]);
      const running = (domain as { readonly state: string } | undefined)?.state === 'running';
      return ((vcpus ?? []) as readonly VcpuStatus[]).map(({ vcpu, online, blocked, 'time-running': ns }) => ({
        name: record.name,
        id: record.id,
        vcpu,
        // As xl has it: r running, b blocked, p offline or held.
        state: !online || !running ? '--p' : blocked ? '-b-' : 'r--',
        time: Math.round(ns / 1e8) / 10,
      }));
    }),
  );
  const all = rows.flat();
  if (options.has('json')) printJson(io, all);
  else {
    const cells = all.map(({ name, id, vcpu, state, time }) => [name, `${id}`, `${vcpu}`, state, time.toFixed(1), 'all / all']);
    io.out(`${textColumns([['Name', 'ID', 'VCPU', 'State', 'Time(s)', 'Affinity (Hard / Soft)'], ...cells]).join('\n')}\n`);
  }
  return EXIT_CODE.ok;
};

const uptime: Implementation = async ({ positionals, options }, io) => {
  const directory = io.directory ?? (await defaultRuntimeDirectory());
  const all = await Promise.all(
    (await namedRecords(positionals, io)).map(async (record) => {
      const times = (await askDomain(record, directory, 'query-times')) as { readonly started: number | null } | undefined;
      const started = times?.started ?? Date.parse(record.started);
      return { name: record.name, id: record.id, seconds: Math.max(0, Math.round((Date.now() - started) / 1000)) };
    }),
  );
  if (options.has('json')) printJson(io, all);
  else {
    const cells = all.map(({ name, id, seconds }) => [name, `${id}`, durationText(seconds)]);
    io.out(`${textColumns([['Name', 'ID', 'Uptime'], ...cells]).join('\n')}\n`);
  }
  return EXIT_CODE.ok;
};

export const TOOLSTACK_IMPLEMENTATIONS: Readonly<Record<string, Implementation>> = {
  // It knows the configuration's language, which nobody else needs.
  create: async (invocation, io) => (await import('./create-command.ts')).createCommand(invocation, io),
  top: async (invocation, io) => (await import('./top-command.ts')).topCommand(invocation, io),
  info: async (invocation, io) => (await import('./info-command.ts')).infoCommand(invocation, io),
  explain: async (invocation, io) => (await import('./explain-command.ts')).explainCommand(invocation, io),
  console: consoleCommand,
  ...DEVICE_IMPLEMENTATIONS,
  ...DISPLAY_IMPLEMENTATIONS,
  dmesg,
  sysrq,
  'mem-set': memory('xen-memory-target'),
  'mem-max': memory('xen-memory-max'),
  rename,
  domid: identity('id'),
  domname: identity('name'),
  'vcpu-list': vcpuList,
  uptime,
  completion: completionCommand,
  'man-page': manPageCommand,
};
