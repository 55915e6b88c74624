// RET far, and the return to an outer level that it shares with IRET. SDM vol. 2B, RET; vol. 3, 5.8.6.

import { GPR } from '../../vcpu/contract.ts';
import type { Cpu, LinearMemory } from '../cpu.ts';
import { ATTR, SEGMENT, VECTOR } from '../state.ts';
import { checkTarget, isWideCode, readReturnSegment, setCode, truncated } from './code-segment.ts';
import { type Descriptor, isNull, markAccessed, readDescriptor, setFromDescriptor, setNull } from './descriptors.ts';
import { generalProtection, stackFault } from './faults.ts';
import { loadParagraph } from './segmentation.ts';
import { Stack, setStackPointer, stackMaskFor } from './stack.ts';
import { usesParagraphs } from './system-state.ts';

/**
 * RETF and RETF imm16.
 * @param operandSize 2, 4 or 8
 * @param release bytes of parameters to drop, 0..65535
 * @throws GuestFault #GP, #NP, #SS; #PF
 */
export function farReturn(cpu: Cpu, mem: LinearMemory, operandSize: number, release: number): void {
  const stack = Stack.current(cpu, mem);
  // Processors read CS first, and two bytes only: it decides which address a page fault reports.
  const selector = Number(stack.peek(operandSize, 2));
  const offset = stack.pop(operandSize);
  stack.skip(operandSize);
  if (usesParagraphs(cpu)) {
    if (offset > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
    stack.skip(release);
    stack.commit();
    loadParagraph(cpu, SEGMENT.cs, selector);
    cpu.rip = offset;
    cpu.updateMode();
    return;
  }
  const code = readReturnSegment(cpu, mem, selector);
  const level = selector & 3;
  const target = truncated(cpu, code, offset);
  checkTarget(cpu, code, target);
  if (level === cpu.cpl) {
    markAccessed(mem, code);
    setCode(cpu, code, level);
    // Parameters are dropped from the stack as the code returned to sees it.
    stack.commit();
    const mask = stackMaskFor(isWideCode(cpu, code), cpu.attributes(SEGMENT.ss));
    setStackPointer(cpu, cpu.gpr(GPR.rsp) + BigInt(release), mask);
  } else {
    stack.skip(release);
    const pointer = stack.pop(operandSize);
    const stackSelector = Number(stack.pop(operandSize) & 0xffffn);
    const stackSegment = readReturnStack(cpu, mem, stackSelector, code);
    markAccessed(mem, code);
    if (stackSegment !== undefined) markAccessed(mem, stackSegment);
    enterOuter(cpu, code, stackSelector, stackSegment, pointer + BigInt(release));
  }
  cpu.rip = target;
  cpu.updateMode();
}

/**
 * The stack segment popped by a return to the level of `code`.RPL; undefined for the null selector that 64-bit code may have.
 * @throws GuestFault #GP, #SS; #PF
 */
export function readReturnStack(cpu: Cpu, mem: LinearMemory, selector: number, code: Descriptor): Descriptor | undefined {
  const level = code.selector & 3;
  if (isNull(selector)) {
    if (!isWideCode(cpu, code) || level === 3 || (selector & 3) !== level) throw generalProtection();
    return undefined;
  }
  const segment = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if ((selector & 3) !== level || !segment.isWritableData || segment.dpl !== level) throw generalProtection(selector);
  if (!segment.isPresent) throw stackFault(selector);
  return segment;
}

/**
 * Loads CS, SS and RSP, and drops the data segments that the new level may not hold. Nothing here can fault.
 * `segment` undefined is the null SS of 64-bit code. RIP and `updateMode` are the caller's.
 */
export function enterOuter(cpu: Cpu, code: Descriptor, selector: number, segment: Descriptor | undefined, pointer: bigint): void {
  const level = code.selector & 3;
  const outward = level > cpu.cpl;
  setCode(cpu, code, level);
  if (segment === undefined) cpu.setSegment(SEGMENT.ss, selector, 0, 0, 0n);
  else setFromDescriptor(cpu, SEGMENT.ss, selector, segment);
  setStackPointer(cpu, pointer, stackMaskFor(isWideCode(cpu, code), segment?.attributes ?? 0));
  if (outward) dropInnerSegments(cpu, level);
}

/** SDM vol. 3, 5.8.6, step 4. An unusable FS or GS keeps the base that an MSR gave it. */
function dropInnerSegments(cpu: Cpu, level: number): void {
  for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) {
    const attributes = cpu.attributes(which);
    if ((attributes & ATTR.present) === 0) continue;
    const conforming = (attributes & (ATTR.code | ATTR.dc)) === (ATTR.code | ATTR.dc);
    if (!conforming && ((attributes >> ATTR.dplShift) & 3) < level) setNull(cpu, which);
  }
}
