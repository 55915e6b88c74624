// The state of a CPU after RESET. SDM vol. 3, table 9-1.

import { GPR } from '../../vcpu/contract.ts';
import type { Cpu } from '../cpu.ts';
import { SEGMENT, STATE } from '../state.ts';
import { SIGNATURE } from './cpuid.ts';
import { SYSTEM_STATE } from './system-state.ts';

/** PA0..PA7 = WB WT UC- UC, twice. SDM vol. 3, table 11-12. */
export const PAT_AT_RESET = 0x0007_0406_0007_0406n;
const MXCSR_AT_RESET = 0x1f80;
const RESET_VECTOR = 0xfff0n;

/**
 * Puts every register into its power-up state: real-address mode at F000:FFF0. Run control (requests, counters, TLB
 * contents) is not touched, nor is STATE.tscOffset: the TSC goes on.
 */
export function resetRegisters(cpu: Cpu): void {
  for (let i = 0; i < 16; i++) cpu.setGpr(i, 0n);
  cpu.setGpr(GPR.rdx, BigInt(SIGNATURE));
  cpu.rip = RESET_VECTOR;
  cpu.rflags = 2;
  for (const which of [SEGMENT.es, SEGMENT.ss, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) cpu.setSegment(which, 0, 0x93, 0xffff, 0n);
  cpu.setSegment(SEGMENT.cs, 0xf000, 0x9b, 0xffff, 0xffff_0000n);
  cpu.setSegment(SEGMENT.ldtr, 0, 0x82, 0xffff, 0n);
  cpu.setSegment(SEGMENT.tr, 0, 0x8b, 0xffff, 0n);
  for (const table of [STATE.gdtr, STATE.idtr]) {
    cpu.set64(table, 0n);
    cpu.u16[(table + 8) >> 1] = 0xffff;
  }
  cpu.set64(STATE.cr0, 0x6000_0010n);
  const cleared = [
    STATE.cr2,
    STATE.cr3,
    STATE.cr4,
    STATE.cr8,
    STATE.efer,
    STATE.star,
    STATE.lstar,
    STATE.cstar,
    STATE.fmask,
    STATE.kernelGsBase,
    STATE.sysenterCs,
    STATE.sysenterEsp,
    STATE.sysenterEip,
    STATE.tscAux,
    STATE.fip,
    STATE.fdp,
    SYSTEM_STATE.mtrrDefType,
    SYSTEM_STATE.debugControl,
    SYSTEM_STATE.mcgStatus,
  ];
  for (const slot of cleared) cpu.set64(slot, 0n);
  for (let i = 0; i < 4; i++) cpu.set64(SYSTEM_STATE.pdpte + i * 8, 0n);
  for (let i = 0; i < 27; i++) cpu.set64(SYSTEM_STATE.mtrrFixed + i * 8, 0n);
  for (let i = 0; i < 6; i++) cpu.set64(STATE.dr + i * 8, 0n);
  cpu.set64(STATE.dr + 6 * 8, 0xffff_0ff0n);
  cpu.set64(STATE.dr + 7 * 8, 0x400n);
  cpu.set64(STATE.pat, PAT_AT_RESET);
  cpu.set64(STATE.miscEnable, 1n);
  cpu.set64(STATE.xcr0, 1n);
  cpu.set32(STATE.cpl, 0);
  cpu.set32(STATE.shadow, 0);
  cpu.set32(SYSTEM_STATE.nmiBlocked, 0);
  cpu.set32(STATE.mxcsr, MXCSR_AT_RESET);
  // x87 after RESET, not after FNINIT: control word 0040H, all tags valid, all registers +0.
  cpu.u16[STATE.fcw >> 1] = 0x40;
  cpu.u16[STATE.fsw >> 1] = 0;
  cpu.u16[STATE.ftw >> 1] = 0xff;
  for (const slot of [STATE.fop, STATE.fcs, STATE.fds]) cpu.u16[slot >> 1] = 0;
  for (let i = 0; i < 16; i++) cpu.set64(STATE.x87 + i * 8, 0n);
  for (let i = 0; i < 32; i++) {
    cpu.set64(STATE.xmm + i * 8, 0n);
    cpu.set64(STATE.ymmHigh + i * 8, 0n);
  }
  cpu.updateMode();
}
