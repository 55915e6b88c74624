// The FIFO ABI: a word per port in pages of the guest, linked into 16 queues per vCPU. public/event_channel.h; Xen's
// common/event_fifo.c. The guest takes events off a queue without telling us: that the tail's LINKED bit is clear says
// that the queue was emptied. We follow no link of the guest's, so one it has corrupted costs it events and us nothing.
import { EVENT_WORD, EVTCHN_FIFO, FIFO_CONTROL_BLOCK } from '../../abi/xen/event-channel.ts';
import type { XenDomain } from '../domain.ts';
import { FIFO_VCPU_BYTES, FifoQueue, FifoVcpu, DomainHeader as Header } from '../domain-layout.ts';
import { acquireWord, releaseWord } from '../spin-lock.ts';
import type { PortOps } from './port-ops.ts';
import type { PortTable } from './port-table.ts';
import type { UpcallDelivery } from './upcall-delivery.ts';

/** How often a port may change its queue while we lock the two; after that its event is left unlinked. */
const LOCK_TRIES = 16;
/** A well-behaved guest changes a word that is LINKED and BUSY at most this often: mask, unmask, PENDING, LINKED. */
const LINK_TRIES = 4;
const MISSING = -1;

export class FifoPorts implements PortOps {
  readonly #domain: XenDomain;
  readonly #ports: PortTable;
  readonly #delivery: UpcallDelivery;
  readonly #i32: Int32Array;
  readonly #fifoWords: number;
  readonly #pages: number;

  constructor(domain: XenDomain, ports: PortTable, delivery: UpcallDelivery) {
    this.#domain = domain;
    this.#ports = ports;
    this.#delivery = delivery;
    this.#i32 = domain.memory.i32;
    this.#fifoWords = (domain.at + Header.fifo_words.offset) >>> 2;
    this.#pages = (domain.at + domain.plan.fifoPages) >>> 2;
  }

  initPort(port: number): void {
    this.#ports.initQueueing(port);
  }

  setPending(port: number): void {
    if (this.#word(port) === MISSING) {
      // Kept for when the guest adds the page; it may have been adding it just now.
      this.#ports.hold(port);
      if (this.#word(port) === MISSING) return;
    }
    this.#raise(port);
  }

  redeliver(port: number): void {
    const word = this.#word(port);
    if (word !== MISSING && Atomics.load(this.#i32, word) & EVENT_WORD.pending) this.#raise(port);
  }

  clearPending(port: number): void {
    this.#ports.takeHeld(port);
    const word = this.#word(port);
    // It stays on its queue: the guest takes it off and ignores it.
    if (word !== MISSING) Atomics.and(this.#i32, word, ~EVENT_WORD.pending);
  }

  unmask(port: number): void {
    const word = this.#word(port);
    if (word === MISSING) return;
    if (Atomics.and(this.#i32, word, ~EVENT_WORD.masked) & EVENT_WORD.pending) this.#raise(port);
  }

  isPending(port: number): boolean {
    return this.#has(port, EVENT_WORD.pending);
  }

  isMasked(port: number): boolean {
    return this.#word(port) === MISSING || this.#has(port, EVENT_WORD.masked);
  }

  isBusy(port: number): boolean {
    return this.#has(port, EVENT_WORD.linked);
  }

  #has(port: number, flag: number): boolean {
    const word = this.#word(port);
    return word !== MISSING && (Atomics.load(this.#i32, word) & flag) !== 0;
  }

  /** Index of a port's event word, or MISSING until the guest adds its page. */
  #word(port: number): number {
    if (port >= Atomics.load(this.#i32, this.#fifoWords)) return MISSING;
    const page = Atomics.load(this.#i32, this.#pages + Math.floor(port / EVTCHN_FIFO.words_per_page));
    return (page >>> 2) + (port % EVTCHN_FIFO.words_per_page);
  }

  #raise(port: number): void {
    const ports = this.#ports;
    const { vcpus, trace } = this.#domain;
    // PENDING is set and the event linked with its queue locked, so that no guest is woken before it can find the event.
    // The queue it was last on is locked too: it may still be that one's tail.
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      const queue = ports.queue(port);
      const old = ports.lastQueue(port);
      this.#lockBoth(queue, old);
      if (queue !== ports.queue(port) || old !== ports.lastQueue(port)) {
        this.#unlockBoth(queue, old);
        continue;
      }
      const word = this.#word(port);
      if (word === MISSING) return this.#unlockBoth(queue, old); // the domain has left FIFO
      const before = Atomics.or(this.#i32, word, EVENT_WORD.pending);
      if (trace.evtchn_pending.on) trace.evtchn_pending(port, queue >>> 4, before & EVENT_WORD.masked ? 1 : 0);
      const first = this.#link(port, word, queue, old);
      this.#unlockBoth(queue, old);
      const vcpu = vcpus[queue >>> 4];
      if (first && vcpu !== undefined) this.#delivery.markEventsPending(vcpu);
      if ((before & EVENT_WORD.pending) === 0) this.#delivery.wakePollers(port);
      return;
    }
    const word = this.#word(port);
    if (word !== MISSING) Atomics.or(this.#i32, word, EVENT_WORD.pending);
  }

  /** Puts a pending event at the end of its queue unless it is masked or on one. True: the vCPU is to be told. */
  #link(port: number, word: number, queue: number, old: number): boolean {
    const control = Atomics.load(this.#i32, this.#control(queue)) >>> 0;
    // Without a control block nothing can be queued; the guest finds the event pending when it unmasks.
    if (control === 0) return false;
    if (Atomics.load(this.#i32, word) & EVENT_WORD.masked) return false;
    if (Atomics.or(this.#i32, word, EVENT_WORD.linked) & EVENT_WORD.linked) return false;
    // It was on no queue. If it is still the old one's tail, that queue is empty, and its next event must not follow us.
    const oldTail = this.#queue(old) + FifoQueue.tail.offset / 4;
    if (this.#i32[oldTail] === port) this.#i32[oldTail] = 0;
    if (old !== queue) this.#ports.setLastQueue(port, queue);
    const tailAt = this.#queue(queue) + FifoQueue.tail.offset / 4;
    const tail = this.#i32[tailAt] as number;
    this.#i32[tailAt] = port;
    const tailWord = tail === 0 ? MISSING : this.#word(tail);
    if (tailWord !== MISSING && this.#follow(tailWord, port)) return false;
    const priority = queue & EVTCHN_FIFO.priority_min;
    Atomics.store(this.#i32, (control + FIFO_CONTROL_BLOCK.head) / 4 + priority, port);
    const ready = Atomics.or(this.#i32, (control + FIFO_CONTROL_BLOCK.ready) / 4, 1 << priority);
    return (ready & (1 << priority)) === 0;
  }

  /** Sets the link of a tail while it is LINKED. False: the guest has taken it off, the queue is empty. */
  #follow(word: number, port: number): boolean {
    const i32 = this.#i32;
    let seen = Atomics.load(i32, word);
    if ((seen & EVENT_WORD.linked) === 0) return false;
    let got = Atomics.compareExchange(i32, word, seen, linkedTo(seen, port));
    if (got === seen) return true;
    // BUSY keeps the guest from masking and unmasking it again and again.
    seen = Atomics.or(i32, word, EVENT_WORD.busy) | EVENT_WORD.busy;
    for (let tries = 0; tries < LINK_TRIES; tries++) {
      if ((seen & EVENT_WORD.linked) === 0) {
        Atomics.and(i32, word, ~EVENT_WORD.busy);
        return false;
      }
      got = Atomics.compareExchange(i32, word, seen, linkedTo(seen, port));
      if (got === seen) return true;
      seen = got;
    }
    // The guest breaks the rules, and loses this event.
    Atomics.and(i32, word, ~EVENT_WORD.busy);
    return true;
  }

  /** In one order everywhere, so that two threads never wait for each other. */
  #lockBoth(one: number, other: number): void {
    acquireWord(this.#i32, this.#queue(Math.min(one, other)));
    if (one !== other) acquireWord(this.#i32, this.#queue(Math.max(one, other)));
  }

  #unlockBoth(one: number, other: number): void {
    releaseWord(this.#i32, this.#queue(one));
    if (one !== other) releaseWord(this.#i32, this.#queue(other));
  }

  /** Index of a queue's lock; its tail follows. */
  #queue(queue: number): number {
    const at = this.#domain.at + this.#domain.plan.fifoVcpus + (queue >>> 4) * FIFO_VCPU_BYTES;
    return (at + FifoVcpu.sizeof + (queue & EVTCHN_FIFO.priority_min) * FifoQueue.sizeof) >>> 2;
  }

  /** Index of the word that says where the control block of a queue's vCPU is. */
  #control(queue: number): number {
    return (this.#domain.at + this.#domain.plan.fifoVcpus + (queue >>> 4) * FIFO_VCPU_BYTES) >>> 2;
  }
}

const linkedTo = (word: number, port: number): number => (word & ~(EVENT_WORD.busy | EVENT_WORD.link)) | port;
