// XENMEM_exchange trades pages for others with a property a PV guest needs. No page of a translated domain can be taken
// away like that, so what remains for an HVM guest are the checks. xen/common/memory.c, memory_exchange.
import { EFAULT, EINVAL, EPERM } from '../../abi/xen/errno.ts';
import { DOMU_MAX_ORDER, MemoryExchange, MemoryReservation } from '../../abi/xen/memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import { ownDomain } from './domain-argument.ts';

export function exchange(c: HypercallContext): number {
  const width = c.caller.longMode ? 'wide' : 'narrow';
  const S = MemoryExchange[width];
  const R = MemoryReservation[width];
  const { view } = c.buffer;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const source = S.in.offset;
  const target = S.out.offset;
  const extents = R.nr_extents.get(view, source);
  const order = R.extent_order.get(view, source);
  const outOrder = R.extent_order.get(view, target);
  const outExtents = R.nr_extents.get(view, target);
  const domid = R.domid.get(view, source);
  const done = S.nr_exchanged.get(view, 0);
  const list = R.extent_start.get(view, source);

  if (Math.max(order, outOrder) > DOMU_MAX_ORDER) return report(c, done, -EPERM);
  const inPages = extents * 2 ** order;
  const outPages = outExtents * 2 ** outOrder;
  const limit = 2 ** (c.caller.longMode ? 64 : 32);
  const consistent =
    done <= extents && domid === R.domid.get(view, target) && inPages < limit && outPages < limit && inPages === outPages;
  if (!consistent) return report(c, done, -EINVAL);
  const foreign = ownDomain(c.domain, domid);
  if (foreign < 0) return report(c, done, foreign);

  // Extents of the input go in chunks as large as one of the output.
  const chunk = Math.max(0, outOrder - order);
  const first = Math.floor(done / 2 ** chunk);
  if (first >= Math.floor(extents / 2 ** chunk)) return report(c, extents, 0);
  const begun = first * 2 ** chunk;
  const size = c.caller.longMode ? 8 : 4;
  const readable = c.buffer.copyIn(c.caller, list + BigInt(begun) * BigInt(size), size);
  return report(c, begun, readable ? -EINVAL : -EFAULT);
}

/** Writes nr_exchanged back, whatever the result. */
function report(c: HypercallContext, done: number, result: number): number {
  const S = c.caller.longMode ? MemoryExchange.wide : MemoryExchange.narrow;
  const field = S.nr_exchanged;
  const size = S.sizeof - field.offset;
  if (size === 8) c.buffer.view.setBigUint64(0, BigInt(done), true);
  else c.buffer.view.setUint32(0, done, true);
  return c.buffer.copyOut(c.caller, c.args.pointer(1) + BigInt(field.offset), size) ? result : -EFAULT;
}
