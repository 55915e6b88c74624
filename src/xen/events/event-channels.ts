// Event channels of one domain: what the ports are bound to, and sending. Errors are negated errnos.
// Sends and delivery do not take the domain's lock; binding and closing do.

import { DOMID_SELF, DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC, ENOSYS, ESRCH } from '../../abi/xen/errno.ts';
import { EVTCHN_FIFO, EVTCHNSTAT, type EvtchnState, isPerVcpuVirq, NR_VIRQS } from '../../abi/xen/event-channel.ts';
import { VCPU_INFO } from '../../abi/xen/shared-info.ts';
import type { XenDomain } from '../domain.ts';
import { BACKEND_PORTS, DomainHeader as Header } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';
import { FifoPorts } from './fifo.ts';
import { expandArray, initControl, leaveFifo } from './fifo-control.ts';
import { Pirqs } from './pirqs.ts';
import { PortTable } from './port-table.ts';
import { TwoLevelPorts } from './two-level.ts';
import { UpcallDelivery } from './upcall-delivery.ts';

export class EventChannels {
  readonly ports: PortTable;
  /** Domain 0's ends. */
  readonly backend: PortTable;
  readonly twoLevel: TwoLevelPorts;
  readonly fifo: FifoPorts;
  readonly pirqs: Pirqs;
  readonly #delivery: UpcallDelivery;
  readonly #domain: XenDomain;
  readonly #i32: Int32Array;
  readonly #fifoMode: number;
  readonly #validPorts: number;

  constructor(domain: XenDomain) {
    const { memory, at, plan } = domain;
    this.#domain = domain;
    this.#i32 = memory.i32;
    this.#fifoMode = (at + Header.evtchn_fifo.offset) >>> 2;
    this.#validPorts = (at + Header.valid_ports.offset) >>> 2;
    this.ports = new PortTable(memory, at + plan.ports, PortTable.existing(Header.max_port.get(memory.view, at)));
    this.backend = new PortTable(memory, at + plan.backendPorts, BACKEND_PORTS);
    this.#delivery = new UpcallDelivery(domain);
    this.twoLevel = new TwoLevelPorts(domain, this.ports, this.#delivery);
    this.fifo = new FifoPorts(domain, this.ports, this.#delivery);
    this.pirqs = new Pirqs(domain, this);
  }

  /** Whether a port number exists, bound or closed. */
  isValid(port: number): boolean {
    return port < Atomics.load(this.#i32, this.#validPorts);
  }

  /** Whether the FIFO ABI is in force, and not 2-level. */
  get usesFifo(): boolean {
    return Atomics.load(this.#i32, this.#fifoMode) !== 0;
  }

  /** Ports below this number can be bound under the ABI in force, as far as the domain may have them. */
  get limit(): number {
    const most = this.usesFifo ? EVTCHN_FIFO.ports : this.twoLevel.limit;
    return Math.min(most, Header.max_port.get(this.#domain.memory.view, this.#domain.at) + 1);
  }

  isPending(port: number): boolean {
    return this.usesFifo ? this.fifo.isPending(port) : this.twoLevel.isPending(port);
  }

  isMasked(port: number): boolean {
    return this.usesFifo ? this.fifo.isMasked(port) : this.twoLevel.isMasked(port);
  }

  /** EVTCHNOP_alloc_unbound for a port of this domain. Returns the port or -ENOSPC. */
  allocUnbound(remoteDom: number): number {
    const { domid } = this.#domain;
    return this.#locked(() => this.#bindFree(EVTCHNSTAT.unbound, 0, remoteDom === DOMID_SELF ? domid : remoteDom, 0));
  }

  /** EVTCHNOP_bind_interdomain: to a port of this domain itself or of a backend. Returns the local port or an error. */
  bindInterdomain(remoteDom: number, remotePort: number): number {
    const { domid } = this.#domain;
    const remote = remoteDom === DOMID_SELF ? domid : remoteDom;
    if (remote !== domid && remote !== DOMID_ZERO) return -ESRCH;
    return this.#locked(() => {
      const local = this.#findFree();
      if (local < 0) return local;
      const table = remote === domid ? this.ports : this.backend;
      if (remote === domid ? !this.isValid(remotePort) : remotePort >= table.count) return -EINVAL;
      if (table.state(remotePort) !== EVTCHNSTAT.unbound || table.remote(remotePort) !== domid) return -EINVAL;
      this.#bind(local, EVTCHNSTAT.interdomain, 0, remote, remotePort);
      table.set(remotePort, EVTCHNSTAT.interdomain, table.vcpu(remotePort), domid, local);
      // Events sent while the other end was unbound were dropped: let the guest look once.
      this.setPending(local);
      return local;
    });
  }

  /** EVTCHNOP_bind_virq. Returns the port or an error. */
  bindVirq(virq: number, vcpuId: number): number {
    if (virq >= NR_VIRQS) return -EINVAL;
    if (!isPerVcpuVirq(virq) && vcpuId !== 0) return -EINVAL;
    const vcpu = this.#domain.vcpus[vcpuId];
    if (vcpu === undefined) return -ENOENT;
    return this.#locked(() => {
      if (vcpu.virqPort(virq) !== 0) return -EEXIST;
      const port = this.#bindFree(EVTCHNSTAT.virq, vcpuId, virq, 0);
      if (port > 0) vcpu.setVirqPort(virq, port);
      return port;
    });
  }

  /** EVTCHNOP_bind_ipi. Returns the port or an error. */
  bindIpi(vcpuId: number): number {
    if (this.#domain.vcpus[vcpuId] === undefined) return -ENOENT;
    return this.#locked(() => this.#bindFree(EVTCHNSTAT.ipi, vcpuId, 0, 0));
  }

  /** EVTCHNOP_bind_pirq. Returns the port or an error; -EINVAL in a domain without pirqs. */
  bindPirq(pirq: number): number {
    if (!this.pirqs.exists(pirq)) return -EINVAL;
    return this.#locked(() => {
      if (this.pirqs.port(pirq) !== 0) return -EEXIST;
      const port = this.#bindFree(EVTCHNSTAT.pirq, 0, pirq, 0);
      if (port > 0) this.pirqs.setPort(pirq, port);
      return port;
    });
  }

  /** EVTCHNOP_close. The other end of a channel becomes unbound. */
  close(port: number): number {
    return this.isValid(port) ? this.#locked(() => this.#close(port)) : -EINVAL;
  }

  /** EVTCHNOP_send. */
  send(port: number): number {
    if (!this.isValid(port)) return -EINVAL;
    const state = this.ports.state(port);
    const { trace, domid } = this.#domain;
    if (trace.evtchn_send.on) trace.evtchn_send(port, state);
    switch (state) {
      case EVTCHNSTAT.interdomain:
        if (this.ports.remote(port) === domid) this.setPending(this.ports.remotePort(port));
        else this.#notifyBackend(this.ports.remotePort(port));
        return 0;
      case EVTCHNSTAT.ipi:
        this.setPending(port);
        return 0;
      case EVTCHNSTAT.unbound:
        return 0;
      default:
        return -EINVAL;
    }
  }

  /** EVTCHNOP_bind_vcpu. What is pending is delivered to the new vCPU. */
  bindVcpu(port: number, vcpuId: number): number {
    if (this.#domain.vcpus[vcpuId] === undefined) return -ENOENT;
    if (!this.isValid(port)) return -EINVAL;
    return this.#locked(() => {
      switch (this.ports.state(port)) {
        case EVTCHNSTAT.virq:
          if (isPerVcpuVirq(this.ports.remote(port))) return -EINVAL;
          break;
        case EVTCHNSTAT.unbound:
        case EVTCHNSTAT.interdomain:
        case EVTCHNSTAT.pirq:
          break;
        default:
          return -EINVAL;
      }
      if (this.ports.vcpu(port) === vcpuId) return 0;
      this.ports.setVcpu(port, vcpuId);
      this.#redeliver(port);
      return 0;
    });
  }

  /** EVTCHNOP_unmask: clears the mask bit and delivers what is pending. */
  unmask(port: number): number {
    if (!this.isValid(port)) return -EINVAL;
    if (this.usesFifo) this.fifo.unmask(port);
    else this.twoLevel.unmask(port);
    return 0;
  }

  /** EVTCHNOP_set_priority: the queue of future events; one that is queued already stays where it is. */
  setPriority(port: number, priority: number): number {
    if (!this.isValid(port)) return -EINVAL;
    if (!this.usesFifo) return -ENOSYS;
    if (priority > EVTCHN_FIFO.priority_min) return -EINVAL;
    return this.#locked(() => {
      this.ports.setPriority(port, priority);
      return 0;
    });
  }

  /** EVTCHNOP_init_control. */
  initControl(vcpuId: number, gfn: number, offset: number): number {
    return this.#locked(() => initControl(this.#domain, this, vcpuId, gfn, offset));
  }

  /** EVTCHNOP_expand_array. */
  expandArray(gfn: number): number {
    return this.#locked(() => expandArray(this.#domain, this, gfn));
  }

  /**
   * EVTCHNOP_reset: closes every port, those of the console and the XenStore too, and goes back to the 2-level ABI.
   * `continued`, which a guest has no reason to say, finds no reset to continue: -EBUSY.
   */
  reset(continued = false): number {
    if (continued) return -EBUSY;
    return this.#locked(() => {
      const count = Atomics.load(this.#i32, this.#validPorts);
      for (let port = 1; port < count; port++) this.#close(port);
      if (this.usesFifo) leaveFifo(this.#domain);
      return 0;
    });
  }

  /** Raises a VIRQ; nothing happens while it is not bound. From any thread. */
  raiseVirq(virq: number, vcpuId: number): void {
    const port = this.#domain.vcpus[vcpuId]?.virqPort(virq) ?? 0;
    if (port !== 0) this.setPending(port);
  }

  /** Marks a port pending and delivers it. From any thread. Port 0 stands for the other end of a channel just closed. */
  setPending(port: number): void {
    if (port === 0) return;
    if (!this.usesFifo) {
      this.twoLevel.setPending(port);
      // The switch to FIFO collects pending bits; it may have passed this one by.
      if (!this.usesFifo) return;
    }
    this.fifo.setPending(port);
  }

  /** Sets a vCPU's evtchn_upcall_pending and, if it was clear, has the vCPU raise its upcall. From any thread. */
  markEventsPending(vcpu: VcpuState): void {
    this.#delivery.markEventsPending(vcpu);
  }

  /** Has a vCPU raise its upcall, whatever its flags say. From any thread. */
  requestUpcall(vcpu: VcpuState): void {
    this.#delivery.requestUpcall(vcpu);
  }

  /** Ends a SCHEDOP_block or SCHEDOP_poll and has the vCPU look. From any thread. */
  wake(vcpu: VcpuState): void {
    this.#delivery.wake(vcpu);
  }

  /** Every selector bit and evtchn_upcall_pending set: the guest looks at each port once. */
  markEverythingPending(vcpu: VcpuState): void {
    const { memory, narrow } = this.#domain;
    const at = vcpu.infoAt + VCPU_INFO.evtchn_pending_sel[narrow ? 'narrow' : 'wide'];
    Atomics.store(memory.i32, at >>> 2, -1);
    if (!narrow) Atomics.store(memory.i32, (at + 4) >>> 2, -1);
    this.markEventsPending(vcpu);
  }

  #redeliver(port: number): void {
    if (this.usesFifo) this.fifo.redeliver(port);
    else this.twoLevel.redeliver(port);
  }

  #notifyBackend(port: number): void {
    const { memory, at, plan, wakeBackends } = this.#domain;
    if (port >= this.backend.count) return;
    const word = (at + plan.backendPending + (port >>> 5) * 4) >>> 2;
    const bit = 1 << (port & 31);
    if (Atomics.or(memory.i32, word, bit) & bit) return;
    const doorbell = (at + Header.doorbell.offset) >>> 2;
    Atomics.add(memory.i32, doorbell, 1);
    Atomics.notify(memory.i32, doorbell);
    wakeBackends();
  }

  #close(port: number): number {
    const { vcpus, domid, memory, at, trace } = this.#domain;
    switch (this.ports.state(port)) {
      case EVTCHNSTAT.unbound:
      case EVTCHNSTAT.ipi:
        break;
      case EVTCHNSTAT.pirq:
        this.pirqs.setPort(this.ports.remote(port), 0);
        break;
      case EVTCHNSTAT.virq: {
        const virq = this.ports.remote(port);
        for (const vcpu of vcpus) if (vcpu.virqPort(virq) === port) vcpu.setVirqPort(virq, 0);
        break;
      }
      case EVTCHNSTAT.interdomain: {
        const remotePort = this.ports.remotePort(port);
        const table = this.ports.remote(port) === domid ? this.ports : this.backend;
        table.set(remotePort, EVTCHNSTAT.unbound, table.vcpu(remotePort), domid, 0);
        break;
      }
      default:
        return -EINVAL;
    }
    if (trace.evtchn_close.on) trace.evtchn_close(port);
    // Closed first: an event that was on its way is then gone, and not found by the port's next owner.
    this.ports.set(port, EVTCHNSTAT.closed, 0, 0, 0);
    if (this.usesFifo) this.fifo.clearPending(port);
    else this.twoLevel.clearPending(port);
    if (port < Header.first_free_port.get(memory.view, at)) Header.first_free_port.set(memory.view, at, port);
    return 0;
  }

  /** The lowest port that is closed and, under FIFO, off the guest's queues; or -ENOSPC. */
  #findFree(): number {
    const { memory, at } = this.#domain;
    const { limit, usesFifo } = this;
    let first = 0;
    for (let port = Header.first_free_port.get(memory.view, at); port < limit; port++) {
      if (this.ports.state(port) !== EVTCHNSTAT.closed) continue;
      if (first === 0) first = port;
      if (usesFifo && this.fifo.isBusy(port)) continue;
      Header.first_free_port.set(memory.view, at, first);
      return port;
    }
    return -ENOSPC;
  }

  #bindFree(state: EvtchnState, vcpu: number, remote: number, remotePort: number): number {
    const port = this.#findFree();
    if (port > 0) this.#bind(port, state, vcpu, remote, remotePort);
    return port;
  }

  #bind(port: number, state: EvtchnState, vcpu: number, remote: number, remotePort: number): void {
    const { trace } = this.#domain;
    if (!this.isValid(port)) Atomics.store(this.#i32, this.#validPorts, PortTable.existing(port));
    if (this.usesFifo) this.fifo.initPort(port);
    this.ports.set(port, state, vcpu, remote, remotePort);
    this.#redeliver(port);
    if (trace.evtchn_bind.on) trace.evtchn_bind(port, state, remote, remotePort);
  }

  #locked(section: () => number): number {
    const { lock } = this.#domain;
    lock.acquire();
    try {
      return section();
    } finally {
      lock.release();
    }
  }
}
