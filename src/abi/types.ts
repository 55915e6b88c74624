// Nominal integers: a Gfn never slips into a parameter that wants a Gpa.
declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** Guest-physical byte address, below 2^52. */
export type Gpa = Brand<number, 'gpa'>;
/** Guest frame number: a Gpa without its low 12 bits. */
export type Gfn = Brand<number, 'gfn'>;
/** Byte offset in the one shared WebAssembly.Memory; 0 is never a valid page. */
export type HostAddress = Brand<number, 'host'>;
export type DomId = Brand<number, 'domid'>;
export type GrantRef = Brand<number, 'gref'>;
export type EvtchnPort = Brand<number, 'evtchn'>;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;
export const gfnToGpa = (gfn: Gfn): Gpa => (gfn * PAGE_SIZE) as Gpa;
export const gpaToGfn = (gpa: Gpa): Gfn => Math.floor(gpa / PAGE_SIZE) as Gfn;
