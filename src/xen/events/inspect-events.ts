// Event channels for people: the tree behind `inspect /xen/evtchn`, the list of a monitor, and an event by hand.
import { EVTCHNSTAT } from '../../abi/xen/event-channel.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';

/** The same names as QMP's xen-event-list has. */
export type EventChannelType = 'unbound' | 'interdomain' | 'pirq' | 'virq' | 'ipi';

export interface EventChannelInfo {
  readonly port: number;
  readonly vcpu: number;
  readonly type: EventChannelType;
  /** The domain that may bind (unbound) or has bound (interdomain) the other end; the domain itself for a loopback. */
  readonly remoteDomain: number | null;
  /** interdomain: the port at the other end; virq, pirq: its number; else 0. */
  readonly target: number;
  readonly pending: boolean;
  readonly masked: boolean;
  /** 0, the highest, to 15; null under the 2-level ABI. */
  readonly priority: number | null;
}

export interface EventsInspection {
  readonly abi: '2-level' | 'fifo';
  /** Ports below exist, bound or closed. */
  readonly validPorts: number;
  /** Ports below can be bound. */
  readonly limit: number;
  /** FIFO: ports below have an event word. */
  readonly fifoWords: number;
  readonly ports: Readonly<Record<string, EventChannelInfo>>;
}

const TYPES: readonly (EventChannelType | undefined)[] = [undefined, 'unbound', 'interdomain', 'pirq', 'virq', 'ipi'];

/** Every port that is not closed, in order. */
export function listEventChannels(domain: XenDomain): EventChannelInfo[] {
  const { events } = domain;
  const { ports, usesFifo } = events;
  const list: EventChannelInfo[] = [];
  for (let port = 1; events.isValid(port); port++) {
    const state = ports.state(port);
    const type = TYPES[state];
    if (type === undefined) continue;
    const remote = ports.remote(port);
    const paired = state === EVTCHNSTAT.unbound || state === EVTCHNSTAT.interdomain;
    list.push({
      port,
      vcpu: ports.vcpu(port),
      type,
      remoteDomain: paired ? remote : null,
      target: state === EVTCHNSTAT.interdomain ? ports.remotePort(port) : paired ? 0 : remote,
      pending: events.isPending(port) || (usesFifo && ports.isHeld(port)),
      masked: events.isMasked(port),
      priority: usesFifo ? ports.priority(port) : null,
    });
  }
  return list;
}

export function inspectEvents(domain: XenDomain): EventsInspection {
  const { view } = domain.memory;
  return {
    abi: domain.events.usesFifo ? 'fifo' : '2-level',
    validPorts: Header.valid_ports.get(view, domain.at),
    limit: domain.events.limit,
    fifoWords: Header.fifo_words.get(view, domain.at),
    ports: Object.fromEntries(listEventChannels(domain).map((info) => [String(info.port), info])),
  };
}

/** Marks a port pending and delivers it as usual: a masked one stays pending. False when nothing is bound to it. */
export function injectEvent(domain: XenDomain, port: number): boolean {
  const { events } = domain;
  if (!Number.isInteger(port) || port < 1 || !events.isValid(port)) return false;
  if (events.ports.state(port) === EVTCHNSTAT.closed) return false;
  events.setPending(port);
  return true;
}
