// Physical interrupts of an HVM domain as event channels: a GSI the guest has routed to a pirq, or an MSI that names one,
// raises the port the pirq is bound to and not the IOAPIC or a LAPIC. Xen: arch/x86/irq.c, arch/x86/hvm/irq.c.
import { EINVAL, ENOSPC } from '../../abi/xen/errno.ts';
import { CALLBACK_TYPE } from '../../abi/xen/hvm.ts';
import type { XenDomain } from '../domain.ts';
import {
  EMULATION,
  GsiEntry,
  DomainHeader as Header,
  NR_GSIS,
  NR_PIRQS,
  PIRQ_MSI,
  PirqEntry,
  VcpuStateLayout,
} from '../domain-layout.ts';
import type { EventChannels } from './event-channels.ts';

/** GSIs below are ISA's and edge triggered; their pirqs are never handed out. */
const ISA_IRQS = 16;

export class Pirqs {
  /** Whether the domain has pirqs at all (EMULATION.pirq). */
  readonly enabled: boolean;
  readonly #domain: XenDomain;
  readonly #events: EventChannels;
  readonly #i32: Int32Array;

  constructor(domain: XenDomain, events: EventChannels) {
    this.#domain = domain;
    this.#events = events;
    this.#i32 = domain.memory.i32;
    this.enabled = domain.emulates(EMULATION.pirq);
  }

  exists(pirq: number): boolean {
    return this.enabled && pirq >= 0 && pirq < NR_PIRQS;
  }

  /** The port a pirq is bound to, or 0. */
  port(pirq: number): number {
    return Atomics.load(this.#i32, (this.#entry(pirq) + PirqEntry.port.offset) >>> 2);
  }

  /** The domain's lock is held. */
  setPort(pirq: number, port: number): void {
    Atomics.store(this.#i32, (this.#entry(pirq) + PirqEntry.port.offset) >>> 2, port);
  }

  /**
   * The level of a GSI has changed, or is told again. From any thread.
   * @returns true when the guest has routed it to a pirq: it is then not for the IOAPIC.
   */
  gsiLevel(gsi: number, level: boolean): boolean {
    if (!this.enabled || gsi >= NR_GSIS) return false;
    const was = Atomics.exchange(this.#i32, (this.#gsi(gsi) + GsiEntry.asserted.offset) >>> 2, level ? 1 : 0);
    const pirq = this.#pirqOf(gsi);
    if (pirq < 0) return false;
    if (level && was === 0) this.#send(pirq);
    return true;
  }

  /**
   * A device sends an MSI: `address` with its upper half, and the data. From any thread.
   * @returns true when it is Xen's to handle: vector 0 means that the address holds a pirq. Others go to the LAPICs.
   */
  msi(address: number, data: number): boolean {
    if (!this.enabled || (data & 0xff) !== 0) return false;
    const high = Math.floor(address / 0x1_0000_0000);
    const pirq = ((high & 0xffff_ff00) | ((address >>> 12) & 0xff)) >>> 0;
    if (pirq === 0 || pirq >= NR_PIRQS) return true;
    // The first one makes it an MSI's pirq, if nothing has a claim to it.
    const { view } = this.#domain.memory;
    const source = PirqEntry.source.get(view, this.#entry(pirq));
    if (source === 0) PirqEntry.source.set(view, this.#entry(pirq), PIRQ_MSI);
    else if (source !== PIRQ_MSI) return true;
    this.#send(pirq);
    return true;
  }

  /**
   * PHYSDEVOP_map_pirq of a GSI: routes it to `pirq`, or with a negative one to a free one. A GSI or pirq that has a
   * partner already keeps it, without an error, as in Xen.
   * @returns the pirq or -EINVAL.
   */
  mapGsi(gsi: number, pirq: number): number {
    const { lock, memory } = this.#domain;
    if (gsi < 0 || gsi >= NR_GSIS) return -EINVAL;
    lock.acquire();
    try {
      const chosen = pirq < 0 ? this.#findFree(true) : pirq;
      if (!this.exists(chosen)) return -EINVAL;
      const source = PirqEntry.source.get(memory.view, this.#entry(chosen));
      const other = this.#pirqOf(gsi);
      if ((source !== 0 && source !== gsi + 1) || (other >= 0 && other !== chosen)) return chosen;
      PirqEntry.source.set(memory.view, this.#entry(chosen), gsi + 1);
      Atomics.store(this.#i32, (this.#gsi(gsi) + GsiEntry.pirq.offset) >>> 2, chosen + 1);
      return chosen;
    } finally {
      lock.release();
    }
  }

  /** PHYSDEVOP_unmap_pirq: the IOAPIC has the GSI again. Nothing happens to a pirq without a source. */
  unmap(pirq: number): void {
    if (!this.exists(pirq)) return;
    const { lock, memory } = this.#domain;
    lock.acquire();
    try {
      const source = PirqEntry.source.get(memory.view, this.#entry(pirq));
      if (source === 0) return;
      PirqEntry.source.set(memory.view, this.#entry(pirq), 0);
      if (source !== PIRQ_MSI) Atomics.store(this.#i32, (this.#gsi(source - 1) + GsiEntry.pirq.offset) >>> 2, 0);
    } finally {
      lock.release();
    }
  }

  /** PHYSDEVOP_eoi: raises a level-triggered GSI again that is still asserted. 0, or -EINVAL for a pirq nobody has used. */
  eoi(pirq: number): number {
    if (!this.exists(pirq)) return -EINVAL;
    const { view } = this.#domain.memory;
    const at = this.#entry(pirq);
    const source = PirqEntry.source.get(view, at);
    if (source === 0 && this.port(pirq) === 0 && PirqEntry.allocated.get(view, at) === 0) return -EINVAL;
    if (source === PIRQ_MSI || source <= ISA_IRQS) return 0;
    const asserted = (this.#gsi(source - 1) + GsiEntry.asserted.offset) >>> 2;
    if (Atomics.load(this.#i32, asserted) !== 0) this.#send(pirq);
    return 0;
  }

  /** Whether something can raise the pirq, so that PHYSDEVOP_irq_status_query answers. */
  hasSource(pirq: number): boolean {
    return this.exists(pirq) && PirqEntry.source.get(this.#domain.memory.view, this.#entry(pirq)) !== 0;
  }

  /** PHYSDEVOP_get_free_pirq. Returns a pirq that is the guest's from now on, or -ENOSPC. */
  allocate(forGsi: boolean): number {
    const { lock, memory } = this.#domain;
    lock.acquire();
    try {
      const pirq = this.#findFree(forGsi);
      if (pirq >= 0) PirqEntry.allocated.set(memory.view, this.#entry(pirq), 1);
      return pirq;
    } finally {
      lock.release();
    }
  }

  /** Soft reset: no GSI is routed and no pirq handed out any more; levels stay as they are. All ports are closed. */
  reset(): void {
    const { lock, memory } = this.#domain;
    lock.acquire();
    try {
      const first = this.#entry(0);
      memory.u8.fill(0, first, first + NR_PIRQS * PirqEntry.sizeof);
      for (let gsi = 0; gsi < NR_GSIS; gsi++) Atomics.store(this.#i32, (this.#gsi(gsi) + GsiEntry.pirq.offset) >>> 2, 0);
    } finally {
      lock.release();
    }
  }

  /** Events must reach the guest by a vector before it may route GSIs: a callback that is a GSI could be routed to itself. */
  get mayRoute(): boolean {
    const { memory, at, vcpus } = this.#domain;
    if (Header.callback_type.get(memory.view, at) === CALLBACK_TYPE.vector + 1) return true;
    const boot = vcpus[0];
    return boot !== undefined && VcpuStateLayout.upcall_vector.get(memory.view, boot.at) !== 0;
  }

  #send(pirq: number): void {
    const port = this.port(pirq);
    if (port !== 0) this.#events.setPending(port);
  }

  /** GSIs get the low numbers from 16 up, and like MSIs then the high ones downwards. */
  #findFree(forGsi: boolean): number {
    if (forGsi) for (let pirq = ISA_IRQS; pirq < NR_GSIS; pirq++) if (this.#isFree(pirq)) return pirq;
    for (let pirq = NR_PIRQS - 1; pirq >= NR_GSIS; pirq--) if (this.#isFree(pirq)) return pirq;
    return -ENOSPC;
  }

  #isFree(pirq: number): boolean {
    const { view } = this.#domain.memory;
    const at = this.#entry(pirq);
    return PirqEntry.source.get(view, at) === 0 && PirqEntry.allocated.get(view, at) === 0;
  }

  #pirqOf(gsi: number): number {
    return Atomics.load(this.#i32, (this.#gsi(gsi) + GsiEntry.pirq.offset) >>> 2) - 1;
  }

  #entry(pirq: number): number {
    return this.#domain.at + this.#domain.plan.pirqs + pirq * PirqEntry.sizeof;
  }

  #gsi(gsi: number): number {
    return this.#domain.at + this.#domain.plan.gsis + gsi * GsiEntry.sizeof;
  }
}
