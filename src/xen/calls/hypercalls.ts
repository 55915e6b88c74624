// Hypercall dispatch: one table for both widths, a check of the privilege level, and a count of what nobody answered.
import { EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from '../../abi/xen/errno.ts';
import { HYPERVISOR, NR_HYPERCALLS } from '../../abi/xen/hypercall.ts';
import type { GuestCaller } from '../../vcpu/contract.ts';
import { eventChannelOp } from '../events/event-channel-op.ts';
import { grantTableOp } from '../grants/grant-table-op.ts';
import { memoryOp } from '../memory/memory-op.ts';
import type { XenVcpu } from '../vcpu.ts';
import { hvmOp } from './hvm-op.ts';
import { ArgumentBuffer, HypercallArgs } from './hypercall-args.ts';
import type { Hypercall, HypercallContext, HypercallHooks } from './hypercall-context.ts';
import { schedOp } from './sched-op.ts';
import { setTimerOp, vcpuOp } from './vcpu-op.ts';
import { consoleIo, vmAssist, xenVersion } from './version-op.ts';

const none: Hypercall = () => -ENOSYS;
/** Of the control domain only. */
const privileged: Hypercall = () => -EPERM;

/**
 * By number. What is not here does not exist for an HVM guest. Multicall is missing so far, and answers -ENOSYS too;
 * so do physdev_op (a domain without pirqs), xsm_op (no FLASK) and hypfs_op.
 */
const TABLE: readonly Hypercall[] = (() => {
  const table = new Array<Hypercall>(NR_HYPERCALLS).fill(none);
  table[HYPERVISOR.platform_op] = privileged;
  table[HYPERVISOR.memory_op] = memoryOp;
  table[HYPERVISOR.set_timer_op] = setTimerOp;
  table[HYPERVISOR.xen_version] = xenVersion;
  table[HYPERVISOR.console_io] = consoleIo;
  table[HYPERVISOR.grant_table_op] = grantTableOp;
  table[HYPERVISOR.vm_assist] = vmAssist;
  table[HYPERVISOR.vcpu_op] = vcpuOp;
  // Page-table operations need a PV domain to act on, and there is none.
  table[HYPERVISOR.mmuext_op] = () => -EINVAL;
  table[HYPERVISOR.sched_op] = schedOp;
  table[HYPERVISOR.event_channel_op] = eventChannelOp;
  table[HYPERVISOR.hvm_op] = hvmOp;
  table[HYPERVISOR.sysctl] = privileged;
  table[HYPERVISOR.domctl] = privileged;
  // Off by default in Xen as well.
  table[HYPERVISOR.argo_op] = () => -EOPNOTSUPP;
  table[HYPERVISOR.xenpmu_op] = () => -EINVAL;
  table[HYPERVISOR.dm_op] = privileged;
  return table;
})();

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
    };
  }

  /**
   * Serves one hypercall of this vCPU. `nr`: RAX, or EAX outside long mode. Returns what goes to RAX: the result or a
   * negated errno, sign-extended; a 32-bit caller sees its low half. Afterwards the vCPU may have to wait: ask `mayRun`.
   */
  call(caller: GuestCaller, nr: number): number {
    const { domain, id } = this.#vcpu;
    if (caller.cpl !== 0) return -EPERM;
    const known = nr >= 0 && nr < NR_HYPERCALLS;
    const { i32 } = domain.memory;
    if (known) Atomics.add(i32, ((domain.at + domain.plan.counters) >>> 2) + nr, 1);
    this.#context.caller = caller;
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
