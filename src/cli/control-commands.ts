// The commands on a domain that runs already: what they ask of its monitor, and how they print the answer.
import type { ControlClient } from '../node/control-client.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { listDomains } from '../node/domain-registry.ts';
import type { InspectJson } from '../util/inspect/inspect-json.ts';
import { inspectText } from '../util/inspect/inspect-text.ts';
import { textColumns } from '../util/text-columns.ts';
import { type Invocation, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { listCommand } from './list-command.ts';
import { monitorCommand } from './monitor-command.ts';
import { numberArgument } from './number-argument.ts';
import { openDomain, placeOf } from './open-domain.ts';
import { TOOLSTACK_IMPLEMENTATIONS } from './toolstack-commands.ts';

export type ControlImplementation = (invocation: Invocation, io: CommandIo) => Promise<number>;

/** A command that works on the domain its first argument names, and succeeds unless it throws. */
const onDomain =
  (work: (client: ControlClient, invocation: Invocation, io: CommandIo) => Promise<void>): ControlImplementation =>
  async (invocation, io) => {
    using client = await openDomain(invocation.positionals[0] as string, io);
    await work(client, invocation, io);
    return EXIT_CODE.ok;
  };

/** A command that sends one command to the monitor and prints nothing. */
const plain = (command: string): ControlImplementation => onDomain(async (client) => void (await client.execute(command)));

/** The domain may be gone before it can answer, which is what was asked for. */
async function unlessEnded(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof ControlConnectionError) || error.code !== 'ended') throw error;
  }
}

/** How long a domain's process may take to let go of its name after its last reply, in milliseconds, and how often to look. */
const LETTING_GO = { most: 5000, step: 20 } as const;

/** Whoever destroys a domain can use its name at once. */
async function nameIsFree(id: number, io: CommandIo): Promise<void> {
  for (let waited = 0; waited < LETTING_GO.most; waited += LETTING_GO.step) {
    if (!(await listDomains(placeOf(io))).some((domain) => domain.id === id)) return;
    await new Promise((resolve) => setTimeout(resolve, LETTING_GO.step));
  }
}

const vcpuOf = (text: string | undefined): { readonly vcpu?: number } =>
  text === undefined ? {} : { vcpu: numberArgument(text, 'virtual CPU') };

const trigger: ControlImplementation = (invocation, io) => {
  const [, kind, vcpu] = invocation.positionals;
  if (kind !== 'nmi' && kind !== 'reset') throw new UsageError(`there is no trigger '${kind}'; use nmi or reset`);
  if (kind === 'reset' && vcpu !== undefined) throw new UsageError('a reset is for all virtual CPUs; leave the number out');
  const given = vcpuOf(vcpu);
  return onDomain(async (client) => {
    await (kind === 'nmi' ? client.execute('inject-nmi', given) : client.execute('system_reset'));
  })(invocation, io);
};

const shutdown: ControlImplementation = (invocation, io) => {
  const { options } = invocation;
  if (options.has('reboot') && options.has('suspend'))
    throw new UsageError('a guest cannot reboot and suspend itself; give --reboot or --suspend');
  return askShutdown(options.has('reboot') ? 'reboot' : options.has('suspend') ? 'suspend' : 'poweroff')(invocation, io);
};

/** Asks the guest, and waits for it with --wait. */
const askShutdown = (kind: 'poweroff' | 'reboot' | 'suspend'): ControlImplementation =>
  onDomain(async (client, { options }) => {
    const done = new Promise<void>((resolve) => {
      client.onEvent(({ event }) => {
        // Whatever becomes of it, a guest that has ended will not do it any more.
        if (event === 'SHUTDOWN' || (kind === 'suspend' && event === 'SUSPEND') || (kind === 'reboot' && event === 'RESET'))
          resolve();
      });
    });
    const asked = client.execute('xen-shutdown', { kind });
    if (!options.has('wait')) return void (await asked);
    await unlessEnded(asked);
    await Promise.race([done, client.closed]);
  });

const eventInject: ControlImplementation = (invocation, io) => {
  const port = numberArgument(invocation.positionals[1] as string, 'port');
  return onDomain(async (client) => void (await client.execute('xen-event-inject', { port })))(invocation, io);
};

type Row = Readonly<Record<string, string | number | boolean>>;

/** A command whose answer is a list of objects with the same fields. */
const table = (command: string, fields: readonly string[], headings: readonly string[] = fields): ControlImplementation =>
  onDomain(async (client, { options }, io) => {
    const rows = (await client.execute(command)) as readonly Row[];
    if (options.has('json')) return printJson(io, rows);
    const cell = (field: string, value: Row[string] | undefined): string => {
      if (field === 'frame' && typeof value === 'number') return `0x${value.toString(16)}`;
      if (typeof value === 'boolean') return value ? 'yes' : 'no';
      return value === undefined || value === '' ? '-' : String(value);
    };
    io.out(`${textColumns([headings, ...rows.map((row) => fields.map((field) => cell(field, row[field])))]).join('\n')}\n`);
  });

const registers: ControlImplementation = (invocation, io) => {
  const given = vcpuOf(invocation.positionals[1]);
  return onDomain(async (client) => {
    const { text, ...values } = (await client.execute('query-registers', given)) as { readonly text: string };
    if (invocation.options.has('json')) printJson(io, values);
    else io.out(`${text}\n`);
  })(invocation, io);
};

const inspect = onDomain(async (client, { positionals, options }, io) => {
  const path = positionals[1];
  const node = (await client.execute('inspect', path === undefined ? {} : { path })) as InspectJson;
  if (options.has('json')) return printJson(io, node);
  const text = inspectText(node);
  if (text !== '') io.out(`${text}\n`);
});

export const CONTROL_IMPLEMENTATIONS: Readonly<Record<string, ControlImplementation>> = {
  ...TOOLSTACK_IMPLEMENTATIONS,
  list: listCommand,
  pause: plain('stop'),
  unpause: plain('cont'),
  resume: onDomain(async (client, { options }) => {
    await client.execute('system_wakeup', { cancelled: options.has('cancelled') });
  }),
  reset: plain('system_reset'),
  shutdown,
  reboot: askShutdown('reboot'),
  destroy: onDomain(async (client, _, io) => {
    const { domain } = await client.greeting;
    await unlessEnded(client.execute('quit'));
    await client.closed;
    await nameIsFree(domain.id, io);
  }),
  trigger,
  'event-list': table(
    'xen-event-list',
    ['port', 'vcpu', 'type', 'remote-domain', 'target', 'pending', 'masked'],
    ['Port', 'VCPU', 'Type', 'Remote', 'Target', 'Pending', 'Masked'],
  ),
  'event-inject': eventInject,
  'grant-list': table(
    'xen-grant-table',
    ['ref', 'type', 'domid', 'frame', 'readonly', 'readers', 'writers'],
    ['Ref', 'Type', 'To', 'Frame', 'Readonly', 'Readers', 'Writers'],
  ),
  registers,
  inspect,
  monitor: monitorCommand,
};
