// Checks that many privileged instructions begin with.
import type { Cpu } from '../cpu.ts';
import { CR4, FLAG, STATE } from '../state.ts';
import { generalProtection, invalidOpcode } from './faults.ts';

/** @throws GuestFault #GP(0) unless CPL is 0. Virtual-8086 mode runs at CPL 3. */
export function requireCpl0(cpu: Cpu): void {
  if (cpu.cpl !== 0) throw generalProtection();
}

/** @throws GuestFault #UD in real-address and virtual-8086 mode: LLDT, LTR, SLDT, STR, LAR, LSL, VERR, VERW, ARPL. */
export function requireProtectedMode(cpu: Cpu): void {
  if (!cpu.protectedMode || cpu.virtual8086) throw invalidOpcode();
}

/** SGDT, SIDT, SLDT, STR, SMSW: @throws GuestFault #GP(0) with CR4.UMIP set and CPL above 0. SDM vol. 3, 2.5. */
export function requireUmip(cpu: Cpu): void {
  if (cpu.cpl > 0 && (cpu.cr4 & CR4.umip) !== 0) throw generalProtection();
}

export const ioPrivilege = (cpu: Cpu): number => (cpu.get32(STATE.eflags) & FLAG.iopl) >> 12;
