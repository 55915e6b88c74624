// physdev_op: what an HVM guest with pirqs may ask about its physical interrupts.
import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  MAP_PIRQ_TYPE,
  PHYSDEVOP,
  PhysdevEoi,
  PhysdevGetFreePirq,
  PhysdevIrqStatusQuery,
  PhysdevMapPirq,
  PhysdevUnmapPirq,
  XENIRQSTAT,
} from '../../abi/xen/physdev.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';

/** physdev_op(cmd, arg): -ENOSYS in a domain without pirqs, as a PVH domain is. */
export function physdevOp(c: HypercallContext): number {
  const { pirqs } = c.domain.events;
  if (!pirqs.enabled) return -ENOSYS;
  switch (c.args.low(0)) {
    case PHYSDEVOP.map_pirq:
      return mapPirq(c);
    case PHYSDEVOP.unmap_pirq:
      return unmapPirq(c);
    case PHYSDEVOP.eoi:
      return copyIn(c, PhysdevEoi.sizeof) ? pirqs.eoi(PhysdevEoi.irq.get(c.buffer.view, 0)) : -EFAULT;
    case PHYSDEVOP.irq_status_query:
      return irqStatusQuery(c);
    case PHYSDEVOP.get_free_pirq:
      return getFreePirq(c);
    default:
      return -ENOSYS;
  }
}

const copyIn = (c: HypercallContext, size: number): boolean => c.buffer.copyIn(c.caller, c.args.pointer(1), size);
const copyOut = (c: HypercallContext, size: number): boolean => c.buffer.copyOut(c.caller, c.args.pointer(1), size);

/** A domain may act on itself, and only by the name DOMID_SELF. 0 when it did. */
function checkSelf(c: HypercallContext, domid: number): number {
  if (domid === DOMID_SELF) return 0;
  return c.domain.resolve(domid) === undefined ? -ESRCH : -EPERM;
}

/** The structure goes back to the guest whatever the answer is. */
function mapPirq(c: HypercallContext): number {
  const S = c.caller.longMode ? PhysdevMapPirq.wide : PhysdevMapPirq.narrow;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  let result = checkSelf(c, S.domid.get(view, 0));
  if (result === 0) {
    const { pirqs } = c.domain.events;
    // The MSI forms are for domains that see real devices; the MSIs of emulated ones carry their pirq.
    const allowed = pirqs.mayRoute && S.type.get(view, 0) === MAP_PIRQ_TYPE.gsi;
    const pirq = allowed ? pirqs.mapGsi(S.index.get(view, 0), S.pirq.get(view, 0)) : -EINVAL;
    if (pirq < 0) result = pirq;
    else S.pirq.set(view, 0, pirq);
  }
  return copyOut(c, S.sizeof) ? result : -EFAULT;
}

function unmapPirq(c: HypercallContext): number {
  const S = PhysdevUnmapPirq;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const self = checkSelf(c, S.domid.get(c.buffer.view, 0));
  if (self === 0) c.domain.events.pirqs.unmap(S.pirq.get(c.buffer.view, 0));
  return self;
}

/** Every pirq wants an EOI, so that a level-triggered one is looked at again. */
function irqStatusQuery(c: HypercallContext): number {
  const S = PhysdevIrqStatusQuery;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  if (!c.domain.events.pirqs.hasSource(S.irq.get(c.buffer.view, 0))) return -EINVAL;
  S.flags.set(c.buffer.view, 0, XENIRQSTAT.needs_eoi);
  return copyOut(c, S.sizeof) ? 0 : -EFAULT;
}

function getFreePirq(c: HypercallContext): number {
  const S = PhysdevGetFreePirq;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const pirq = c.domain.events.pirqs.allocate(S.type.get(c.buffer.view, 0) === MAP_PIRQ_TYPE.gsi);
  if (pirq < 0) return pirq;
  S.pirq.set(c.buffer.view, 0, pirq);
  return copyOut(c, S.sizeof) ? 0 : -EFAULT;
}
