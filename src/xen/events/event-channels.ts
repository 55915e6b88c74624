// Event channels of one domain: what the ports are bound to, and 2-level delivery. Errors are negated errnos.
// Sends and delivery take no lock; binding and closing do. Order of a delivery: pending bit, selector bit,
// evtchn_upcall_pending, interrupt, each a full barrier; the guest reads in the opposite order.

import { DOMID_SELF, DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EEXIST, EINVAL, ENOENT, ENOSPC, ESRCH } from '../../abi/xen/errno.ts';
import { EVTCHNSTAT, type EvtchnState, isPerVcpuVirq, NR_VIRQS } from '../../abi/xen/event-channel.ts';
import { EVTCHN_2L_PORTS, SHARED_INFO, VCPU_INFO } from '../../abi/xen/shared-info.ts';
import type { XenDomain } from '../domain.ts';
import { BACKEND_PORTS, DomainHeader as Header, POLL_ANY, VCPU_WAIT } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';
import { PortTable } from './port-table.ts';

export class EventChannels {
  readonly ports: PortTable;
  /** Domain 0's ends. */
  readonly backend: PortTable;
  readonly #domain: XenDomain;

  constructor(domain: XenDomain) {
    this.#domain = domain;
    this.ports = new PortTable(domain.memory, domain.at + domain.plan.ports, EVTCHN_2L_PORTS.wide);
    this.backend = new PortTable(domain.memory, domain.at + domain.plan.backendPorts, BACKEND_PORTS);
  }

  /** Whether a port number exists, bound or closed. */
  isValid(port: number): boolean {
    return port < Header.valid_ports.get(this.#domain.memory.view, this.#domain.at);
  }

  isPending(port: number): boolean {
    return (Atomics.load(this.#domain.memory.i32, this.#pendingWord(port)) & bit(port)) !== 0;
  }

  isMasked(port: number): boolean {
    return (Atomics.load(this.#domain.memory.i32, this.#maskWord(port)) & bit(port)) !== 0;
  }

  /** EVTCHNOP_alloc_unbound for a port of this domain. Returns the port or -ENOSPC. */
  allocUnbound(remoteDom: number): number {
    const { lock, domid } = this.#domain;
    lock.acquire();
    try {
      return this.#bindFree(EVTCHNSTAT.unbound, 0, remoteDom === DOMID_SELF ? domid : remoteDom, 0);
    } finally {
      lock.release();
    }
  }

  /** EVTCHNOP_bind_interdomain: to a port of this domain itself or of a backend. Returns the local port or an error. */
  bindInterdomain(remoteDom: number, remotePort: number): number {
    const { lock, domid } = this.#domain;
    const remote = remoteDom === DOMID_SELF ? domid : remoteDom;
    if (remote !== domid && remote !== DOMID_ZERO) return -ESRCH;
    lock.acquire();
    try {
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
    } finally {
      lock.release();
    }
  }

  /** EVTCHNOP_bind_virq. Returns the port or an error. */
  bindVirq(virq: number, vcpuId: number): number {
    const { lock, vcpus } = this.#domain;
    if (virq >= NR_VIRQS) return -EINVAL;
    if (!isPerVcpuVirq(virq) && vcpuId !== 0) return -EINVAL;
    const vcpu = vcpus[vcpuId];
    if (vcpu === undefined) return -ENOENT;
    lock.acquire();
    try {
      if (vcpu.virqPort(virq) !== 0) return -EEXIST;
      const port = this.#bindFree(EVTCHNSTAT.virq, vcpuId, virq, 0);
      if (port > 0) vcpu.setVirqPort(virq, port);
      return port;
    } finally {
      lock.release();
    }
  }

  /** EVTCHNOP_bind_ipi. Returns the port or an error. */
  bindIpi(vcpuId: number): number {
    const { lock, vcpus } = this.#domain;
    if (vcpus[vcpuId] === undefined) return -ENOENT;
    lock.acquire();
    try {
      return this.#bindFree(EVTCHNSTAT.ipi, vcpuId, 0, 0);
    } finally {
      lock.release();
    }
  }

  /** EVTCHNOP_close. The other end of a channel becomes unbound. */
  close(port: number): number {
    const { lock } = this.#domain;
    if (!this.isValid(port)) return -EINVAL;
    lock.acquire();
    try {
      return this.#close(port);
    } finally {
      lock.release();
    }
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

  /** EVTCHNOP_bind_vcpu. */
  bindVcpu(port: number, vcpuId: number): number {
    const { lock, vcpus } = this.#domain;
    if (vcpus[vcpuId] === undefined) return -ENOENT;
    if (!this.isValid(port)) return -EINVAL;
    lock.acquire();
    try {
      switch (this.ports.state(port)) {
        case EVTCHNSTAT.virq:
          if (isPerVcpuVirq(this.ports.remote(port))) return -EINVAL;
          break;
        case EVTCHNSTAT.unbound:
        case EVTCHNSTAT.interdomain:
          break;
        default:
          return -EINVAL;
      }
      this.ports.setVcpu(port, vcpuId);
      return 0;
    } finally {
      lock.release();
    }
  }

  /** EVTCHNOP_unmask: clears the mask bit and delivers what is pending. */
  unmask(port: number): number {
    if (!this.isValid(port)) return -EINVAL;
    if (port >= this.#limit()) return 0;
    const { i32 } = this.#domain.memory;
    const wasMasked = (Atomics.and(i32, this.#maskWord(port), ~bit(port)) & bit(port)) !== 0;
    if (wasMasked && this.isPending(port)) this.#select(port);
    return 0;
  }

  /** EVTCHNOP_reset: closes every port, those of the console and the XenStore too. */
  reset(): number {
    const { lock, memory, at } = this.#domain;
    lock.acquire();
    try {
      const count = Header.valid_ports.get(memory.view, at);
      for (let port = 1; port < count; port++) this.#close(port);
      return 0;
    } finally {
      lock.release();
    }
  }

  /** Raises a VIRQ; nothing happens while it is not bound. From any thread. */
  raiseVirq(virq: number, vcpuId: number): void {
    const port = this.#domain.vcpus[vcpuId]?.virqPort(virq) ?? 0;
    if (port !== 0) this.setPending(port);
  }

  /** Marks a port pending and delivers it. From any thread. */
  setPending(port: number): void {
    if (port >= this.#limit()) return;
    const { memory, trace } = this.#domain;
    if (Atomics.or(memory.i32, this.#pendingWord(port), bit(port)) & bit(port)) return;
    const masked = this.isMasked(port);
    if (trace.evtchn_pending.on) trace.evtchn_pending(port, this.ports.vcpu(port), masked ? 1 : 0);
    if (!masked) this.#select(port);
    this.#wakePollers(port);
  }

  /** Sets a vCPU's evtchn_upcall_pending and, if it was clear, has the vCPU raise its upcall. From any thread. */
  markEventsPending(vcpu: VcpuState): void {
    const { memory } = this.#domain;
    if (Atomics.or(memory.u8, vcpu.infoAt + VCPU_INFO.evtchn_upcall_pending, 1) & 1) return;
    this.requestUpcall(vcpu);
  }

  /** Has a vCPU raise its upcall, whatever its flags say. From any thread. */
  requestUpcall(vcpu: VcpuState): void {
    vcpu.requestUpcall();
    this.wake(vcpu);
  }

  /** Ends a SCHEDOP_block or SCHEDOP_poll and has the vCPU look. From any thread. */
  wake(vcpu: VcpuState): void {
    vcpu.clearWait(VCPU_WAIT.blocked);
    this.#domain.kick(vcpu.id);
  }

  /** Every selector bit and evtchn_upcall_pending set: the guest looks at each port once. */
  markEverythingPending(vcpu: VcpuState): void {
    const { memory, narrow } = this.#domain;
    const at = vcpu.infoAt + VCPU_INFO.evtchn_pending_sel[narrow ? 'narrow' : 'wide'];
    Atomics.store(memory.i32, at >>> 2, -1);
    if (!narrow) Atomics.store(memory.i32, (at + 4) >>> 2, -1);
    this.markEventsPending(vcpu);
  }

  #select(port: number): void {
    const { memory, vcpus, narrow } = this.#domain;
    const vcpu = vcpus[this.ports.vcpu(port)];
    if (vcpu === undefined) return;
    const word = narrow ? port >>> 5 : port >>> 6;
    const at = vcpu.infoAt + VCPU_INFO.evtchn_pending_sel[narrow ? 'narrow' : 'wide'] + (word >>> 5) * 4;
    if (Atomics.or(memory.i32, at >>> 2, bit(word)) & bit(word)) return;
    this.markEventsPending(vcpu);
  }

  #wakePollers(port: number): void {
    for (const vcpu of this.#domain.vcpus) {
      const polled = vcpu.pollPort;
      if (polled === port || polled === POLL_ANY) this.wake(vcpu);
    }
  }

  #notifyBackend(port: number): void {
    const { memory, at, plan, wakeBackends } = this.#domain;
    if (port >= this.backend.count) return;
    const word = (at + plan.backendPending + (port >>> 5) * 4) >>> 2;
    if (Atomics.or(memory.i32, word, bit(port)) & bit(port)) return;
    const doorbell = (at + Header.doorbell.offset) >>> 2;
    Atomics.add(memory.i32, doorbell, 1);
    Atomics.notify(memory.i32, doorbell);
    wakeBackends();
  }

  #close(port: number): number {
    const { vcpus, domid, memory, trace } = this.#domain;
    switch (this.ports.state(port)) {
      case EVTCHNSTAT.unbound:
      case EVTCHNSTAT.ipi:
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
    if (port < this.#limit()) Atomics.and(memory.i32, this.#pendingWord(port), ~bit(port));
    this.ports.set(port, EVTCHNSTAT.closed, 0, 0, 0);
    return 0;
  }

  #findFree(): number {
    return this.ports.findClosed(this.#limit()) || -ENOSPC;
  }

  #bindFree(state: EvtchnState, vcpu: number, remote: number, remotePort: number): number {
    const port = this.#findFree();
    if (port > 0) this.#bind(port, state, vcpu, remote, remotePort);
    return port;
  }

  #bind(port: number, state: EvtchnState, vcpu: number, remote: number, remotePort: number): void {
    const { memory, at, trace } = this.#domain;
    if (!this.isValid(port)) Header.valid_ports.set(memory.view, at, PortTable.existing(port));
    this.ports.set(port, state, vcpu, remote, remotePort);
    if (trace.evtchn_bind.on) trace.evtchn_bind(port, state, remote, remotePort);
  }

  #limit(): number {
    return EVTCHN_2L_PORTS[this.#domain.narrow ? 'narrow' : 'wide'];
  }

  #pendingWord(port: number): number {
    return (this.#domain.sharedInfoAt + SHARED_INFO.evtchn_pending + (port >>> 5) * 4) >>> 2;
  }

  #maskWord(port: number): number {
    const mask = SHARED_INFO.evtchn_mask[this.#domain.narrow ? 'narrow' : 'wide'];
    return (this.#domain.sharedInfoAt + mask + (port >>> 5) * 4) >>> 2;
  }
}

const bit = (n: number): number => 1 << (n & 31);
