// LGDT, LIDT, LLDT, LTR and their store forms. SDM vol. 2A.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { SEGMENT, STATE, VECTOR } from '../state.ts';
import { isNull, markBusy, readDescriptor, SYSTEM_TYPE, setFromDescriptor } from './descriptors.ts';
import { generalProtection, notPresent } from './faults.ts';
import { requireCpl0, requireProtectedMode, requireUmip } from './privilege.ts';
import { is64Bit } from './stack.ts';
import { isCanonical } from './system-state.ts';

/**
 * LGDT and LIDT with the operand already read. Check `requireCpl0` before reading it: #GP comes before #PF.
 * @param operandSize 2 (only 24 bits of the base count), 4 or 8
 */
export function loadTable(cpu: Cpu, table: 'gdtr' | 'idtr', limit: number, base: bigint, operandSize: number): void {
  requireCpl0(cpu);
  if (is64Bit(cpu) && !isCanonical(base)) throw generalProtection();
  const mask = is64Bit(cpu) ? 0xffff_ffff_ffff_ffffn : operandSize === 2 ? 0xff_ffffn : 0xffff_ffffn;
  cpu.set64(STATE[table], base & mask);
  cpu.u16[(STATE[table] + 8) >> 1] = limit;
}

/** LLDT. @throws GuestFault #UD, #GP, #NP, #PF. */
export function loadLdt(cpu: Cpu, mem: LinearMemory, selector: number): void {
  requireProtectedMode(cpu);
  requireCpl0(cpu);
  if (isNull(selector)) {
    cpu.setSegment(SEGMENT.ldtr, selector, 0, 0, 0n);
    return;
  }
  if (selector & 4) throw generalProtection(selector);
  const descriptor = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (descriptor.isSegment || descriptor.type !== SYSTEM_TYPE.ldt) throw generalProtection(selector);
  if (!descriptor.isPresent) throw notPresent(selector);
  if (!isCanonical(descriptor.base)) throw generalProtection(selector);
  setFromDescriptor(cpu, SEGMENT.ldtr, selector, descriptor);
}

/** LTR: marks the TSS busy. @throws GuestFault #UD, #GP, #NP, #PF. */
export function loadTaskRegister(cpu: Cpu, mem: LinearMemory, selector: number): void {
  requireProtectedMode(cpu);
  requireCpl0(cpu);
  if (isNull(selector)) throw generalProtection();
  if (selector & 4) throw generalProtection(selector);
  const descriptor = readDescriptor(cpu, mem, selector, VECTOR.gp);
  const available = descriptor.type === SYSTEM_TYPE.tss || (descriptor.type === SYSTEM_TYPE.tss16 && !cpu.longMode);
  if (descriptor.isSegment || !available) throw generalProtection(selector);
  if (!descriptor.isPresent) throw notPresent(selector);
  if (!isCanonical(descriptor.base)) throw generalProtection(selector);
  markBusy(cpu, mem, descriptor.at, true);
  cpu.setSegment(SEGMENT.tr, selector, descriptor.attributes | 2, descriptor.limit, descriptor.base);
}

/** SLDT: @throws GuestFault #UD outside protected mode, #GP(0) by UMIP. */
export function storeLdt(cpu: Cpu): number {
  requireProtectedMode(cpu);
  requireUmip(cpu);
  return cpu.selector(SEGMENT.ldtr);
}

/** STR: @throws as storeLdt. */
export function storeTaskRegister(cpu: Cpu): number {
  requireProtectedMode(cpu);
  requireUmip(cpu);
  return cpu.selector(SEGMENT.tr);
}

/** SGDT and SIDT: what to store. A 16-bit operand size stores all 32 bits of the base (386 and later). @throws #GP(0) by UMIP. */
export function storeTable(cpu: Cpu, table: 'gdtr' | 'idtr'): { readonly limit: number; readonly base: bigint } {
  requireUmip(cpu);
  return { limit: cpu.u16[(STATE[table] + 8) >> 1] as number, base: cpu.get64(STATE[table]) };
}
