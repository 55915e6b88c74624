// Hypercall dispatch: one table for both widths, a check of the privilege level, and a count of what nobody answered.

import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { HYPERVISOR, NR_HYPERCALLS } from '../../abi/xen/hypercall.ts';
import type { GuestCaller } from '../../vcpu/contract.ts';
import { EMULATION } from '../domain-layout.ts';
import { eventChannelOp } from '../events/event-channel-op.ts';
import { physdevOp } from '../events/physdev-op.ts';
import { grantTableOp } from '../grants/grant-table-op.ts';
import { memoryOp } from '../memory/memory-op.ts';
import type { XenVcpu } from '../vcpu.ts';
import { VIRIDIAN_CALL, viridianCall } from '../viridian/viridian-call.ts';
import { hvmOp } from './hvm-op.ts';
import { ArgumentBuffer, HypercallArgs } from './hypercall-args.ts';
import type { Hypercall, HypercallContext, HypercallHooks } from './hypercall-context.ts';
import { multicall } from './multicall.ts';
import { schedOp } from './sched-op.ts';
import { setTimerOp, vcpuOp } from './vcpu-op.ts';
import { consoleIo, vmAssist, xenVersion } from './version-op.ts';

const none: Hypercall = () => -ENOSYS;
/** Of the control domain only. */
const privileged: Hypercall = () => -EPERM;

/**
 * By number. What is not here does not exist for an HVM guest: the calls of PV domains (set_trap_table, iret, nmi_op, …),
 * xsm_op without FLASK, tmem_op.
 */
const TABLE: readonly Hypercall[] = (() => {
  const table = new Array<Hypercall>(NR_HYPERCALLS).fill(none);
  table[HYPERVISOR.platform_op] = privileged;
  table[HYPERVISOR.memory_op] = memoryOp;
  table[HYPERVISOR.multicall] = multicall;
  table[HYPERVISOR.set_timer_op] = setTimerOp;
  table[HYPERVISOR.xen_version] = xenVersion;
  table[HYPERVISOR.console_io] = consoleIo;
  table[HYPERVISOR.grant_table_op] = grantTableOp;
  table[HYPERVISOR.vm_assist] = vmAssist;
  table[HYPERVISOR.vcpu_op] = vcpuOp;
  // Page-table operations need a PV domain to act on, and there is none.
  table[HYPERVISOR.mmuext_op] = (c) => (isKnownForeignDomain(c) ? -EINVAL : -ESRCH);
  table[HYPERVISOR.sched_op] = schedOp;
  table[HYPERVISOR.event_channel_op] = eventChannelOp;
  table[HYPERVISOR.physdev_op] = physdevOp;
  table[HYPERVISOR.hvm_op] = hvmOp;
  table[HYPERVISOR.sysctl] = privileged;
  table[HYPERVISOR.domctl] = privileged;
  // Off by default in Xen as well.
  table[HYPERVISOR.argo_op] = () => -EOPNOTSUPP;
  // For PV domains: one with local APICs has the counters' own registers (arch/x86/cpu/vpmu.c).
  table[HYPERVISOR.xenpmu_op] = () => -EOPNOTSUPP;
  table[HYPERVISOR.dm_op] = privileged;
  table[HYPERVISOR.hypfs_op] = privileged;
  // paging_domctl_cont.
  table[HYPERVISOR.arch_1] = privileged;
  return table;
})();

/** mmuext_op's fourth argument; a domain must not name itself by number there. */
function isKnownForeignDomain(c: HypercallContext): boolean {
  const domid = c.args.low(3) & 0xffff;
  return domid === DOMID_SELF || (c.domain.resolve(domid) !== undefined && domid !== c.domain.domid);
}

export class Hypercalls {
  /** The machine copies the caller's registers here before each `call`. */
  readonly args: HypercallArgs = new HypercallArgs();
  readonly #context: HypercallContext;
  readonly #vcpu: XenVcpu;

  constructor(vcpu: XenVcpu, hooks: HypercallHooks) {
    this.#vcpu = vcpu;
    this.#context = {
      domain: vcpu.domain,
      vcpu,
      args: this.args,
      buffer: new ArgumentBuffer(),
      hooks,
      caller: NOBODY,
      dispatch: (nr) => this.#dispatch(nr),
      inMulticall: false,
    };
  }

  /**
   * Serves one hypercall of this vCPU. `nr`: RAX, or EAX outside long mode. Returns what goes to RAX: the result or a
   * negated errno, sign-extended; a 32-bit caller sees its low half. Or CONTINUE: see there. Afterwards the vCPU may have to
   * wait: ask `mayRun`.
   */
  call(caller: GuestCaller, nr: number): number {
    const { domain } = this.#vcpu;
    if (caller.cpl !== 0) return -EPERM;
    this.#context.caller = caller;
    if (nr >= VIRIDIAN_CALL && domain.emulates(EMULATION.viridian)) return viridianCall(this.#context, nr);
    return this.#dispatch(nr);
  }

  #dispatch(nr: number): number {
    const { domain, id } = this.#vcpu;
    const known = nr >= 0 && nr < NR_HYPERCALLS;
    const { i32 } = domain.memory;
    if (known) Atomics.add(i32, ((domain.at + domain.plan.counters) >>> 2) + nr, 1);
    const op = this.args.low(0);
    const handler = known ? TABLE[nr] : undefined;
    const result = handler === undefined ? -ENOSYS : handler(this.#context);
    const { trace } = domain;
    if (result === -ENOSYS) {
      if (known) Atomics.add(i32, ((domain.at + domain.plan.unimplemented) >>> 2) + nr, 1);
      if (trace.unimplemented.on) trace.unimplemented(id, nr, op);
    }
    if (trace.hypercall.on) trace.hypercall(id, nr, op, result);
    return result;
  }
}

/** The caller before the first call. */
const NOBODY: GuestCaller = {
  vcpuId: 0,
  longMode: true,
  cpl: 3,
  readVirtual: () => false,
  writeVirtual: () => false,
  translate: () => -1,
};
