// sched_op. A wait (block, poll) is noted in the vCPU's state; the vCPU's thread asks `mayRun` and sleeps.
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  NR_WATCHDOGS,
  POLL_MAX_PORTS,
  SCHEDOP,
  SchedPoll,
  SchedRemoteShutdown,
  SchedShutdown,
  SchedWatchdog,
  SHUTDOWN,
  SHUTDOWN_MAX,
} from '../../abi/xen/sched.ts';
import { DomainHeader as Header, POLL_ANY, VCPU_WAIT } from '../domain-layout.ts';
import type { HypercallContext } from './hypercall-context.ts';

export function schedOp(c: HypercallContext): number {
  switch (c.args.low(0)) {
    case SCHEDOP.yield:
      return 0;
    case SCHEDOP.block:
      c.vcpu.state.setWait(VCPU_WAIT.blocked);
      // What came before the wait was noted must not be slept over.
      if (c.vcpu.state.upcallPending) c.vcpu.state.clearWait(VCPU_WAIT.blocked);
      return 0;
    case SCHEDOP.shutdown:
      if (!c.buffer.copyIn(c.caller, c.args.pointer(1), SchedShutdown.sizeof)) return -EFAULT;
      return shutdown(c, SchedShutdown.reason.get(c.buffer.view, 0));
    case SCHEDOP.shutdown_code:
      if (!c.buffer.copyIn(c.caller, c.args.pointer(1), SchedShutdown.sizeof)) return -EFAULT;
      c.domain.setShutdownCode(SchedShutdown.reason.get(c.buffer.view, 0));
      return 0;
    case SCHEDOP.poll:
      return poll(c);
    case SCHEDOP.watchdog:
      return watchdog(c);
    case SCHEDOP.remote_shutdown: {
      if (!c.buffer.copyIn(c.caller, c.args.pointer(1), SchedRemoteShutdown.sizeof)) return -EFAULT;
      const dom = SchedRemoteShutdown.domain_id.get(c.buffer.view, 0);
      return dom === c.domain.domid || dom === DOMID_ZERO ? -EPERM : -ESRCH;
    }
    case SCHEDOP.pin_override:
      return -EPERM;
    default:
      return -ENOSYS;
  }
}

/** 0 also for a suspend: if it is cancelled, the machine makes that a 1 before the vCPU runs on (`XenDomain.resume`). */
function shutdown(c: HypercallContext, reason: number): number {
  if (reason > SHUTDOWN_MAX) return -EINVAL;
  if (reason === SHUTDOWN.suspend) c.vcpu.state.noteSuspendCall();
  c.domain.shutdown(reason);
  return 0;
}

/** Waits until one of up to 128 ports is pending (masked or not) or the absolute timeout has passed; the answer is 0 either way. */
function poll(c: HypercallContext): number {
  const S = c.caller.longMode ? SchedPoll.wide : SchedPoll.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const count = S.nr_ports.get(view, 0);
  const timeout = S.timeout.get(view, 0);
  const ports = S.ports.get(view, 0);
  if (count > POLL_MAX_PORTS) return -EINVAL;
  const { state, timers } = c.vcpu;
  // Noted before the ports are looked at, so that an event in between ends the wait.
  state.pollPort = POLL_ANY;
  state.setWait(VCPU_WAIT.blocked);
  const result = checkPorts(c, ports, count);
  if (result <= 0 || state.upcallPending) {
    state.clearWait(VCPU_WAIT.blocked);
    return Math.min(0, result);
  }
  if (count === 1 && state.pollPort === POLL_ANY) state.pollPort = view.getUint32(0, true);
  // Signed nanoseconds: a timeout beyond 2^63 is long past.
  timers.setPollTimeout(timeout === 0n ? 0 : timeout >= 1n << 63n ? 1 : Number(timeout));
  return 0;
}

/** Reads the port list. 1: none is pending; 0: one is; negative: an error. */
function checkPorts(c: HypercallContext, ports: bigint, count: number): number {
  if (count > 0 && !c.buffer.copyIn(c.caller, ports, count * 4)) return -EFAULT;
  const { events } = c.domain;
  for (let i = 0; i < count; i++) {
    const port = c.buffer.view.getUint32(i * 4, true);
    if (!events.isValid(port)) return -EINVAL;
    if (events.isPending(port)) return 0;
  }
  return 1;
}

/** The domain has two watchdogs; id 0 asks for a free one and gets 1 or 2. */
function watchdog(c: HypercallContext): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), SchedWatchdog.sizeof)) return -EFAULT;
  const id = SchedWatchdog.id.get(c.buffer.view, 0);
  const timeout = SchedWatchdog.timeout.get(c.buffer.view, 0);
  if (id > NR_WATCHDOGS) return -EINVAL;
  const { memory, at, lock } = c.domain;
  // 0 in shared state means "not armed".
  const deadline = Math.max(1, c.vcpu.clock.nowNs() + timeout * 1e9);
  lock.acquire();
  try {
    const used = Header.watchdogs.get(memory.view, at);
    if (id === 0) {
      for (let free = 0; free < NR_WATCHDOGS; free++) {
        if (used & (1 << free)) continue;
        Header.watchdogs.set(memory.view, at, used | (1 << free));
        c.vcpu.timers.setWatchdog(free, deadline);
        return free + 1;
      }
      return -ENOSPC;
    }
    const bit = 1 << (id - 1);
    if ((used & bit) === 0) return -EINVAL;
    if (timeout === 0) Header.watchdogs.set(memory.view, at, used & ~bit);
    c.vcpu.timers.setWatchdog(id - 1, timeout === 0 ? 0 : deadline);
    return 0;
  } finally {
    lock.release();
  }
}
