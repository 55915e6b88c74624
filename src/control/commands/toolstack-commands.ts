// Commands of the monitor that a toolstack has: names, requests through XenStore, times.
import { inspectJson } from '../../util/inspect/inspect-json.ts';
import { inspectAt } from '../../util/inspect/inspect-path.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import { ENDED_STATES } from '../monitor-target.ts';

const KIB = 1024;

const home = ({ target }: CommandContext): string => `/local/domain/${target.id}`;

function requireAlive({ target }: CommandContext, what: string): void {
  if (ENDED_STATES.includes(target.state))
    throw new ControlError('WrongState', `the domain is ${target.state}: it cannot be ${what}`);
}

const kibOf = (context: CommandContext, node: string): number | undefined => {
  const text = context.target.xenstore.read(`${home(context)}/memory/${node}`);
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
};

/** A branch of the inspection tree, as JSON; undefined when there is none. */
function branch(context: CommandContext, path: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return inspectJson(inspectAt(context.target.inspect(), path)) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

/** Nanoseconds out of the tree: a number, or hexadecimal text. */
const nanoseconds = (value: unknown): number => {
  const number = Number(value);
  return Number.isFinite(number) ? number : 0;
};

/** With the time since it began to run, if it does. */
function timeRunning(vcpu: Readonly<Record<string, unknown>>, nowNs: number): number {
  const entry = vcpu['runstate_entry_ns'];
  const now = vcpu['runstate'] === 'running' && entry !== undefined ? Math.max(0, nowNs - nanoseconds(entry)) : 0;
  return nanoseconds(vcpu['time_running']) + now;
}

export const TOOLSTACK_COMMANDS = [
  controlCommand({
    name: 'rename',
    help: 'give the domain another name',
    arguments: { name: { type: 'string', help: 'letters, digits and _.:+-' } },
    async run(context, { name }) {
      if (context.host.rename === undefined) throw new ControlError('GenericError', 'the domain cannot be renamed here');
      await context.host.rename(name);
      context.target.xenstore.write(`${home(context)}/name`, name);
    },
  }),
  controlCommand({
    name: 'xen-sysrq',
    help: 'press a magic SysRq key in the guest (control/sysrq)',
    arguments: { key: { type: 'string', help: 'a letter or a digit' } },
    run(context, { key }) {
      if (!/^[\x21-\x7e]$/.test(key)) throw new ControlError('InvalidArgument', 'xen-sysrq needs key: one letter or digit');
      requireAlive(context, 'sent a key');
      context.target.xenstore.write(`${home(context)}/control/sysrq`, key);
    },
  }),
  controlCommand({
    name: 'query-memory',
    help: 'memory in KiB: the target of the balloon, the most it may be, what the guest has',
    arguments: {},
    run(context) {
      const tree = branch(context, '/memory');
      const pages = Number(tree?.['pages'] ?? Number.NaN);
      return {
        target: kibOf(context, 'target') ?? null,
        'static-max': kibOf(context, 'static-max') ?? null,
        actual: Number.isFinite(pages) ? pages * 4 : null,
      };
    },
  }),
  controlCommand({
    name: 'xen-memory-target',
    help: "set the target of the guest's balloon (memory/target)",
    arguments: { kib: { type: 'integer', min: 1, help: 'KiB' } },
    run(context, { kib }) {
      requireAlive(context, 'given a target');
      const most = kibOf(context, 'static-max') ?? context.target.memoryBytes / KIB;
      if (kib > most)
        throw new ControlError(
          'InvalidArgument',
          `${kib} KiB are more than the domain may have (${most} KiB); give it more maxmem when it is created`,
        );
      // As in xl, a target above the limit of mem-max moves the limit.
      const limit = Number(branch(context, '/memory')?.['max_pages'] ?? Number.POSITIVE_INFINITY) * 4;
      if (kib > limit) context.target.setMaxMemory(Math.floor(kib / 4) * 4 * KIB);
      const video = kibOf(context, 'videoram') ?? 0;
      context.target.xenstore.write(`${home(context)}/memory/target`, String(kib - Math.min(video, kib)));
    },
  }),
  controlCommand({
    name: 'xen-memory-max',
    help: "limit what the guest's balloon may reach",
    arguments: { kib: { type: 'integer', min: 1, help: 'KiB' } },
    run(context, { kib }) {
      requireAlive(context, 'given a limit');
      const target = kibOf(context, 'target') ?? 0;
      if (kib < target)
        throw new ControlError(
          'InvalidArgument',
          `${kib} KiB are less than the target of the balloon (${target} KiB); lower that first`,
        );
      try {
        context.target.setMaxMemory(Math.floor(kib / 4) * 4 * KIB);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new ControlError('InvalidArgument', `${error.message}; give it more maxmem when it is created`);
      }
    },
  }),
  controlCommand({
    name: 'query-vcpus',
    help: 'each virtual CPU: whether it is online, what it does, and nanoseconds that it ran',
    arguments: {},
    run(context) {
      const tree = branch(context, '/vcpu') ?? {};
      const nowNs = nanoseconds(branch(context, '/time')?.['system_ns']);
      return Object.entries(tree)
        .filter((entry): entry is [string, Record<string, unknown>] => typeof entry[1] === 'object' && entry[1] !== null)
        .map(([id, vcpu]) => ({
          vcpu: Number(id),
          online: vcpu['up'] !== false,
          blocked: vcpu['blocked'] === true,
          runstate: String(vcpu['runstate'] ?? '?'),
          'time-running': timeRunning(vcpu, nowNs),
        }));
    },
  }),
  controlCommand({
    name: 'query-times',
    help: 'when the domain was started (milliseconds since 1970), guest time in nanoseconds, instructions that the guest has run',
    arguments: {},
    run(context) {
      const tree = branch(context, '/time');
      const vm = context.target.xenstore.read(`${home(context)}/vm`);
      const startTime = vm === undefined ? undefined : context.target.xenstore.read(`${vm}/start_time`);
      return {
        started: startTime === undefined ? (context.host.startedMs ?? null) : Math.round(Number(startTime) * 1000),
        'system-ns': nanoseconds(tree?.['system_ns'] ?? 0),
        retired: nanoseconds(tree?.['retired'] ?? 0),
      };
    },
  }),
  controlCommand({
    name: 'query-config',
    help: 'what the domain is made of, with what was attached since; null when that is not known',
    arguments: {},
    run: ({ host }) => host.config?.() ?? null,
  }),
];
