// How a domain comes to FIFO event channels and leaves them: control blocks, pages of the event array. The domain's lock
// is held by each caller.
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { EINVAL, ENOENT, ENOSPC, EOPNOTSUPP } from '../../abi/xen/errno.ts';
import { EVTCHN_FIFO, FIFO_CONTROL_BLOCK } from '../../abi/xen/event-channel.ts';
import { P2M, pageOf } from '../../memory/guest-memory.ts';
import type { XenDomain } from '../domain.ts';
import { FIFO_VCPU_BYTES, FifoQueue, FifoVcpu, DomainHeader as Header } from '../domain-layout.ts';
import { acquireWord, releaseWord } from '../spin-lock.ts';
import type { EventChannels } from './event-channels.ts';

/** EVTCHNOP_init_control: gives a vCPU its control block; the first one switches the domain to FIFO. 0 or an error. */
export function initControl(domain: XenDomain, events: EventChannels, vcpuId: number, gfn: number, offset: number): number {
  const { i32 } = domain.memory;
  if (domain.vcpus[vcpuId] === undefined) return -ENOENT;
  if (offset > PAGE_SIZE - FIFO_CONTROL_BLOCK.sizeof || offset % 8 !== 0) return -EINVAL;
  const page = writablePage(domain, gfn);
  if (page === 0) return -EINVAL;
  const control = (vcpuAt(domain, vcpuId) + FifoVcpu.control_at.offset) >>> 2;
  if (Atomics.load(i32, control) !== 0) return -EINVAL;
  Atomics.store(i32, control, page + offset);
  if (!events.usesFifo) switchToFifo(domain, events);
  return 0;
}

/**
 * EVTCHNOP_expand_array: the next 1024 ports get their words. Events that came before the page are raised now.
 * @returns 0, -EOPNOTSUPP under 2-level, -ENOSPC when all 128 pages are there, -EINVAL for what is no RAM.
 */
export function expandArray(domain: XenDomain, events: EventChannels, gfn: number): number {
  const { i32 } = domain.memory;
  if (!events.usesFifo) return -EOPNOTSUPP;
  const wordsAt = (domain.at + Header.fifo_words.offset) >>> 2;
  const first = Atomics.load(i32, wordsAt);
  const slot = first / EVTCHN_FIFO.words_per_page;
  if (slot >= EVTCHN_FIFO.max_pages) return -ENOSPC;
  const page = writablePage(domain, gfn);
  if (page === 0) return -EINVAL;
  Atomics.store(i32, ((domain.at + domain.plan.fifoPages) >>> 2) + slot, page);
  Atomics.store(i32, wordsAt, first + EVTCHN_FIFO.words_per_page);
  for (let port = first; port < first + EVTCHN_FIFO.words_per_page && events.isValid(port); port++)
    if (events.ports.takeHeld(port)) events.setPending(port);
  return 0;
}

/** Back to 2-level, at a reset: all ports are closed. */
export function leaveFifo(domain: XenDomain): void {
  const { i32 } = domain.memory;
  Atomics.store(i32, (domain.at + Header.evtchn_fifo.offset) >>> 2, 0);
  Atomics.store(i32, (domain.at + Header.fifo_words.offset) >>> 2, 0);
  for (const { id } of domain.vcpus) {
    const at = vcpuAt(domain, id);
    Atomics.store(i32, (at + FifoVcpu.control_at.offset) >>> 2, 0);
    // A thread that still links an event has the queue locked; afterwards nobody writes to the guest's pages.
    for (let queue = 0; queue < EVTCHN_FIFO.queues; queue++) {
      const lock = (at + FifoVcpu.sizeof + queue * FifoQueue.sizeof) >>> 2;
      acquireWord(i32, lock);
      i32[lock + FifoQueue.tail.offset / 4] = 0;
      releaseWord(i32, lock);
    }
  }
}

/** There is no event array yet: what is pending is held until the guest adds its pages. Xen: setup_ports. */
function switchToFifo(domain: XenDomain, events: EventChannels): void {
  const { i32 } = domain.memory;
  const { limit } = events.twoLevel;
  Atomics.store(i32, (domain.at + Header.evtchn_fifo.offset) >>> 2, 1);
  for (let port = 1; port < limit && events.isValid(port); port++) {
    events.ports.setPriority(port, EVTCHN_FIFO.priority_default);
    if (events.twoLevel.isPending(port)) events.ports.hold(port);
  }
}

/** A page for events: backends raise them from now on. */
function writablePage(domain: XenDomain, gfn: number): HostAddress {
  const entry = domain.memory.entry(gfn as Gfn);
  if ((entry & P2M.writable) === 0) return 0 as HostAddress;
  domain.memory.sharing?.share(pageOf(entry));
  return pageOf(entry);
}

const vcpuAt = (domain: XenDomain, id: number): number => domain.at + domain.plan.fifoVcpus + id * FIFO_VCPU_BYTES;
