// JMP far and CALL far: to code segments, through call gates, to other tasks. SDM vol. 2A, JMP and CALL; vol. 3, 5.8.

import { GPR } from '../../vcpu/contract.ts';
import type { Cpu, LinearMemory } from '../cpu.ts';
import { SEGMENT, VECTOR } from '../state.ts';
import { checkSize, checkTarget, isWideCode, setCode, truncated } from './code-segment.ts';
import { type Descriptor, isNull, markAccessed, readDescriptor, SYSTEM_TYPE, setFromDescriptor } from './descriptors.ts';
import { generalProtection, notPresent } from './faults.ts';
import { innerStack, innerStackPointer } from './inner-stack.ts';
import { loadParagraph } from './segmentation.ts';
import { Stack } from './stack.ts';
import { usesParagraphs } from './system-state.ts';
import { readTaskGateTarget, taskSwitch } from './task-switch.ts';

const T = SYSTEM_TYPE;
type Transfer = 'jump' | 'call';

/**
 * JMP ptr16:xx or m16:xx. Sets CS, RIP and the mode.
 * @param offset zero-extended from `operandSize` bytes (2, 4 or 8)
 * @param next RIP after the instruction: what a task switch saves
 * @throws GuestFault #GP, #NP, #TS; #PF
 */
export function farJump(cpu: Cpu, mem: LinearMemory, selector: number, offset: bigint, operandSize: number, next: bigint): void {
  const target = BigInt.asUintN(operandSize * 8, offset);
  if (usesParagraphs(cpu)) {
    paragraph(cpu, selector, target);
    return;
  }
  const descriptor = readTarget(cpu, mem, selector);
  if (!descriptor.isSegment) {
    throughSystem(cpu, mem, descriptor, 'jump', next);
    return;
  }
  checkDirect(cpu, descriptor);
  const entry = truncated(cpu, descriptor, target);
  checkTarget(cpu, descriptor, entry);
  markAccessed(mem, descriptor);
  setCode(cpu, descriptor, cpu.cpl);
  cpu.rip = entry;
  cpu.updateMode();
}

/**
 * CALL ptr16:xx or m16:xx. As farJump; pushes CS and `next`.
 * @throws GuestFault also #SS
 */
export function farCall(cpu: Cpu, mem: LinearMemory, selector: number, offset: bigint, operandSize: number, next: bigint): void {
  const target = BigInt.asUintN(operandSize * 8, offset);
  if (usesParagraphs(cpu)) {
    if (target > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
    pushReturn(cpu, Stack.current(cpu, mem), operandSize, next).commit();
    paragraph(cpu, selector, target);
    return;
  }
  const descriptor = readTarget(cpu, mem, selector);
  if (!descriptor.isSegment) {
    throughSystem(cpu, mem, descriptor, 'call', next);
    return;
  }
  checkDirect(cpu, descriptor);
  // The return address goes onto the stack as the called code will see it: flat for 64-bit code. The push comes before the
  // check of the target, which may still fail: then it stays below the stack pointer.
  const stack = pushReturn(cpu, Stack.for(cpu, mem, isWideCode(cpu, descriptor)), operandSize, next);
  const entry = truncated(cpu, descriptor, target);
  checkTarget(cpu, descriptor, entry);
  markAccessed(mem, descriptor);
  setCode(cpu, descriptor, cpu.cpl);
  stack.commit();
  cpu.rip = entry;
  cpu.updateMode();
}

function paragraph(cpu: Cpu, selector: number, offset: bigint): void {
  if (offset > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
  loadParagraph(cpu, SEGMENT.cs, selector);
  cpu.rip = offset;
  cpu.updateMode();
}

function readTarget(cpu: Cpu, mem: LinearMemory, selector: number): Descriptor {
  if (isNull(selector)) throw generalProtection();
  return readDescriptor(cpu, mem, selector, VECTOR.gp);
}

function pushReturn(cpu: Cpu, stack: Stack, size: number, next: bigint): Stack {
  stack.push(size, BigInt(cpu.selector(SEGMENT.cs)));
  stack.push(size, next);
  return stack;
}

/** A code segment named without a gate must be of this level. SDM vol. 3, 5.8.1. */
function checkDirect(cpu: Cpu, code: Descriptor): void {
  const { selector, dpl } = code;
  if (!code.isCode) throw generalProtection(selector);
  if (code.isConforming ? dpl > cpu.cpl : (selector & 3) > cpu.cpl || dpl !== cpu.cpl) throw generalProtection(selector);
  checkSize(cpu, code);
  if (!code.isPresent) throw notPresent(selector);
}

function throughSystem(cpu: Cpu, mem: LinearMemory, found: Descriptor, transfer: Transfer, next: bigint): void {
  const { selector, type } = found;
  const callGate = type === T.callGate || (type === T.callGate16 && !cpu.longMode);
  const tss = !cpu.longMode && (type === T.tss || type === T.tss16);
  const taskGate = !cpu.longMode && type === T.taskGate;
  if (!callGate && !tss && !taskGate) throw generalProtection(selector);
  if (found.dpl < cpu.cpl || found.dpl < (selector & 3)) throw generalProtection(selector);
  if (!found.isPresent) throw notPresent(selector);
  if (callGate) {
    throughCallGate(cpu, mem, found, transfer, next);
    return;
  }
  const task = tss ? found : readTaskGateTarget(cpu, mem, found.gateSelector);
  taskSwitch(cpu, mem, task, transfer, next, cpu.rflags);
}

/** SDM vol. 3, 5.8.4 and 5.8.5. */
function throughCallGate(cpu: Cpu, mem: LinearMemory, gate: Descriptor, transfer: Transfer, next: bigint): void {
  const selector = gate.gateSelector;
  if (isNull(selector)) throw generalProtection();
  const code = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (!code.isCode || code.dpl > cpu.cpl) throw generalProtection(selector);
  const inward = !code.isConforming && code.dpl < cpu.cpl;
  if (inward && transfer === 'jump') throw generalProtection(selector);
  if (cpu.longMode && (!code.isLong || code.isBig)) throw generalProtection(selector);
  if (!code.isPresent) throw notPresent(selector);
  const offset = gate.type === T.callGate16 ? gate.gateOffset & 0xffffn : gate.gateOffset;
  checkTarget(cpu, code, offset);

  if (inward) {
    callInward(cpu, mem, gate, code, offset, next);
    return;
  }
  const stack = gateStack(cpu, mem);
  if (transfer === 'call') pushReturn(cpu, stack, gateSize(cpu, gate), next);
  markAccessed(mem, code);
  setCode(cpu, code, cpu.cpl);
  if (transfer === 'call') stack.commit();
  cpu.rip = offset;
  cpu.updateMode();
}

const gateSize = (cpu: Cpu, gate: Descriptor): number => (cpu.longMode ? 8 : gate.type === T.callGate ? 4 : 2);

/** Through a 64-bit gate even compatibility code pushes eight bytes at a time onto its flat RSP. */
const gateStack = (cpu: Cpu, mem: LinearMemory): Stack =>
  cpu.longMode ? Stack.wide(cpu, mem, cpu.gpr(GPR.rsp), false) : Stack.current(cpu, mem);

function callInward(cpu: Cpu, mem: LinearMemory, gate: Descriptor, code: Descriptor, offset: bigint, next: bigint): void {
  const level = code.dpl;
  const size = gateSize(cpu, gate);
  const wide = isWideCode(cpu, code);
  const inner = wide ? undefined : innerStack(cpu, mem, level);
  const stack = inner?.stack ?? Stack.wide(cpu, mem, innerStackPointer(cpu, mem, level), true);
  stack.push(size, BigInt(cpu.selector(SEGMENT.ss)));
  stack.push(size, cpu.gpr(GPR.rsp));
  if (!wide) {
    const outer = Stack.current(cpu, mem);
    for (let i = gate.gateParameters - 1; i >= 0; i--) stack.push(size, outer.peek(i * size, size));
  }
  pushReturn(cpu, stack, size, next);
  markAccessed(mem, code);
  if (inner !== undefined) markAccessed(mem, inner.segment);

  setCode(cpu, code, level);
  if (inner === undefined) cpu.setSegment(SEGMENT.ss, level, 0, 0, 0n);
  else setFromDescriptor(cpu, SEGMENT.ss, inner.selector, inner.segment);
  stack.commit();
  cpu.rip = offset;
  cpu.updateMode();
}
