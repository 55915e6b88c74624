// What JMP, CALL, RET and IRET do alike to CS. SDM vol. 3, 5.8.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { SEGMENT, STATE, VECTOR } from '../state.ts';
import { type Descriptor, isNull, readDescriptor, setFromDescriptor } from './descriptors.ts';
import { generalProtection, notPresent } from './faults.ts';
import { isCanonical } from './system-state.ts';

/** True when the segment holds 64-bit code: CS.L counts in IA-32e mode only. */
export const isWideCode = (cpu: Cpu, code: Descriptor): boolean => cpu.longMode && code.isLong;

/** Of a 64-bit offset, code of compatibility mode takes the low half. */
export const truncated = (cpu: Cpu, code: Descriptor, offset: bigint): bigint =>
  isWideCode(cpu, code) ? offset : offset & 0xffff_ffffn;

/** @throws GuestFault #GP(0) when `offset` lies beyond the limit of `code`, or is not canonical in 64-bit code. */
export function checkTarget(cpu: Cpu, code: Descriptor, offset: bigint): void {
  if (isWideCode(cpu, code) ? !isCanonical(offset) : offset > BigInt(code.limit)) throw generalProtection();
}

/** CS.L and CS.D together are reserved in IA-32e mode. SDM vol. 3, 5.2.1. @throws GuestFault #GP(selector). */
export function checkSize(cpu: Cpu, code: Descriptor): void {
  if (cpu.longMode && code.isLong && code.isBig) throw generalProtection(code.selector);
}

/**
 * The code segment that RET or IRET returns to. SDM vol. 2B, RET; vol. 2A, IRET.
 * @throws GuestFault #GP, #NP; #PF
 */
export function readReturnSegment(cpu: Cpu, mem: LinearMemory, selector: number): Descriptor {
  if (isNull(selector)) throw generalProtection();
  const rpl = selector & 3;
  const code = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (!code.isCode || rpl < cpu.cpl) throw generalProtection(selector);
  if (code.isConforming ? code.dpl > rpl : code.dpl !== rpl) throw generalProtection(selector);
  checkSize(cpu, code);
  if (!code.isPresent) throw notPresent(selector);
  return code;
}

/** Loads CS and CPL; the descriptor must already be marked accessed. `updateMode` is the caller's. */
export function setCode(cpu: Cpu, code: Descriptor, level: number): void {
  setFromDescriptor(cpu, SEGMENT.cs, (code.selector & ~3) | level, code);
  cpu.set32(STATE.cpl, level);
}
