// How much memory there is: XENMEM_current_reservation and its relatives.
import { EFAULT } from '../../abi/xen/errno.ts';
import { DomidArgument } from '../../abi/xen/memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';
import { ownDomain } from './domain-argument.ts';

/** Pages the domain has. */
export const currentReservation = (c: HypercallContext): number => about(c, Header.tot_pages);
/** Pages it may have. */
export const maximumReservation = (c: HypercallContext): number => about(c, Header.max_pages);
/** The highest frame that ever had memory, as Xen's max_mapped_pfn. */
export const maximumGpfn = (c: HypercallContext): number => about(c, Header.max_gfn);
/** The number of frames of the machine; to the guest, the machine ends where its own memory does. */
export const maximumRamPage = (c: HypercallContext): number => Header.max_gfn.get(c.domain.memory.view, c.domain.at) + 1;

function about(c: HypercallContext, field: { get(view: DataView, at: number): number }): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), DomidArgument.sizeof)) return -EFAULT;
  const foreign = ownDomain(c.domain, DomidArgument.domid.get(c.buffer.view, 0));
  return foreign < 0 ? foreign : field.get(c.domain.memory.view, c.domain.at);
}

/** Notes that `gfn` has memory now. The domain's lock is held. */
export function noteMapped(domain: XenDomain, gfn: number): void {
  const { memory, at } = domain;
  if (gfn > Header.max_gfn.get(memory.view, at)) Header.max_gfn.set(memory.view, at, gfn);
}
