// Flat segments as SYSCALL and its kin set them, whatever the tables say; DPL is added. SDM vol. 2B, SYSCALL.
import { ATTR } from '../state.ts';

export const FLAT_CODE64: number = ATTR.g | ATTR.long | ATTR.present | ATTR.s | ATTR.code | ATTR.rw | ATTR.accessed;
export const FLAT_CODE32: number = ATTR.g | ATTR.db | ATTR.present | ATTR.s | ATTR.code | ATTR.rw | ATTR.accessed;
export const FLAT_DATA: number = ATTR.g | ATTR.db | ATTR.present | ATTR.s | ATTR.rw | ATTR.accessed;
