// hvm_op: parameters, the upcall vector and a few odds and ends.
import type { Gfn } from '../../abi/types.ts';
import { EEXIST, EFAULT, EINVAL, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  HVM_NR_PARAMS,
  HVM_XENTRACE_MAX,
  HVMMEM,
  HVMOP,
  HvmEvtchnUpcallVector,
  HvmGetMemType,
  HvmGetTime,
  HvmPagetableDying,
  HvmParam,
  HvmXentrace,
  HVM_PARAM as P,
} from '../../abi/xen/hvm.ts';
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { VcpuStateLayout as State } from '../domain-layout.ts';
import { setCallbackVia } from '../events/callback-line.ts';
import type { HypercallContext } from './hypercall-context.ts';

/** hvm_op(cmd, arg). */
export function hvmOp(c: HypercallContext): number {
  switch (c.args.low(0)) {
    case HVMOP.set_param:
      return setParam(c);
    case HVMOP.get_param:
      return getParam(c);
    case HVMOP.set_evtchn_upcall_vector:
      return setUpcallVector(c);
    case HVMOP.flush_tlbs:
      if (c.args.pointer(1) !== 0n) return -EINVAL;
      c.hooks.flushTlbs();
      return 0;
    case HVMOP.get_time:
      HvmGetTime.now.set(c.buffer.view, 0, Math.floor(c.vcpu.clock.nowNs()));
      return c.buffer.copyOut(c.caller, c.args.pointer(1), HvmGetTime.sizeof) ? 0 : -EFAULT;
    case HVMOP.get_mem_type:
      return getMemType(c);
    case HVMOP.xentrace:
      return xentrace(c);
    case HVMOP.pagetable_dying:
      return pagetableDying(c);
    case HVMOP.guest_request_vm_event:
      // Nobody monitors the guest.
      return c.args.pointer(1) === 0n ? 0 : -EINVAL;
    case HVMOP.altp2m:
      return -EOPNOTSUPP;
    default:
      return -ENOSYS;
  }
}

/** A record for the hypervisor's trace buffer, which nobody reads. */
function xentrace(c: HypercallContext): number {
  const S = HvmXentrace;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const fits = S.extra_bytes.get(view, 0) <= HVM_XENTRACE_MAX.extra && S.event.get(view, 0) <= HVM_XENTRACE_MAX.event;
  return fits ? 0 : -EINVAL;
}

/** Only shadow paging wants to know. */
function pagetableDying(c: HypercallContext): number {
  const S = HvmPagetableDying;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const dom = c.domain.resolve(S.domid.get(c.buffer.view, 0));
  if (dom === undefined) return -ESRCH;
  return dom === c.domain.domid ? -EINVAL : -EOPNOTSUPP;
}

const GUEST_MAY_SET = new Set<number>([
  P.CALLBACK_IRQ,
  P.STORE_EVTCHN,
  P.CONSOLE_EVTCHN,
  P.VM86_TSS,
  P.VM86_TSS_SIZED,
  P.ACPI_IOPORTS_LOCATION,
  P.VM_GENERATION_ID_ADDR,
  P.X87_FIP_WIDTH,
]);
/** Readable beyond those a guest may set. */
const GUEST_MAY_GET = new Set<number>([...GUEST_MAY_SET, P.STORE_PFN, P.CONSOLE_PFN, P.ALTP2M]);
/** Unused, obsolete or Xen's own. */
const UNKNOWN = new Set<number>([
  3,
  7,
  8,
  P.PAE_ENABLED,
  P.DM_DOMAIN,
  P.MEMORY_EVENT_CR0,
  P.MEMORY_EVENT_CR3,
  P.MEMORY_EVENT_CR4,
  P.MEMORY_EVENT_INT3,
  P.NESTEDHVM,
  P.MEMORY_EVENT_SINGLE_STEP,
  P.BUFIOREQ_EVTCHN,
  P.MEMORY_EVENT_MSR,
]);

/** The checks common to both: 0, or an error. */
function paramAccess(c: HypercallContext): number {
  const { view } = c.buffer;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), HvmParam.sizeof)) return -EFAULT;
  if (HvmParam.index.get(view, 0) >= HVM_NR_PARAMS) return -EINVAL;
  const dom = c.domain.resolve(HvmParam.domid.get(view, 0));
  if (dom === undefined) return -ESRCH;
  return dom === c.domain.domid ? 0 : -EPERM;
}

function getParam(c: HypercallContext): number {
  const access = paramAccess(c);
  if (access < 0) return access;
  const { view } = c.buffer;
  const index = HvmParam.index.get(view, 0);
  if (!GUEST_MAY_GET.has(index)) return UNKNOWN.has(index) ? -EINVAL : -EPERM;
  const sized = c.domain.param(P.VM86_TSS_SIZED);
  HvmParam.value.set(view, 0, index === P.VM86_TSS ? sized & 0xffff_ffffn : c.domain.param(index));
  return c.buffer.copyOut(c.caller, c.args.pointer(1), HvmParam.sizeof) ? 0 : -EFAULT;
}

function setParam(c: HypercallContext): number {
  const access = paramAccess(c);
  if (access < 0) return access;
  const index = HvmParam.index.get(c.buffer.view, 0);
  const value = HvmParam.value.get(c.buffer.view, 0);
  if (index === P.ALTP2M) return -EEXIST;
  if (!GUEST_MAY_SET.has(index)) return UNKNOWN.has(index) ? -EINVAL : -EPERM;
  switch (index) {
    case P.CALLBACK_IRQ:
      setCallbackVia(c.domain, value);
      c.domain.latchWidth(c.caller.longMode);
      break;
    case P.VM86_TSS:
      // Old loaders give a 32-bit address and mean 128 bytes.
      if (value > 0xffff_ffffn) return crash(c);
      c.domain.setParam(P.VM86_TSS_SIZED, value === 0n ? 0n : value | (128n << 32n));
      return 0;
    case P.VM86_TSS_SIZED:
      if (value >> 32n < 104n) return crash(c);
      break;
    case P.X87_FIP_WIDTH:
      if (value !== 0n && value !== 4n && value !== 8n) return -EINVAL;
      break;
    case P.ACPI_IOPORTS_LOCATION:
      // A PVH domain has no ACPI PM block to move.
      return -ENODEV;
  }
  c.domain.setParam(index, value);
  return 0;
}

/** A value no sane loader writes: Xen crashes the domain. */
function crash(c: HypercallContext): number {
  c.domain.shutdown(SHUTDOWN.crash);
  return -EINVAL;
}

function setUpcallVector(c: HypercallContext): number {
  const S = HvmEvtchnUpcallVector;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const vector = S.vector.get(c.buffer.view, 0);
  if (vector < 0x10) return -EINVAL;
  const vcpu = c.domain.vcpus[S.vcpu.get(c.buffer.view, 0)];
  if (vcpu === undefined) return -ENOENT;
  State.upcall_vector.set(c.domain.memory.view, vcpu.at, vector);
  // Raised at once, whatever is pending: the guest finds nothing and goes on.
  c.domain.events.requestUpcall(vcpu);
  return 0;
}

function getMemType(c: HypercallContext): number {
  const S = HvmGetMemType;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const dom = c.domain.resolve(S.domid.get(view, 0));
  if (dom === undefined) return -ESRCH;
  if (dom !== c.domain.domid) return -EPERM;
  const entry = c.domain.memory.entry(S.pfn.get(view, 0) as Gfn);
  S.mem_type.set(view, 0, entry === 0 ? HVMMEM.mmio_dm : entry & P2M.writable ? HVMMEM.ram_rw : HVMMEM.ram_ro);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}
