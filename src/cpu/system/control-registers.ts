// MOV to and from control registers, LMSW, CLTS, SMSW, XSETBV, XGETBV. SDM vol. 2B, MOV—Control Registers; vol. 3, 2.5.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { ATTR, CR0, CR4, EFER, SEGMENT, STATE, STATE_COMPONENTS } from '../state.ts';
import { generalProtection, invalidOpcode } from './faults.ts';
import { loadPdptes } from './pdpte.ts';
import { requireCpl0, requireUmip } from './privilege.ts';
import { is64Bit } from './stack.ts';
import { PHYSICAL_ADDRESS_BITS } from './system-state.ts';

const CR0_WRITABLE = CR0.pe | CR0.mp | CR0.em | CR0.ts | CR0.ne | CR0.wp | CR0.am | CR0.nw | CR0.cd | CR0.pg;
/** The bits of features that CPUID advertises. */
export const CR4_WRITABLE: number =
  CR4.vme |
  CR4.pvi |
  CR4.tsd |
  CR4.de |
  CR4.pse |
  CR4.pae |
  CR4.mce |
  CR4.pge |
  CR4.pce |
  CR4.osfxsr |
  CR4.osxmmexcpt |
  CR4.umip |
  CR4.fsgsbase |
  CR4.pcide |
  CR4.osxsave |
  CR4.smep |
  CR4.smap;
const CR3_NOFLUSH = 1n << 63n;
const CR3_PCID = 0xfffn;
const CR3_RESERVED = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) & 0xffff_ffff_ffff_ffffn;

/** MOV r, CRn. @throws GuestFault #UD for a register that does not exist, #GP(0) above CPL 0. */
export function readControl(cpu: Cpu, register: number): bigint {
  const at = slotOf(register);
  requireCpl0(cpu);
  return cpu.get64(at);
}

/**
 * MOV CRn, r. `value` is zero-extended from 32 bits outside 64-bit mode.
 * Follow it with a look at CR8 (the APIC's TPR) when `register` is 8.
 * @throws GuestFault #UD, #GP(0); nothing is changed then
 */
export function writeControl(cpu: Cpu, mem: LinearMemory, register: number, value: bigint): void {
  const at = slotOf(register);
  requireCpl0(cpu);
  if (register === 0) writeCr0(cpu, mem, value);
  else if (register === 3) writeCr3(cpu, mem, value);
  else if (register === 4) writeCr4(cpu, mem, value);
  else {
    if (register === 8 && value > 15n) throw generalProtection();
    cpu.set64(at, value);
  }
}

function slotOf(register: number): number {
  switch (register) {
    case 0:
      return STATE.cr0;
    case 2:
      return STATE.cr2;
    case 3:
      return STATE.cr3;
    case 4:
      return STATE.cr4;
    case 8:
      return STATE.cr8;
    default:
      throw invalidOpcode();
  }
}

/** PAE paging proper: neither 32-bit nor IA-32e paging. */
const isPae = (cr0: number, cr4: number, efer: number): boolean =>
  (cr0 & CR0.pg) !== 0 && (cr4 & CR4.pae) !== 0 && (efer & EFER.lme) === 0;

function writeCr0(cpu: Cpu, mem: LinearMemory, value: bigint): void {
  if (value >> 32n !== 0n) throw generalProtection();
  const old = cpu.cr0;
  const next = ((Number(value) & CR0_WRITABLE) | CR0.et) >>> 0;
  const changed = old ^ next;
  if (next & CR0.pg && !(next & CR0.pe)) throw generalProtection();
  if (next & CR0.nw && !(next & CR0.cd)) throw generalProtection();
  let { efer } = cpu;
  if (changed & CR0.pg) efer = next & CR0.pg ? activateIa32e(cpu, efer) : leaveIa32e(cpu, efer);
  // SDM vol. 3, 4.4.1: these bits reload the PDPTEs.
  const reload = (changed & (CR0.pg | CR0.cd | CR0.nw)) !== 0;
  if (reload && isPae(next, cpu.cr4, efer) && !loadPdptes(cpu, cpu.get64(STATE.cr3))) throw generalProtection();

  cpu.set64(STATE.cr0, BigInt(next));
  cpu.set64(STATE.efer, BigInt(efer));
  if (changed & (CR0.pg | CR0.pe | CR0.wp)) mem.flush(true);
  cpu.updateMode();
}

/** Setting CR0.PG with EFER.LME set enters IA-32e mode. SDM vol. 3, 9.8.5. */
function activateIa32e(cpu: Cpu, efer: number): number {
  if ((efer & EFER.lme) === 0) return efer;
  if ((cpu.cr4 & CR4.pae) === 0) throw generalProtection();
  if (cpu.attributes(SEGMENT.cs) & ATTR.long) throw generalProtection();
  const tr = cpu.attributes(SEGMENT.tr);
  if (tr & ATTR.present && (tr & 0xd) === 1) throw generalProtection();
  return efer | EFER.lma;
}

/** SDM vol. 3, 9.8.5.4: paging ends from compatibility mode only, and not with PCIDs in use. */
function leaveIa32e(cpu: Cpu, efer: number): number {
  if (is64Bit(cpu) || cpu.cr4 & CR4.pcide) throw generalProtection();
  return efer & ~EFER.lma;
}

function writeCr3(cpu: Cpu, mem: LinearMemory, value: bigint): void {
  const pcids = (cpu.cr4 & CR4.pcide) !== 0;
  const noFlush = pcids && (value & CR3_NOFLUSH) !== 0n;
  const next = pcids ? value & ~CR3_NOFLUSH : value;
  if (next & CR3_RESERVED) throw generalProtection();
  if (isPae(cpu.cr0, cpu.cr4, cpu.efer) && !loadPdptes(cpu, next)) throw generalProtection();
  cpu.set64(STATE.cr3, next);
  mem.enterAddressSpace(pcids ? Number(next & CR3_PCID) : 0, noFlush);
}

function writeCr4(cpu: Cpu, mem: LinearMemory, value: bigint): void {
  if (value & ~BigInt(CR4_WRITABLE)) throw generalProtection();
  const old = cpu.cr4;
  const next = Number(value);
  const changed = old ^ next;
  if (cpu.longMode && !(next & CR4.pae)) throw generalProtection();
  if (changed & next & CR4.pcide && (!cpu.longMode || (cpu.get32(STATE.cr3) & 0xfff) !== 0)) throw generalProtection();
  const reload = (changed & (CR4.pae | CR4.pge | CR4.pse | CR4.smep)) !== 0;
  if (reload && isPae(cpu.cr0, next, cpu.efer) && !loadPdptes(cpu, cpu.get64(STATE.cr3))) throw generalProtection();

  cpu.set64(STATE.cr4, value);
  if (changed & (CR4.pae | CR4.pge | CR4.pse | CR4.smep | CR4.smap | CR4.pcide)) mem.flush(true);
  cpu.updateMode();
}

/** LMSW: the low four bits of CR0; PE can be set, not cleared. @throws as writeControl. */
export function loadMachineStatus(cpu: Cpu, mem: LinearMemory, source: number): void {
  requireCpl0(cpu);
  const low = CR0.mp | CR0.em | CR0.ts;
  writeCr0(cpu, mem, BigInt(((cpu.cr0 & ~low) | (source & (low | CR0.pe))) >>> 0));
}

/** SMSW: what is stored, as wide as the operand. @throws GuestFault #GP(0) by UMIP. */
export function storeMachineStatus(cpu: Cpu): bigint {
  requireUmip(cpu);
  return cpu.get64(STATE.cr0);
}

/** @throws GuestFault #GP(0) above CPL 0. */
export function clearTaskSwitched(cpu: Cpu): void {
  requireCpl0(cpu);
  cpu.set64(STATE.cr0, BigInt((cpu.cr0 & ~CR0.ts) >>> 0));
}

const XCR0 = { x87: BigInt(STATE_COMPONENTS.x87), sse: BigInt(STATE_COMPONENTS.sse), avx: BigInt(STATE_COMPONENTS.avx) } as const;
/** XCR0 bits that may be set: CPUID leaf 0DH, EAX. */
export const XCR0_VALID: number = STATE_COMPONENTS.x87 | STATE_COMPONENTS.sse | STATE_COMPONENTS.avx;

/** XSETBV. @throws GuestFault #UD without CR4.OSXSAVE, #GP(0). */
export function writeExtendedControl(cpu: Cpu, register: number, value: bigint): void {
  if ((cpu.cr4 & CR4.osxsave) === 0) throw invalidOpcode();
  requireCpl0(cpu);
  if (register !== 0 || (value & XCR0.x87) === 0n || (value & ~BigInt(XCR0_VALID)) !== 0n) throw generalProtection();
  // AVX state includes that of SSE: SDM vol. 1, 13.3.
  if ((value & XCR0.avx) !== 0n && (value & XCR0.sse) === 0n) throw generalProtection();
  cpu.set64(STATE.xcr0, value);
  cpu.updateMode();
}

/** XGETBV. @throws GuestFault #UD without CR4.OSXSAVE, #GP(0). */
export function readExtendedControl(cpu: Cpu, register: number): bigint {
  if ((cpu.cr4 & CR4.osxsave) === 0) throw invalidOpcode();
  if (register !== 0) throw generalProtection();
  return cpu.get64(STATE.xcr0);
}
