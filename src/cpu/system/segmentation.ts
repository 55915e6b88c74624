// Loads of the data and stack segment registers (MOV, POP, LDS and its kin). SDM vol. 2B, MOV; vol. 3, 5.6 and 5.7.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { ATTR, SEGMENT, VECTOR } from '../state.ts';
import { isNull, markAccessed, readDescriptor, setFromDescriptor } from './descriptors.ts';
import { generalProtection, notPresent, stackFault } from './faults.ts';
import { is64Bit } from './stack.ts';
import { usesParagraphs } from './system-state.ts';

/** Attributes of every segment in virtual-8086 mode: present, DPL 3, writable data, accessed. SDM vol. 3, 20.2. */
export const V86_ATTRIBUTES = 0xf3;

/**
 * Loads ES, SS, DS, FS or GS with a selector and makes the mode follow. The caller starts the MOV SS shadow.
 * @throws GuestFault #GP, #NP, #SS with the selector, #PF; nothing is changed then.
 */
export function loadDataSegment(cpu: Cpu, mem: LinearMemory, which: number, selector: number): void {
  if (usesParagraphs(cpu)) loadParagraph(cpu, which, selector);
  else if (which === SEGMENT.ss) loadStackSegment(cpu, mem, selector);
  else if (isNull(selector)) cpu.setSegment(which, selector, 0, 0, 0n);
  else {
    const rpl = selector & 3;
    const descriptor = readDescriptor(cpu, mem, selector, VECTOR.gp);
    if (!descriptor.isReadable) throw generalProtection(selector);
    const conforming = descriptor.isCode && descriptor.isConforming;
    if (!conforming && (rpl > descriptor.dpl || cpu.cpl > descriptor.dpl)) throw generalProtection(selector);
    if (!descriptor.isPresent) throw notPresent(selector);
    markAccessed(mem, descriptor);
    setFromDescriptor(cpu, which, selector, descriptor);
  }
  if (which === SEGMENT.ss) cpu.updateMode();
}

/** A load in real-address or virtual-8086 mode: never faults. SDM vol. 3, 20.1.1 and 20.2. */
export function loadParagraph(cpu: Cpu, which: number, selector: number): void {
  const base = BigInt(selector) << 4n;
  if (cpu.virtual8086) {
    cpu.setSegment(which, selector, V86_ATTRIBUTES, 0xffff, base);
    return;
  }
  // Real-address mode leaves the limit and the size bits that protected mode loaded ("unreal mode").
  const old = cpu.attributes(which);
  const usable = (old & ATTR.present) !== 0;
  const kind = which === SEGMENT.cs ? 0x9b : 0x93;
  cpu.setSegment(which, selector, (old & (ATTR.db | ATTR.g)) | kind, usable ? cpu.limit(which) : 0xffff, base);
}

function loadStackSegment(cpu: Cpu, mem: LinearMemory, selector: number): void {
  const { cpl } = cpu;
  const rpl = selector & 3;
  if (isNull(selector)) {
    if (!is64Bit(cpu) || cpl === 3 || rpl !== cpl) throw generalProtection();
    cpu.setSegment(SEGMENT.ss, selector, 0, 0, 0n);
    return;
  }
  const descriptor = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (rpl !== cpl || !descriptor.isWritableData || descriptor.dpl !== cpl) throw generalProtection(selector);
  if (!descriptor.isPresent) throw stackFault(selector);
  markAccessed(mem, descriptor);
  setFromDescriptor(cpu, SEGMENT.ss, selector, descriptor);
}
