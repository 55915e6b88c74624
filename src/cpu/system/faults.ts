// Short constructors of the exceptions that system instructions raise. SDM vol. 3, 6.15.
import { GuestFault } from '../cpu.ts';
import { VECTOR } from '../state.ts';

/** The error code of a selector: its index and TI bit, without the RPL. SDM vol. 3, 6.13. */
export const selectorError = (selector: number): number => selector & 0xfffc;

export const invalidOpcode = (): GuestFault => new GuestFault(VECTOR.ud);
export const deviceNotAvailable = (): GuestFault => new GuestFault(VECTOR.nm);
/** #GP; `selector` 0 stands for error code 0. */
export const generalProtection = (selector = 0): GuestFault => new GuestFault(VECTOR.gp, selectorError(selector));
/** #GP whose error code names an IDT entry: index, IDT bit set. */
export const idtError = (vector: number): number => vector * 8 + 2;
export const stackFault = (selector = 0): GuestFault => new GuestFault(VECTOR.ss, selectorError(selector));
export const notPresent = (selector: number): GuestFault => new GuestFault(VECTOR.np, selectorError(selector));
export const invalidTss = (selector: number): GuestFault => new GuestFault(VECTOR.ts, selectorError(selector));
