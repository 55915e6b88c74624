// Everything that an HVM guest can call, as data: what is served, and what is refused with which errno. docs/xen-calls.md and
// `dom1 explain` are made of it, and test/docs holds it against the code.
import { EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { GNTTABOP } from '../../abi/xen/grant-table.ts';
import { HVMOP } from '../../abi/xen/hvm.ts';
import type { HYPERVISOR } from '../../abi/xen/hypercall.ts';
import { XENMEM } from '../../abi/xen/memory.ts';
import { PHYSDEVOP } from '../../abi/xen/physdev.ts';
import { SCHEDOP } from '../../abi/xen/sched.ts';
import { VCPUOP } from '../../abi/xen/vcpu.ts';
import { CONSOLEIO, VMASST_CMD, XENVER } from '../../abi/xen/version.ts';

export type CallName = keyof typeof HYPERVISOR;

/** Sub-operations by hypercall, with the name under which specs mention them. */
export const GROUPS: Partial<Record<CallName, { readonly prefix: string; readonly ops: Readonly<Record<string, number>> }>> = {
  memory_op: { prefix: 'XENMEM', ops: XENMEM },
  xen_version: { prefix: 'XENVER', ops: XENVER },
  console_io: { prefix: 'CONSOLEIO', ops: CONSOLEIO },
  grant_table_op: { prefix: 'GNTTABOP', ops: GNTTABOP },
  vm_assist: { prefix: 'VMASST', ops: VMASST_CMD },
  vcpu_op: { prefix: 'VCPUOP', ops: VCPUOP },
  sched_op: { prefix: 'SCHEDOP', ops: SCHEDOP },
  event_channel_op: { prefix: 'EVTCHNOP', ops: EVTCHNOP },
  physdev_op: { prefix: 'PHYSDEVOP', ops: PHYSDEVOP },
  hvm_op: { prefix: 'HVMOP', ops: HVMOP },
};

/** Calls and sub-operations that an unprivileged HVM domain is refused, whatever its arguments: with Xen's own errno. */
export const REFUSED: Readonly<Record<string, string>> = {
  platform_op: 'EPERM',
  mmuext_op: 'EINVAL',
  sysctl: 'EPERM',
  domctl: 'EPERM',
  argo_op: 'EOPNOTSUPP',
  xenpmu_op: 'EOPNOTSUPP',
  dm_op: 'EPERM',
  hypfs_op: 'EPERM',
  arch_1: 'EPERM',
  'XENMEM.machine_memory_map': 'EPERM',
  'XENMEM.set_pod_target': 'EPERM',
  'XENMEM.get_pod_target': 'EPERM',
  'XENMEM.paging_op': 'ENOSYS',
  'XENMEM.access_op': 'EINVAL',
  'XENMEM.sharing_op': 'ENOSYS',
  'XENMEM.claim_pages': 'EPERM',
  'XENMEM.get_vnumainfo': 'EOPNOTSUPP',
  'XENMEM.acquire_resource': 'EPERM',
  'XENMEM.machphys_mapping': 'ENOSYS',
  'XENVER.build_id': 'EPERM',
  'CONSOLEIO.read': 'EPERM',
  'GNTTABOP.dump_table': 'ENOSYS',
  'GNTTABOP.transfer': 'ENOSYS',
  'GNTTABOP.unmap_and_replace': 'ENOSYS',
  'GNTTABOP.get_status_frames': 'ENOSYS',
  'GNTTABOP.cache_flush': 'ENOSYS',
  'VCPUOP.get_physid': 'EINVAL',
  'SCHEDOP.remote_shutdown': 'EPERM',
  'SCHEDOP.pin_override': 'EPERM',
  'HVMOP.pagetable_dying': 'EINVAL',
  'HVMOP.altp2m': 'EOPNOTSUPP',
};

/** Hypercalls without sub-operations. */
export const PLAIN: ReadonlySet<CallName> = new Set(['multicall', 'set_timer_op']);

/** Numbers that exist for PV guests only, or no more: -ENOSYS. */
export const isServed = (name: CallName): boolean => GROUPS[name] !== undefined || PLAIN.has(name);
