// Commands of the monitor on the guest's consoles and on the hypervisor's log.
import { fromBase64, toBase64 } from '../console/base64.ts';
import type { ConsoleHub } from '../console/console-hub.ts';
import type { SessionConsole } from '../console/session-console.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';

const CONSOLE = {
  type: 'integer',
  optional: true,
  min: 0,
  max: 65535,
  help: "the console's number: 0, the default, is the primary one",
} as const;

function hubOf({ host }: CommandContext, number: number): ConsoleHub {
  const hub = number === 0 ? host.console : host.consoles?.get(number)?.hub;
  if (hub === undefined)
    throw new ControlError(
      'GenericError',
      number === 0 ? 'the domain has no console here' : `the domain has no console ${number}`,
    );
  return hub;
}

const consoleOf = (context: CommandContext, number = 0): SessionConsole => context.consoles.of(number, hubOf(context, number));

const inUse = (): ControlError => new ControlError('GenericError', 'another client has the console for itself');

function describe(context: CommandContext, number: number): object {
  const session = consoleOf(context, number);
  const { clients, exclusive, history, size } = session.hub;
  return {
    clients,
    exclusive,
    attached: session.attached,
    printed: history.end,
    kept: history.end - history.start,
    ...size,
  };
}

export const CONSOLE_COMMANDS = [
  controlCommand({
    name: 'console-attach',
    help: 'send CONSOLE_OUTPUT with what the guest prints: data in base64; lost bytes; console, unless it is 0',
    arguments: {
      console: CONSOLE,
      history: { type: 'boolean', optional: true, help: 'begin with the last 64 KiB it has printed; true by default' },
      exclusive: { type: 'boolean', optional: true, help: 'nobody else may type; false by default' },
    },
    run(context, { console: number, history = true, exclusive = false }) {
      const session = consoleOf(context, number);
      if (!session.attach({ history, exclusive })) throw inUse();
      session.pump();
      const { clients, size } = session.hub;
      return { clients, ...size };
    },
  }),
  controlCommand({
    name: 'console-detach',
    help: 'end what console-attach began',
    arguments: { console: CONSOLE },
    run: (context, { console: number }) => consoleOf(context, number).detach(),
  }),
  controlCommand({
    name: 'console-write',
    help: 'type into the guest; taken is the number of bytes that it took, less than all when too much waits',
    arguments: { console: CONSOLE, data: { type: 'string', help: 'the bytes in base64' } },
    run(context, { console: number, data }) {
      const bytes = fromBase64(data);
      if (bytes === undefined) throw new ControlError('InvalidArgument', 'console-write needs data: base64');
      const session = consoleOf(context, number);
      const taken = session.hub.write(session, bytes);
      if (taken === undefined) throw inUse();
      return { taken };
    },
  }),
  controlCommand({
    name: 'console-resize',
    help: "tell the console's other clients the size of this one's terminal; the guest is not told",
    arguments: {
      console: CONSOLE,
      columns: { type: 'integer', min: 1, max: 65535, help: 'characters in a line' },
      rows: { type: 'integer', min: 1, max: 65535, help: 'lines' },
    },
    run(context, { console: number, columns, rows }) {
      const session = consoleOf(context, number);
      session.hub.resize(session, { columns, rows });
    },
  }),
  controlCommand({
    name: 'query-console',
    help: 'who uses the console, and how much was printed',
    arguments: { console: CONSOLE },
    run: (context, { console: number = 0 }) => describe(context, number),
  }),
  controlCommand({
    name: 'query-consoles',
    help: "all consoles: console is the number, name a channel's, tty the terminal on the host that it is at",
    arguments: {},
    run(context) {
      const { console, consoles } = context.host;
      const { xenstore, id } = context.target;
      // The guest may only read that node.
      const primaryTty = xenstore.read(`/local/domain/${id}/console/tty`) || undefined;
      const tty = primaryTty !== undefined && { tty: primaryTty };
      const primary = console === undefined ? [] : [{ console: 0, type: 'pv', ...tty, ...describe(context, 0) }];
      const further = (consoles?.list() ?? []).map(([number, { channel, tty }]) => ({
        console: number,
        type: 'pv',
        ...(channel !== undefined && { name: channel }),
        ...(tty !== undefined && { tty }),
        ...describe(context, number),
      }));
      return [...primary, ...further];
    },
  }),
  controlCommand({
    name: 'console-history',
    help: 'the last 64 KiB that the guest has printed: data in base64',
    arguments: { console: CONSOLE },
    run: (context, { console: number = 0 }) => ({ data: toBase64(hubOf(context, number).history.read(0).bytes) }),
  }),
  controlCommand({
    name: 'query-log',
    help: "the last 64 KiB of the hypervisor's log: data in base64",
    arguments: { clear: { type: 'boolean', optional: true, help: 'and forget it' } },
    run({ host: { log } }, { clear = false }) {
      if (log === undefined) throw new ControlError('GenericError', "the hypervisor's log is not kept here");
      const { bytes } = log.read(0);
      if (clear) log.clear();
      return { data: toBase64(bytes) };
    },
  }),
];
