// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS. SDM vol. 2B; vol. 3, 5.8.7 and 5.8.8.

import { GPR } from '../../vcpu/contract.ts';
import type { Cpu } from '../cpu.ts';
import { ATTR, EFER, FLAG, SEGMENT, STATE, SYSRET_FLAGS } from '../state.ts';
import { generalProtection, invalidOpcode } from './faults.ts';
import { FLAT_CODE32, FLAT_CODE64, FLAT_DATA } from './flat-segments.ts';
import { requireCpl0 } from './privilege.ts';
import { is64Bit } from './stack.ts';
import { isCanonical } from './system-state.ts';

function setFlat(cpu: Cpu, level: 0 | 3, codeSelector: number, stackSelector: number, wide: boolean): void {
  const dpl = level << ATTR.dplShift;
  cpu.setSegment(SEGMENT.cs, codeSelector & 0xffff, (wide ? FLAT_CODE64 : FLAT_CODE32) | dpl, 0xffff_ffff, 0n);
  cpu.setSegment(SEGMENT.ss, stackSelector & 0xffff, FLAT_DATA | dpl, 0xffff_ffff, 0n);
  cpu.set32(STATE.cpl, level);
}

function requireSyscall(cpu: Cpu): void {
  if (!is64Bit(cpu) || (cpu.efer & EFER.sce) === 0) throw invalidOpcode();
}

/** @param next RIP after the instruction. @throws GuestFault #UD outside 64-bit mode or without EFER.SCE. */
export function syscall(cpu: Cpu, next: bigint): void {
  requireSyscall(cpu);
  const flags = cpu.rflags & ~FLAG.rf;
  cpu.setGpr(GPR.rcx, next);
  cpu.setGpr(GPR.r11, BigInt(flags));
  cpu.rflags = flags & ~cpu.get32(STATE.fmask);
  const base = Number((cpu.get64(STATE.star) >> 32n) & 0xffffn);
  setFlat(cpu, 0, base & 0xfffc, base + 8, true);
  cpu.rip = cpu.get64(STATE.lstar);
  cpu.updateMode();
}

/** @param operandSize 8 with REX.W, else 4: a return to compatibility mode. @throws GuestFault #UD, #GP(0). */
export function sysret(cpu: Cpu, operandSize: number): void {
  requireSyscall(cpu);
  requireCpl0(cpu);
  const wide = operandSize === 8;
  const rcx = cpu.gpr(GPR.rcx);
  // Intel checks at CPL 0, before anything changes.
  if (wide && !isCanonical(rcx)) throw generalProtection();
  const base = Number((cpu.get64(STATE.star) >> 48n) & 0xffffn);
  cpu.rflags = cpu.gpr32(GPR.r11) & SYSRET_FLAGS;
  setFlat(cpu, 3, (base + (wide ? 16 : 0)) | 3, (base + 8) | 3, wide);
  cpu.rip = wide ? rcx : rcx & 0xffff_ffffn;
  cpu.updateMode();
}

/** @throws GuestFault #GP(0) in real mode or with a null IA32_SYSENTER_CS. */
export function sysenter(cpu: Cpu): void {
  const selector = cpu.get32(STATE.sysenterCs) & 0xfffc;
  if (!cpu.protectedMode || selector === 0) throw generalProtection();
  const wide = cpu.longMode;
  const mask = wide ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  cpu.rflags = cpu.rflags & ~(FLAG.vm | FLAG.if | FLAG.rf);
  setFlat(cpu, 0, selector, selector + 8, wide);
  cpu.setGpr(GPR.rsp, cpu.get64(STATE.sysenterEsp) & mask);
  cpu.rip = cpu.get64(STATE.sysenterEip) & mask;
  cpu.updateMode();
}

/** @param operandSize 8 with REX.W, else 4. @throws GuestFault #GP(0). */
export function sysexit(cpu: Cpu, operandSize: number): void {
  const selector = cpu.get32(STATE.sysenterCs) & 0xfffc;
  if (!cpu.protectedMode || selector === 0) throw generalProtection();
  requireCpl0(cpu);
  const wide = operandSize === 8;
  const rcx = cpu.gpr(GPR.rcx);
  const rdx = cpu.gpr(GPR.rdx);
  if (wide && (!isCanonical(rcx) || !isCanonical(rdx))) throw generalProtection();
  const code = selector + (wide ? 32 : 16);
  setFlat(cpu, 3, code | 3, (code + 8) | 3, wide);
  cpu.setGpr(GPR.rsp, wide ? rcx : rcx & 0xffff_ffffn);
  cpu.rip = wide ? rdx : rdx & 0xffff_ffffn;
  cpu.updateMode();
}

/** @throws GuestFault #UD outside 64-bit mode, #GP(0) above CPL 0. */
export function swapgs(cpu: Cpu): void {
  if (!is64Bit(cpu)) throw invalidOpcode();
  requireCpl0(cpu);
  const base = cpu.segBase(SEGMENT.gs);
  cpu.setSegBase(SEGMENT.gs, cpu.get64(STATE.kernelGsBase));
  cpu.set64(STATE.kernelGsBase, base);
}
