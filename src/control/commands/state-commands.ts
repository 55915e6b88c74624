// Commands of the monitor that show the domain's state: event channels, grants, registers, the inspection tree.
import type { VcpuRegisters } from '../../machine/registers.ts';
import { hexText, inspectJson } from '../../util/inspect/inspect-json.ts';
import { InspectPathError, inspectAt } from '../../util/inspect/inspect-path.ts';
import type { EventChannelInfo } from '../../xen/events/inspect-events.ts';
import { controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import type { MonitorTarget } from '../monitor-target.ts';
import { VCPU } from './vcpu-argument.ts';

/** Who is at the other end, as QEMU's xen-event-list has it: "loopback" for the guest itself. */
function remoteName(target: MonitorTarget, { type, remoteDomain: domid }: EventChannelInfo): string {
  if (type !== 'interdomain' || domid === null) return '';
  return domid === target.id ? 'loopback' : `dom${domid}`;
}

const eventChannelJson = (target: MonitorTarget, info: EventChannelInfo) => ({
  port: info.port,
  vcpu: info.vcpu,
  type: info.type,
  'remote-domain': remoteName(target, info),
  target: info.target,
  pending: info.pending,
  masked: info.masked,
  // Beyond QEMU, which has no FIFO event channels.
  ...(info.priority !== null && { priority: info.priority }),
});

const hexValues = (registers: Readonly<Record<string, bigint>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(registers).map(([name, value]) => [name, hexText(value)]));

const registersJson = ({ vcpu, registers, segments, control, text }: VcpuRegisters) => ({
  vcpu,
  registers: hexValues(registers),
  segments: Object.fromEntries(
    Object.entries(segments).map(([name, { selector, base, limit, attributes }]) => [
      name,
      { selector, base: hexText(base), limit, attributes },
    ]),
  ),
  control: hexValues(control),
  text,
});

export const STATE_COMMANDS = [
  controlCommand({
    name: 'xen-event-list',
    help: 'the event channels that are not closed',
    arguments: {},
    run: ({ target }) => target.eventChannels().map((info) => eventChannelJson(target, info)),
  }),
  controlCommand({
    name: 'xen-event-inject',
    help: 'make a port pending and deliver it; a masked port stays pending',
    arguments: { port: { type: 'integer', min: 0, max: 0xffff_ffff, help: 'the port' } },
    run: ({ target }, { port }) => target.injectEvent(port),
  }),
  controlCommand({
    name: 'xen-grant-table',
    help: 'the grants that are in use',
    arguments: {},
    run: ({ target }) => target.grants(),
  }),
  controlCommand({
    name: 'query-registers',
    help: 'the registers of a virtual CPU: numbers as hexadecimal strings, and all of them as text',
    arguments: { vcpu: VCPU },
    run: async ({ target }, { vcpu = 0 }) => registersJson(await target.registers(vcpu)),
  }),
  controlCommand({
    name: 'inspect',
    help: 'the state of the domain as a tree, or the part of it at a path; 64-bit values are hexadecimal strings',
    arguments: { path: { type: 'string', optional: true, help: 'such as /xen/evtchn; the whole tree by default' } },
    run({ target }, { path = '/' }) {
      try {
        return inspectJson(inspectAt(target.inspect(), path));
      } catch (error) {
        throw error instanceof InspectPathError ? new ControlError('InvalidArgument', error.message) : error;
      }
    },
  }),
];
