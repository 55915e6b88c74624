// vcpu_op and set_timer_op.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { EACCES, EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, ENXIO } from '../../abi/xen/errno.ts';
import { RUNSTATE_INFO, SHARED_INFO, VCPU_INFO, VcpuTimeInfo } from '../../abi/xen/shared-info.ts';
import {
  RegisterArea,
  RegisterVcpuInfo,
  SetPeriodicTimer,
  SetSingleshotTimer,
  VCPUOP,
  VcpuHvmContext,
} from '../../abi/xen/vcpu.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { VcpuStateLayout as State, VCPU_WAIT } from '../domain-layout.ts';
import { readTimeInfo } from '../time/pvclock.ts';
import { encodeRunstate } from '../time/runstate.ts';
import type { VcpuState } from '../vcpu-state.ts';
import { checkHvmContext } from './hvm-context.ts';
import type { HypercallContext } from './hypercall-context.ts';

const MILLISECOND = 1e6;
/** Two bits less than a signed 64-bit time. */
const STIME_DELTA_LIMIT = 2 ** 62;
const TWO63 = 2 ** 63;
const GFN_LIMIT = 2 ** 52;

/** vcpu_op(cmd, vcpuid, arg). */
export function vcpuOp(c: HypercallContext): number {
  const target = c.domain.vcpus[c.args.low(1)];
  if (target === undefined) return -ENOENT;
  switch (c.args.low(0)) {
    case VCPUOP.set_singleshot_timer:
      return setSingleshot(c, target);
    case VCPUOP.stop_singleshot_timer:
      if (target !== c.vcpu.state) return -EINVAL;
      c.vcpu.timers.stopSingleshot();
      return 0;
    case VCPUOP.set_periodic_timer:
      return setPeriodic(c, target);
    case VCPUOP.stop_periodic_timer:
      changePeriod(c, target, 0);
      return 0;
    case VCPUOP.register_vcpu_info:
      return registerVcpuInfo(c, target);
    case VCPUOP.register_runstate_memory_area:
      return registerRunstate(c, target);
    case VCPUOP.register_vcpu_time_memory_area:
      return registerTime(c, target);
    case VCPUOP.register_runstate_phys_area:
      return registerRunstatePhysical(c, target);
    case VCPUOP.register_vcpu_time_phys_area:
      return registerTimePhysical(c, target);
    case VCPUOP.get_runstate_info: {
      const info = encodeRunstate(c.domain, target, c.buffer.view, !c.caller.longMode, c.vcpu.clock.nowNs());
      return c.caller.writeVirtual(c.args.pointer(2), info) ? 0 : -EFAULT;
    }
    case VCPUOP.initialise:
      return initialise(c, target);
    case VCPUOP.up:
      if (State.initialised.get(c.domain.memory.view, target.at) === 0) return -EINVAL;
      if (target.clearWait(VCPU_WAIT.down)) c.domain.kick(target.id);
      return 0;
    case VCPUOP.down:
      c.domain.takeDown(target.id);
      return 0;
    case VCPUOP.is_up:
      return target.waiting & VCPU_WAIT.down ? 0 : 1;
    case VCPUOP.send_nmi:
      if (c.args.pointer(2) !== 0n) return -EINVAL;
      target.requestNmi();
      c.domain.events.wake(target);
      return 0;
    case VCPUOP.get_physid:
      // Only for a hardware domain whose vCPUs are pinned.
      return -EINVAL;
    default:
      return -ENOSYS;
  }
}

/** set_timer_op(timeout): absolute nanoseconds of system time, 0 to stop; a 32-bit caller passes two registers. */
export function setTimerOp(c: HypercallContext): number {
  const low = c.args.low(0);
  const high = c.caller.longMode ? c.args.high(0) : c.args.low(1);
  if (low === 0 && high === 0) {
    c.vcpu.timers.stopSingleshot();
    return 0;
  }
  const now = c.vcpu.clock.nowNs();
  const timeout = high * 0x1_0000_0000 + low;
  // Xen's answer to guests whose tick count wrapped: an event in 100 ms for a time that is negative or 13 days ahead.
  const odd = timeout >= TWO63 || timeout - now >= 2 ** 50;
  c.vcpu.timers.setSingleshot(odd ? now + 100 * MILLISECOND : timeout);
  return 0;
}

function setSingleshot(c: HypercallContext, target: VcpuState): number {
  if (target !== c.vcpu.state) return -EINVAL;
  const S = c.caller.longMode ? SetSingleshotTimer.wide : SetSingleshotTimer.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), S.sizeof)) return -EFAULT;
  const timeout = S.timeout_abs_ns.get(c.buffer.view, 0);
  // Times are signed: one beyond 2^63 is past as well.
  if (timeout < c.vcpu.clock.nowNs() || timeout >= TWO63) c.vcpu.timers.fireNow();
  else c.vcpu.timers.setSingleshot(timeout);
  return 0;
}

function setPeriodic(c: HypercallContext, target: VcpuState): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), SetPeriodicTimer.sizeof)) return -EFAULT;
  const period = SetPeriodicTimer.period_ns.get(c.buffer.view, 0);
  if (period < MILLISECOND || period >= STIME_DELTA_LIMIT) return -EINVAL;
  changePeriod(c, target, period);
  return 0;
}

function changePeriod(c: HypercallContext, target: VcpuState, period: number): void {
  State.periodic_period.set(c.domain.memory.view, target.at, period);
  target.requestTimerUpdate();
  if (target !== c.vcpu.state) c.domain.kick(target.id);
}

/** Gives a vCPU its registers; it stays down until VCPUOP_up, when its own thread takes them. */
function initialise(c: HypercallContext, target: VcpuState): number {
  if (target.id >= SHARED_INFO.vcpu_info_slots && !target.infoRegistered) return -EINVAL;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), VcpuHvmContext.sizeof)) return -EFAULT;
  const { lock, memory } = c.domain;
  lock.acquire();
  try {
    if (State.initialised.get(memory.view, target.at) !== 0) return -EEXIST;
    const checked = checkHvmContext(c.buffer.view);
    if (checked < 0) return checked;
    target.setInitialContext(c.buffer.slice(VcpuHvmContext.sizeof));
    State.initialised.set(memory.view, target.at, 1);
    return 0;
  } finally {
    lock.release();
  }
}

/** Moves vcpu_info to a place of the guest's choice: the old content goes along, and everything is marked pending. */
function registerVcpuInfo(c: HypercallContext, target: VcpuState): number {
  const S = RegisterVcpuInfo;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), S.sizeof)) return -EFAULT;
  const mfn = S.mfn.get(c.buffer.view, 0);
  const offset = S.offset.get(c.buffer.view, 0);
  // The two must name one address: all ones is none, and a frame has 52 bits.
  if (offset >= PAGE_SIZE || mfn >= GFN_LIMIT || (mfn === GFN_LIMIT - 1 && offset === PAGE_SIZE - 1)) return -EINVAL;
  if (target.infoRegistered) return -EBUSY;
  const host = areaAt(c, mfn, offset, VCPU_INFO.sizeof);
  if (host < 0) return host;
  const { memory, lock, events } = c.domain;
  memory.sharing?.share(host as HostAddress);
  lock.acquire();
  memory.u8.copyWithin(host, target.infoAt, target.infoAt + VCPU_INFO.sizeof);
  State.vcpu_info_at.set(memory.view, target.at, host);
  lock.release();
  // Events may have come while the slot was moved: one spurious upcall, none lost.
  events.markEverythingPending(target);
  if (target === c.vcpu.state) c.vcpu.publishTime();
  return 0;
}

/** Where a physical area lies in the buffer; -ENXIO across pages or misaligned, -EINVAL without memory, -EACCES read-only. */
function areaAt(c: HypercallContext, gfn: number, offset: number, size: number): number {
  if (offset + size > PAGE_SIZE || offset % (c.domain.narrow ? 4 : 8) !== 0) return -ENXIO;
  const entry = c.domain.memory.entry(gfn as Gfn);
  if (entry === 0) return -EINVAL;
  if ((entry & P2M.writable) === 0) return -EACCES;
  return (((entry & ~P2M.flags) >>> 0) + offset) as HostAddress;
}

function registerRunstate(c: HypercallContext, target: VcpuState): number {
  const address = pointerArgument(c);
  if (address === undefined) return -EFAULT;
  State.runstate_va.set(c.domain.memory.view, target.at, address);
  if (target === c.vcpu.state) c.vcpu.runstate.publish();
  else c.caller.writeVirtual(address, encodeRunstate(c.domain, target, c.buffer.view, c.domain.narrow, c.vcpu.clock.nowNs()));
  return 0;
}

function registerTime(c: HypercallContext, target: VcpuState): number {
  const address = pointerArgument(c);
  if (address === undefined) return -EFAULT;
  State.time_va.set(c.domain.memory.view, target.at, address);
  if (target === c.vcpu.state) c.vcpu.publishTime();
  else c.caller.writeVirtual(address, currentTime(c, target));
  return 0;
}

/** A virtual address in the union: 4 bytes wide for a 32-bit caller. */
function pointerArgument(c: HypercallContext): bigint | undefined {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), RegisterArea.sizeof)) return undefined;
  return c.caller.longMode ? RegisterArea.p.get(c.buffer.view, 0) : BigInt(c.buffer.view.getUint32(0, true));
}

function registerRunstatePhysical(c: HypercallContext, target: VcpuState): number {
  const narrow = !c.caller.longMode;
  const host = physicalArgument(c, RUNSTATE_INFO.sizeof[narrow ? 'narrow' : 'wide']);
  if (host < 0) return host;
  const { view } = c.domain.memory;
  State.runstate_at.set(view, target.at, host);
  State.runstate_narrow.set(view, target.at, narrow ? 1 : 0);
  if (target === c.vcpu.state) c.vcpu.runstate.publish();
  return 0;
}

function registerTimePhysical(c: HypercallContext, target: VcpuState): number {
  const host = physicalArgument(c, VcpuTimeInfo.sizeof);
  if (host < 0) return host;
  if (host !== 0) c.domain.memory.u8.set(currentTime(c, target), host);
  State.time_at.set(c.domain.memory.view, target.at, host);
  if (target === c.vcpu.state) c.vcpu.publishTime();
  return 0;
}

/** The pvclock in the vcpu_info of any vCPU, for an area of its that would otherwise stay empty until the vCPU next runs. */
function currentTime(c: HypercallContext, target: VcpuState): Uint8Array {
  const time = c.buffer.slice(VcpuTimeInfo.sizeof);
  readTimeInfo(c.domain.memory, target.infoAt + VCPU_INFO.time, time);
  return time;
}

/** The host address of a physical area; 0 for all-ones, which unregisters; negative for an error. */
function physicalArgument(c: HypercallContext, size: number): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(2), RegisterArea.sizeof)) return -EFAULT;
  const address = RegisterArea.p.get(c.buffer.view, 0);
  if (address === 0xffff_ffff_ffff_ffffn) return 0;
  return areaAt(c, Number(address >> 12n), Number(address & 0xfffn), size);
}
