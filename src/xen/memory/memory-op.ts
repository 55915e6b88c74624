// memory_op: where the hypervisor's pages are mapped, and what memory the domain has.
import { EINVAL, ENOSYS, EPERM } from '../../abi/xen/errno.ts';
import { MEMOP_CMD_MASK, MEMOP_EXTENT_SHIFT, XENMEM } from '../../abi/xen/memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import { addToPhysmap, addToPhysmapBatch, removeFromPhysmap } from './add-to-physmap.ts';
import { decreaseReservation, increaseReservation, populatePhysmap } from './balloon.ts';
import { exchange } from './memory-exchange.ts';
import { memoryMap, setMemoryMap } from './memory-map.ts';
import { currentReservation, maximumGpfn, maximumRamPage, maximumReservation } from './memory-size.ts';
import {
  accessOp,
  acquireResource,
  claimPages,
  machphysMfnList,
  podTarget,
  reservedDeviceMemoryMap,
  vnumaInfo,
} from './unprivileged.ts';

/**
 * memory_op(cmd, arg). Above the sub-operation `cmd` has the extent to begin with, which a guest may set as Xen's own
 * continuations do; operations without extents refuse that.
 */
export function memoryOp(c: HypercallContext): number {
  const op = c.args.low(0) & MEMOP_CMD_MASK;
  const start = Math.floor(c.args.number(0) / 2 ** MEMOP_EXTENT_SHIFT);
  switch (op) {
    case XENMEM.increase_reservation:
      return increaseReservation(c, start);
    case XENMEM.decrease_reservation:
      return decreaseReservation(c, start);
    case XENMEM.populate_physmap:
      return populatePhysmap(c, start);
    case XENMEM.add_to_physmap:
      return addToPhysmap(c, start);
    case XENMEM.add_to_physmap_batch:
      return addToPhysmapBatch(c, start);
    case XENMEM.access_op:
      return accessOp(c);
    case XENMEM.memory_map:
      return memoryMap(c);
    case XENMEM.set_memory_map:
      return setMemoryMap(c);
    case XENMEM.machine_memory_map:
      return -EPERM;
    case XENMEM.set_pod_target:
    case XENMEM.get_pod_target:
      return podTarget(c);
    case XENMEM.machphys_mfn_list:
    case XENMEM.machphys_compat_mfn_list:
      return machphysMfnList(c);
    case XENMEM.get_sharing_freed_pages:
    case XENMEM.get_sharing_shared_pages:
      // Nothing is shared.
      return 0;
    case XENMEM.machphys_mapping: // of PV domains
    case XENMEM.paging_op: // not in an ordinary build of Xen
    case XENMEM.sharing_op:
      return -ENOSYS;
    case XENMEM.acquire_resource:
      return acquireResource(c);
    default:
      return start === 0 || !WITHOUT_EXTENTS.has(op) ? withoutExtents(c, op) : -EINVAL;
  }
}

const WITHOUT_EXTENTS: ReadonlySet<number> = new Set([
  XENMEM.maximum_ram_page,
  XENMEM.current_reservation,
  XENMEM.maximum_reservation,
  XENMEM.exchange,
  XENMEM.maximum_gpfn,
  XENMEM.remove_from_physmap,
  XENMEM.claim_pages,
  XENMEM.get_vnumainfo,
  XENMEM.reserved_device_memory_map,
]);

function withoutExtents(c: HypercallContext, op: number): number {
  switch (op) {
    case XENMEM.maximum_ram_page:
      return maximumRamPage(c);
    case XENMEM.current_reservation:
      return currentReservation(c);
    case XENMEM.maximum_reservation:
      return maximumReservation(c);
    case XENMEM.maximum_gpfn:
      return maximumGpfn(c);
    case XENMEM.remove_from_physmap:
      return removeFromPhysmap(c);
    case XENMEM.exchange:
      return exchange(c);
    case XENMEM.claim_pages:
      return claimPages(c);
    case XENMEM.get_vnumainfo:
      return vnumaInfo(c);
    case XENMEM.reserved_device_memory_map:
      return reservedDeviceMemoryMap(c);
    default:
      return -ENOSYS;
  }
}
