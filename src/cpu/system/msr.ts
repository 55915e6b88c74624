// The model-specific registers that belong to the CPU. SDM vol. 4, chapter 2.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { CR0, EFER, SEGMENT, STATE, TIME_GATE } from '../state.ts';
import { isMtrr, readMtrr, writeMtrr } from './mtrr.ts';
import { isCanonical, SYSTEM_STATE } from './system-state.ts';

export const MSR = {
  tsc: 0x10,
  platformId: 0x17,
  apicBase: 0x1b,
  featureControl: 0x3a,
  tscAdjust: 0x3b,
  biosSignature: 0x8b,
  archCapabilities: 0x10a,
  sysenterCs: 0x174,
  sysenterEsp: 0x175,
  sysenterEip: 0x176,
  mcgCap: 0x179,
  mcgStatus: 0x17a,
  miscEnable: 0x1a0,
  debugControl: 0x1d9,
  pat: 0x277,
  tscDeadline: 0x6e0,
  efer: 0xc000_0080,
  star: 0xc000_0081,
  lstar: 0xc000_0082,
  cstar: 0xc000_0083,
  fmask: 0xc000_0084,
  fsBase: 0xc000_0100,
  gsBase: 0xc000_0101,
  kernelGsBase: 0xc000_0102,
  tscAux: 0xc000_0103,
} as const;

/** What the TSC needs of the machine. */
export interface TickSource {
  /** The clock in TSC ticks, before STATE.tscOffset: a whole number, at least 0 and below 2^63. */
  ticks(): number;
}

/** gp: #GP(0). external: not the CPU's; the machine answers (APIC base, x2APIC, TSC deadline, hypervisor range). */
export type MsrRefusal = 'gp' | 'external';

const MASK64 = 0xffff_ffff_ffff_ffffn;

/**
 * A read of the TSC, or a write that depends on it, begins. False: the instruction has to be left and begun again, with all those
 * before it counted.
 */
export function passTimeGate(cpu: Cpu): boolean {
  const gate = cpu.get32(STATE.timeGate);
  if (gate === TIME_GATE.passing) cpu.set32(STATE.timeGate, TIME_GATE.shut);
  return gate !== TIME_GATE.shut;
}

/** The TSC now, as RDTSC and RDTSCP (sem/system.ts) read it. u64. */
export const readTsc = (cpu: Cpu, source: TickSource): bigint => (BigInt(source.ticks()) + cpu.get64(STATE.tscOffset)) & MASK64;

/** Plain registers: any 64-bit value. */
const PLAIN = new Map<number, number>([[MSR.star, STATE.star]]);
/** Linear addresses: canonical or #GP. */
const ADDRESSES = new Map<number, number>([
  [MSR.lstar, STATE.lstar],
  [MSR.cstar, STATE.cstar],
  [MSR.kernelGsBase, STATE.kernelGsBase],
  [MSR.sysenterEsp, STATE.sysenterEsp],
  [MSR.sysenterEip, STATE.sysenterEip],
]);
/** Bits 63:32 reserved. */
const NARROW = new Map<number, number>([
  [MSR.fmask, STATE.fmask],
  [MSR.tscAux, STATE.tscAux],
  [MSR.sysenterCs, STATE.sysenterCs],
]);

const EFER_WRITABLE = BigInt(EFER.sce | EFER.lme | EFER.nxe);
/** Fast strings. The other bits are read-only here: no performance monitoring to speak of, so 11 and 12 say BTS and PEBS are unavailable. */
const MISC_ENABLE_WRITABLE = 1n;
const MISC_ENABLE_FIXED = (1n << 11n) | (1n << 12n);
const DEBUG_CONTROL_BTF = 2n;
const FEATURE_CONTROL_LOCKED = 1n;
/** Revision 1, in the upper half. SDM vol. 3, 9.11.7. */
const MICROCODE_REVISION = 1n << 32n;
const MCG_STATUS_BITS = 7n;

/**
 * IA32_ARCH_CAPABILITIES: an engine without speculation, caches or fill buffers of its own has none of these leaks.
 * RDCL_NO 0, SKIP_L1DFL_VMENTRY 3, SSB_NO 4, MDS_NO 5, IF_PSCHANGE_MC_NO 6, TAA_NO 8, SBDR_SSDP_NO 13, FBSDP_NO 14,
 * PSDP_NO 15, BHI_NO 20, PBRSB_NO 24, GDS_NO 26, RFDS_NO 27.
 */
const ARCH_CAPABILITIES = [0, 3, 4, 5, 6, 8, 13, 14, 15, 20, 24, 26, 27].reduce((bits, bit) => bits | (1n << BigInt(bit)), 0n);

/** Ranges and registers that the machine around the CPU answers. */
export const isExternalMsr = (msr: number): boolean =>
  msr === MSR.apicBase || msr === MSR.tscDeadline || (msr >= 0x800 && msr <= 0x8ff) || (msr >= 0x4000_0000 && msr <= 0x4fff_ffff);

/** RDMSR. The caller has checked CPL. @param msr u32 of ECX. */
export function readMsr(cpu: Cpu, msr: number, source: TickSource): bigint | MsrRefusal {
  const slot = PLAIN.get(msr) ?? ADDRESSES.get(msr) ?? NARROW.get(msr);
  if (slot !== undefined) return cpu.get64(slot);
  switch (msr) {
    case MSR.tsc:
      return readTsc(cpu, source);
    case MSR.tscAdjust:
      return cpu.get64(STATE.tscAdjust);
    case MSR.efer:
      return cpu.get64(STATE.efer);
    case MSR.fsBase:
      return cpu.segBase(SEGMENT.fs);
    case MSR.gsBase:
      return cpu.segBase(SEGMENT.gs);
    case MSR.pat:
      return cpu.get64(STATE.pat);
    case MSR.miscEnable:
      return (cpu.get64(STATE.miscEnable) & MISC_ENABLE_WRITABLE) | MISC_ENABLE_FIXED;
    case MSR.debugControl:
      return cpu.get64(SYSTEM_STATE.debugControl);
    case MSR.platformId:
      return 0n;
    case MSR.featureControl:
      return FEATURE_CONTROL_LOCKED;
    case MSR.biosSignature:
      return MICROCODE_REVISION;
    case MSR.archCapabilities:
      return ARCH_CAPABILITIES;
    // No banks: nothing in this machine can raise a machine check.
    case MSR.mcgCap:
      return 0n;
    case MSR.mcgStatus:
      return cpu.get64(SYSTEM_STATE.mcgStatus);
  }
  if (isMtrr(msr)) return readMtrr(cpu, msr);
  return isExternalMsr(msr) ? 'external' : 'gp';
}

/** WRMSR. The caller has checked CPL. Nothing is changed unless the answer is 'ok'. */
export function writeMsr(cpu: Cpu, mem: LinearMemory, msr: number, value: bigint, source: TickSource): 'ok' | MsrRefusal {
  const plain = PLAIN.get(msr);
  if (plain !== undefined) return store(cpu, plain, value, true);
  const address = ADDRESSES.get(msr);
  if (address !== undefined) return store(cpu, address, value, isCanonical(value));
  const narrow = NARROW.get(msr);
  if (narrow !== undefined) return store(cpu, narrow, value, value >> 32n === 0n);
  switch (msr) {
    case MSR.tsc: {
      const delta = value - readTsc(cpu, source);
      return moveTsc(cpu, delta);
    }
    case MSR.tscAdjust:
      return moveTsc(cpu, value - cpu.get64(STATE.tscAdjust));
    case MSR.efer:
      return writeEfer(cpu, mem, value);
    case MSR.fsBase:
      return storeBase(cpu, SEGMENT.fs, value);
    case MSR.gsBase:
      return storeBase(cpu, SEGMENT.gs, value);
    case MSR.pat:
      return store(cpu, STATE.pat, value, isPat(value));
    case MSR.miscEnable:
      return store(cpu, STATE.miscEnable, value, (value & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED)) === 0n);
    case MSR.debugControl:
      return store(cpu, SYSTEM_STATE.debugControl, value, (value & ~DEBUG_CONTROL_BTF) === 0n);
    // Software writes 0 before CPUID to have the revision shown; it is always shown here.
    case MSR.biosSignature:
      return 'ok';
    case MSR.mcgStatus:
      return store(cpu, SYSTEM_STATE.mcgStatus, value, (value & ~MCG_STATUS_BITS) === 0n);
  }
  if (isMtrr(msr)) return writeMtrr(cpu, msr, value) ? 'ok' : 'gp';
  return isExternalMsr(msr) ? 'external' : 'gp';
}

function store(cpu: Cpu, slot: number, value: bigint, valid: boolean): 'ok' | 'gp' {
  if (!valid) return 'gp';
  cpu.set64(slot, value);
  return 'ok';
}

function storeBase(cpu: Cpu, which: number, value: bigint): 'ok' | 'gp' {
  if (!isCanonical(value)) return 'gp';
  cpu.setSegBase(which, value);
  return 'ok';
}

/** SDM vol. 3, 17.17.3: writes of the TSC and of IA32_TSC_ADJUST move both by the same amount. */
function moveTsc(cpu: Cpu, delta: bigint): 'ok' {
  cpu.set64(STATE.tscOffset, BigInt.asUintN(64, cpu.get64(STATE.tscOffset) + delta));
  cpu.set64(STATE.tscAdjust, BigInt.asUintN(64, cpu.get64(STATE.tscAdjust) + delta));
  return 'ok';
}

/** LMA cannot be written; LME cannot change while paging is on. SDM vol. 3, 2.2.1 and 9.8.5. */
function writeEfer(cpu: Cpu, mem: LinearMemory, value: bigint): 'ok' | 'gp' {
  const lma = BigInt(EFER.lma);
  if (value & ~(EFER_WRITABLE | lma)) return 'gp';
  const old = cpu.get64(STATE.efer);
  const next = (value & EFER_WRITABLE) | (old & lma);
  const changed = Number(old ^ next);
  if (changed & EFER.lme && cpu.cr0 & CR0.pg) return 'gp';
  cpu.set64(STATE.efer, next);
  if (changed & EFER.nxe) mem.flush(true);
  return 'ok';
}

/** UC, WC, WT, WP, WB, UC-. SDM vol. 3, 11.12.2. */
function isPat(value: bigint): boolean {
  for (let shift = 0n; shift < 64n; shift += 8n) {
    const type = Number((value >> shift) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return false;
  }
  return true;
}
