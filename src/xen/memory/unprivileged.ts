// Sub-operations of memory_op that a control domain or a device model may use. An ordinary guest gets as far as Xen's checks
// let it: each function answers for such a guest alone.
import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  AcquireResourceHead,
  MachphysMfnList,
  MemAccessOp,
  MemoryReservation,
  PodTarget,
  ReservedDeviceMemoryMap,
  VnumaTopologyInfo,
  XENMEM_RDM_ALL,
} from '../../abi/xen/memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import { ownDomain, remoteDomain } from './domain-argument.ts';

const width = (c: HypercallContext): 'wide' | 'narrow' => (c.caller.longMode ? 'wide' : 'narrow');
const copyIn = (c: HypercallContext, size: number): boolean => c.buffer.copyIn(c.caller, c.args.pointer(1), size);

/** XENMEM_acquire_resource: maps what belongs to another domain. */
export function acquireResource(c: HypercallContext): number {
  const S = AcquireResourceHead;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  if (S.pad.get(c.buffer.view, 0) !== 0) return -EINVAL;
  return remoteDomain(c.domain, S.domid.get(c.buffer.view, 0));
}

/** XENMEM_access_op: of a monitor of another domain. The control domain has no page tables to restrict: -EINVAL. */
export function accessOp(c: HypercallContext): number {
  const S = MemAccessOp[width(c)];
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const domid = S.domid.get(c.buffer.view, 0);
  if (domid === DOMID_SELF) return -ESRCH;
  const dom = c.domain.resolve(domid);
  if (dom === undefined) return -ESRCH;
  return dom === c.domain.domid ? -EPERM : -EINVAL;
}

/** XENMEM_claim_pages: looks at its arguments before it asks who calls. */
export function claimPages(c: HypercallContext): number {
  const S = MemoryReservation[width(c)];
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const plain = S.extent_start.get(view, 0) === 0n && S.extent_order.get(view, 0) === 0 && S.mem_flags.get(view, 0) === 0;
  if (!plain) return -EINVAL;
  return remoteDomain(c.domain, S.domid.get(view, 0)) === -EPERM ? -EPERM : -EINVAL;
}

/** XENMEM_set_pod_target and XENMEM_get_pod_target: of the control domain, on oneself too. */
export function podTarget(c: HypercallContext): number {
  const S = PodTarget[width(c)];
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  return c.domain.resolve(S.domid.get(c.buffer.view, 0)) === undefined ? -ESRCH : -EPERM;
}

/** XENMEM_get_vnumainfo: the domain has one node and no description of it. */
export function vnumaInfo(c: HypercallContext): number {
  const S = VnumaTopologyInfo;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  if (S.pad.get(c.buffer.view, 0) !== 0) return -EINVAL;
  const foreign = ownDomain(c.domain, S.domid.get(c.buffer.view, 0));
  return foreign < 0 ? foreign : -EOPNOTSUPP;
}

/** XENMEM_reserved_device_memory_map: there is no device with memory of its own in RAM. */
export function reservedDeviceMemoryMap(c: HypercallContext): number {
  const S = ReservedDeviceMemoryMap[width(c)];
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  if (S.flags.get(c.buffer.view, 0) & ~XENMEM_RDM_ALL) return -EINVAL;
  S.nr_entries.set(c.buffer.view, 0, 0);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

/** XENMEM_machphys_mfn_list: where the machine-to-physical table is. There is no machine below, so its list is empty. */
export function machphysMfnList(c: HypercallContext): number {
  const S = MachphysMfnList[width(c)];
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  S.nr_extents.set(c.buffer.view, 0, 0);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}
