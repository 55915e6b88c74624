// A soft reset: the platform as a new kernel expects it, around memory and registers that stay. That is how a guest starts
// another kernel by kexec (SHUTDOWN_soft_reset). xen/common/domain.c, domain_soft_reset; tools/libs/light, soft reset.
import type { Gfn, HostAddress } from '../abi/types.ts';
import { PAGE_SIZE } from '../abi/types.ts';
import { HVM_PARAM, SPECIAL_PAGES } from '../abi/xen/hvm.ts';
import { P2M_FRAMES, pageOf } from '../memory/guest-memory.ts';
import type { XenDomain } from './domain.ts';
import { DomainHeader as Header, OVERLAY, VcpuStateLayout as State, VCPU_WAIT } from './domain-layout.ts';
import { grantTableReset, type UsedGrant } from './grants/reset-grants.ts';
import { takePage } from './memory/balloon.ts';
import type { VcpuState } from './vcpu-state.ts';

/** Parameters that describe what is gone. A toolstack writes those of the rings again when it offers them. */
const FORGOTTEN = [
  HVM_PARAM.CALLBACK_IRQ,
  HVM_PARAM.STORE_PFN,
  HVM_PARAM.STORE_EVTCHN,
  HVM_PARAM.CONSOLE_PFN,
  HVM_PARAM.CONSOLE_EVTCHN,
] as const;

/**
 * Resets the platform. Every vCPU has stopped, as it does once `domain.shutdownReason` is SHUTDOWN_soft_reset. Memory, CPU
 * registers, the local APICs and which vCPUs are up stay as they are; so do the pages of the two rings, which the backends
 * empty themselves. Afterwards the caller offers the rings (`XenDomain.offerRing`), and then calls `domain.resume()`.
 *
 * The alarms of a vCPU's timers belong to its thread: they are cancelled when it next calls `XenVcpu.service`.
 * Returns the grants that somebody still used.
 */
export function softReset(domain: XenDomain): readonly UsedGrant[] {
  const { memory, at, plan, lock, overlays } = domain;
  const { view } = memory;
  domain.events.reset();
  for (const vcpu of domain.vcpus) resetVcpu(domain, vcpu);
  Header.callback_type.set(view, at, 0);
  Header.callback_vector.set(view, at, 0);
  Header.vm_assist.set(view, at, 0);
  Header.watchdogs.set(view, at, 0);
  Header.watchdog_deadline_0.set(view, at, 0);
  Header.watchdog_deadline_1.set(view, at, 0);
  for (const param of FORGOTTEN) domain.setParam(param, 0n);
  lock.acquire();
  try {
    overlays.unmap(OVERLAY.shared_info);
  } finally {
    lock.release();
  }
  memory.u8.fill(0, domain.sharedInfoAt, domain.sharedInfoAt + PAGE_SIZE);
  domain.publishWallclock();
  const used = grantTableReset(domain);
  lock.acquire();
  try {
    // No overlay hides a ring any more.
    returnRing(domain, SPECIAL_PAGES.xenstore as Gfn, (at + plan.store) as HostAddress);
    returnRing(domain, SPECIAL_PAGES.console as Gfn, (at + plan.console) as HostAddress);
  } finally {
    lock.release();
  }
  return used;
}

/** A ring that the guest moved or removed is at its frame again. What it put there instead goes. */
function returnRing(domain: XenDomain, gfn: Gfn, host: HostAddress): void {
  const { memory } = domain;
  if (pageOf(memory.entry(gfn)) === host) return;
  for (let other = 0; other < P2M_FRAMES; other++)
    if (pageOf(memory.entry(other as Gfn)) === host) memory.map(other as Gfn, 0 as HostAddress);
  takePage(domain, gfn);
  memory.map(gfn, host);
}

function resetVcpu(domain: XenDomain, vcpu: VcpuState): void {
  const { memory } = domain;
  const { view } = memory;
  State.vcpu_info_at.set(view, vcpu.at, 0);
  State.runstate_va.set(view, vcpu.at, 0n);
  State.time_va.set(view, vcpu.at, 0n);
  State.runstate_at.set(view, vcpu.at, 0);
  State.time_at.set(view, vcpu.at, 0);
  State.upcall_vector.set(view, vcpu.at, 0);
  State.singleshot_deadline.set(view, vcpu.at, 0);
  State.poll_deadline.set(view, vcpu.at, 0);
  State.periodic_period.set(view, vcpu.at, 0);
  const legacy = vcpu.at + State.legacy.offset;
  memory.u8.fill(0, legacy, legacy + 64);
  vcpu.takeUpcallRequest();
  vcpu.takeNmi();
  vcpu.clearWait(VCPU_WAIT.blocked);
  vcpu.requestTimerUpdate();
  domain.kick(vcpu.id);
}
