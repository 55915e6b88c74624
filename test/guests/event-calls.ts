// event_channel_op with its structures written by hand: public/event_channel.h. Calls that give a port return it.
import type { Member } from './guest-ram.ts';
import type { Probe } from './probe.ts';
import { DOMID, EVTCHNOP, HVMOP, HYPERVISOR } from './xen-numbers.ts';

export interface PortStatus {
  readonly status: number;
  readonly vcpu: number;
  /** First word of the union: a domain, pirq or VIRQ. */
  readonly u0: number;
  /** Second: the port at the other end. */
  readonly u1: number;
}

export class EventCalls {
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  op(cmd: number, at: number): number {
    return this.#probe.call(HYPERVISOR.event_channel_op, cmd, at);
  }

  allocUnbound(remote: number, dom: number = DOMID.self): number {
    return this.#bind(EVTCHNOP.alloc_unbound, 4, 8, [0, 2, dom], [2, 2, remote]);
  }
  bindInterdomain(remoteDom: number, remotePort: number): number {
    return this.#bind(EVTCHNOP.bind_interdomain, 8, 12, [0, 2, remoteDom], [4, 4, remotePort]);
  }
  bindVirq(virq: number, vcpu = 0): number {
    return this.#bind(EVTCHNOP.bind_virq, 8, 12, [0, 4, virq], [4, 4, vcpu]);
  }
  bindPirq(pirq: number, flags = 0): number {
    return this.#bind(EVTCHNOP.bind_pirq, 8, 12, [0, 4, pirq], [4, 4, flags]);
  }
  bindIpi(vcpu = 0): number {
    return this.#bind(EVTCHNOP.bind_ipi, 4, 8, [0, 4, vcpu]);
  }
  /** An unbound port of this domain and the one bound to it. */
  loopback(): readonly [number, number] {
    const port = this.allocUnbound(DOMID.self);
    return [port, this.bindInterdomain(DOMID.self, port)];
  }

  close(port: number): number {
    return this.#plain(EVTCHNOP.close, [0, 4, port]);
  }
  send(port: number): number {
    return this.#plain(EVTCHNOP.send, [0, 4, port]);
  }
  unmask(port: number): number {
    return this.#plain(EVTCHNOP.unmask, [0, 4, port]);
  }
  bindVcpu(port: number, vcpu: number): number {
    return this.#plain(EVTCHNOP.bind_vcpu, [0, 4, port], [4, 4, vcpu]);
  }
  setPriority(port: number, priority: number): number {
    return this.#plain(EVTCHNOP.set_priority, [0, 4, port], [4, 4, priority]);
  }
  reset(dom: number = DOMID.self): number {
    return this.#plain(EVTCHNOP.reset, [0, 2, dom]);
  }

  status(port: number, dom: number = DOMID.self): number | PortStatus {
    const probe = this.#probe;
    const at = probe.make(24, [0, 2, dom], [4, 4, port], [8, 4, 0xdead]);
    const result = this.op(EVTCHNOP.status, at);
    if (result !== 0) return result;
    return { status: probe.u32(at + 8), vcpu: probe.u32(at + 12), u0: probe.u32(at + 16), u1: probe.u32(at + 20) };
  }

  /** HVMOP_set_evtchn_upcall_vector */
  upcallVector(vector: number, vcpu = 0): number {
    return this.#probe.call(HYPERVISOR.hvm_op, HVMOP.set_evtchn_upcall_vector, this.#probe.make(8, [0, 4, vcpu], [4, 1, vector]));
  }

  #plain(cmd: number, ...members: readonly Member[]): number {
    return this.op(cmd, this.#probe.make(24, ...members));
  }

  /** The port is at `offset` of a structure of so many bytes. */
  #bind(cmd: number, offset: number, size: number, ...members: readonly Member[]): number {
    const at = this.#probe.make(size, ...members);
    const result = this.op(cmd, at);
    return result === 0 ? this.#probe.u32(at + offset) : result;
  }
}
