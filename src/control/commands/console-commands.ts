// Commands of the monitor on the guest's console and on the hypervisor's log.
import { fromBase64, toBase64 } from '../console/base64.ts';
import type { ConsoleHub } from '../console/console-hub.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';

function consoleOf({ host }: CommandContext): ConsoleHub {
  if (host.console === undefined) throw new ControlError('GenericError', 'the domain has no console here');
  return host.console;
}

const inUse = (): ControlError => new ControlError('GenericError', 'another client has the console for itself');

export const CONSOLE_COMMANDS = [
  controlCommand({
    name: 'console-attach',
    help: 'send CONSOLE_OUTPUT with what the guest prints: data in base64, and lost, a number of bytes that were missed',
    arguments: {
      history: { type: 'boolean', optional: true, help: 'begin with the last 64 KiB it has printed; true by default' },
      exclusive: { type: 'boolean', optional: true, help: 'nobody else may type; false by default' },
    },
    run(context, { history = true, exclusive = false }) {
      const hub = consoleOf(context);
      if (!context.console.attach(hub, { history, exclusive })) throw inUse();
      context.console.pump();
      return { clients: hub.clients, ...(hub.size !== undefined && hub.size) };
    },
  }),
  controlCommand({
    name: 'console-detach',
    help: 'end what console-attach began',
    arguments: {},
    run: ({ console }) => console.detach(),
  }),
  controlCommand({
    name: 'console-write',
    help: 'type into the guest; taken is the number of bytes that it took, less than all when too much waits',
    arguments: { data: { type: 'string', help: 'the bytes in base64' } },
    run(context, { data }) {
      const bytes = fromBase64(data);
      if (bytes === undefined) throw new ControlError('InvalidArgument', 'console-write needs data: base64');
      const taken = consoleOf(context).write(context.console, bytes);
      if (taken === undefined) throw inUse();
      return { taken };
    },
  }),
  controlCommand({
    name: 'console-resize',
    help: "tell the console's other clients the size of this one's terminal",
    arguments: {
      columns: { type: 'integer', min: 1, max: 65535, help: 'characters in a line' },
      rows: { type: 'integer', min: 1, max: 65535, help: 'lines' },
    },
    run: (context, size) => consoleOf(context).resize(context.console, size),
  }),
  controlCommand({
    name: 'query-console',
    help: 'who uses the console, and how much was printed',
    arguments: {},
    run(context) {
      const { clients, exclusive, history, size } = consoleOf(context);
      return {
        clients,
        exclusive,
        attached: context.console.attached,
        printed: history.end,
        kept: history.end - history.start,
        ...size,
      };
    },
  }),
  controlCommand({
    name: 'console-history',
    help: 'the last 64 KiB that the guest has printed: data in base64',
    arguments: {},
    run: (context) => ({ data: toBase64(consoleOf(context).history.read(0).bytes) }),
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
