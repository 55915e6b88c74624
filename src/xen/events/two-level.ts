// The 2-level ABI: a pending and a mask bit per port in shared_info, and a selector per vCPU. public/event_channel.h.
// Order of a delivery: pending bit, selector bit, evtchn_upcall_pending, interrupt, each a full barrier; the guest reads
// in the opposite order.
import { EVTCHN_2L_PORTS, SHARED_INFO, VCPU_INFO } from '../../abi/xen/shared-info.ts';
import type { XenDomain } from '../domain.ts';
import type { PortOps } from './port-ops.ts';
import type { PortTable } from './port-table.ts';
import type { UpcallDelivery } from './upcall-delivery.ts';

export class TwoLevelPorts implements PortOps {
  readonly #domain: XenDomain;
  readonly #ports: PortTable;
  readonly #delivery: UpcallDelivery;

  constructor(domain: XenDomain, ports: PortTable, delivery: UpcallDelivery) {
    this.#domain = domain;
    this.#ports = ports;
    this.#delivery = delivery;
  }

  /** Ports beyond this one have no bits: a 32-bit guest has a quarter. */
  get limit(): number {
    return this.#domain.narrow ? EVTCHN_2L_PORTS.narrow : EVTCHN_2L_PORTS.wide;
  }

  initPort(): void {}

  setPending(port: number): void {
    if (port >= this.limit) return;
    const { memory, trace } = this.#domain;
    if (Atomics.or(memory.i32, this.#pendingWord(port), bit(port)) & bit(port)) return;
    const masked = this.isMasked(port);
    if (trace.evtchn_pending.on) trace.evtchn_pending(port, this.#ports.vcpu(port), masked ? 1 : 0);
    if (!masked) this.#select(port);
    this.#delivery.wakePollers(port);
  }

  redeliver(port: number): void {
    if (this.isPending(port) && !this.isMasked(port)) this.#select(port);
  }

  clearPending(port: number): void {
    if (port < this.limit) Atomics.and(this.#domain.memory.i32, this.#pendingWord(port), ~bit(port));
  }

  unmask(port: number): void {
    if (port >= this.limit) return;
    const wasMasked = (Atomics.and(this.#domain.memory.i32, this.#maskWord(port), ~bit(port)) & bit(port)) !== 0;
    if (wasMasked && this.isPending(port)) this.#select(port);
  }

  isPending(port: number): boolean {
    return port < this.limit && (Atomics.load(this.#domain.memory.i32, this.#pendingWord(port)) & bit(port)) !== 0;
  }

  isMasked(port: number): boolean {
    return port >= this.limit || (Atomics.load(this.#domain.memory.i32, this.#maskWord(port)) & bit(port)) !== 0;
  }

  isBusy(): boolean {
    return false;
  }

  #select(port: number): void {
    const { memory, vcpus, narrow } = this.#domain;
    const vcpu = vcpus[this.#ports.vcpu(port)];
    if (vcpu === undefined) return;
    const word = narrow ? port >>> 5 : port >>> 6;
    const selector = narrow ? VCPU_INFO.evtchn_pending_sel.narrow : VCPU_INFO.evtchn_pending_sel.wide;
    const at = vcpu.infoAt + selector + (word >>> 5) * 4;
    if (Atomics.or(memory.i32, at >>> 2, bit(word)) & bit(word)) return;
    this.#delivery.markEventsPending(vcpu);
  }

  #pendingWord(port: number): number {
    return (this.#domain.sharedInfoAt + SHARED_INFO.evtchn_pending + (port >>> 5) * 4) >>> 2;
  }

  #maskWord(port: number): number {
    const mask = this.#domain.narrow ? SHARED_INFO.evtchn_mask.narrow : SHARED_INFO.evtchn_mask.wide;
    return (this.#domain.sharedInfoAt + mask + (port >>> 5) * 4) >>> 2;
  }
}

const bit = (n: number): number => 1 << (n & 31);
