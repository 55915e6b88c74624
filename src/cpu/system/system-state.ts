// Slots of the vCPU's state that only the system side uses, and addresses computed from system registers.
import type { Cpu } from '../cpu.ts';
import { STATE } from '../state.ts';

/** Byte offsets from the vCPU's base, beside STATE: 0x640..0x65f and 0x700..0xbff are ours. */
export const SYSTEM_STATE = {
  /** 4 × u64: the page-directory-pointer entries that PAE paging loaded with CR3. SDM vol. 3, 4.4.1. */
  pdpte: 0x640,
  /** u64. SDM vol. 3, 11.11.2. */
  mtrrDefType: 0x700,
  /** 11 × u64: FIX64K_00000, FIX16K_80000, FIX16K_A0000, FIX4K_C0000 .. FIX4K_F8000. */
  mtrrFixed: 0x708,
  /** 8 pairs of u64: PHYSBASEn, PHYSMASKn. */
  mtrrVariable: 0x780,
  /** u32: an NMI was delivered and no IRET has run since. SDM vol. 3, 6.7.1. */
  nmiBlocked: 0x800,
  /** u64: IA32_DEBUGCTL (bit 1: BTF). */
  debugControl: 0x808,
  /** u64: IA32_MCG_STATUS. */
  mcgStatus: 0x810,
} as const;

/** CPUID.80000008H:EAX[7:0]. */
export const PHYSICAL_ADDRESS_BITS = 40;
export const LINEAR_ADDRESS_BITS = 48;

/** Bits 63:47 all alike. */
export const isCanonical = (address: bigint): boolean =>
  BigInt.asIntN(LINEAR_ADDRESS_BITS, address) === BigInt.asIntN(64, address);

/** Wraps a linear address to 32 bits outside IA-32e mode. */
export const linear = (cpu: Cpu, address: bigint): bigint =>
  cpu.longMode ? BigInt.asUintN(64, address) : address & 0xffff_ffffn;

export const tableBase = (cpu: Cpu, table: 'gdtr' | 'idtr'): bigint => cpu.get64(STATE[table]);
export const tableLimit = (cpu: Cpu, table: 'gdtr' | 'idtr'): number => cpu.u16[(STATE[table] + 8) >> 1] as number;

/** True after an NMI until the next IRET: another NMI must wait. */
export const nmiBlocked = (cpu: Cpu): boolean => cpu.get32(SYSTEM_STATE.nmiBlocked) !== 0;

/** Real-address mode or virtual-8086 mode: selectors are paragraph numbers. */
export const usesParagraphs = (cpu: Cpu): boolean => !cpu.protectedMode || cpu.virtual8086;
