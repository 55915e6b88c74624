// Domain identifiers with a meaning of their own. public/xen.h.
import type { DomId } from '../types.ts';

export const DOMID_SELF = 0x7ff0 as DomId;
/** The control domain, where the backends live. */
export const DOMID_ZERO = 0 as DomId;
/** "No frame", as a 64-bit caller receives it. */
export const INVALID_GFN = 0xffff_ffff_ffff_ffffn;
