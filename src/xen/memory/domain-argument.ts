// The domain that an argument of memory_op names: an unprivileged domain may act on itself only.
import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { EPERM, ESRCH } from '../../abi/xen/errno.ts';
import type { XenDomain } from '../domain.ts';

/** 0 for the caller's own domain, by number or DOMID_SELF; else -ESRCH or -EPERM. */
export function ownDomain(domain: XenDomain, domid: number): number {
  const dom = domain.resolve(domid);
  if (dom === undefined) return -ESRCH;
  return dom === domain.domid ? 0 : -EPERM;
}

/** What an operation on another domain answers: -EPERM for the caller itself by number, -ESRCH for DOMID_SELF and nobody. */
export function remoteDomain(domain: XenDomain, domid: number): number {
  return domid === DOMID_SELF || domain.resolve(domid) === undefined ? -ESRCH : -EPERM;
}
