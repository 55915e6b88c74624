// IRET in all modes. SDM vol. 2A, IRET/IRETD/IRETQ.

import { GPR } from '../../vcpu/contract.ts';
import type { Cpu, LinearMemory } from '../cpu.ts';
import { CR4, FLAG, SEGMENT, STATE } from '../state.ts';
import type { BulkMemory } from './bulk-memory.ts';
import { checkTarget, readReturnSegment, setCode, truncated } from './code-segment.ts';
import { type Descriptor, markAccessed } from './descriptors.ts';
import { enterOuter, readReturnStack } from './far-return.ts';
import { generalProtection, stackFault } from './faults.ts';
import { ioPrivilege } from './privilege.ts';
import { loadParagraph } from './segmentation.ts';
import { is64Bit, Stack } from './stack.ts';
import { isCanonical, SYSTEM_STATE } from './system-state.ts';
import { readLinkedTask, taskSwitch } from './task-switch.ts';

/** Flags that IRET of any operand size loads at any privilege. */
const COMMON = FLAG.arithmetic | FLAG.tf | FLAG.df | FLAG.nt;
/** And with 32 or 64 bits. */
const EXTENDED = FLAG.rf | FLAG.ac | FLAG.id;

/**
 * IRET, IRETD (operandSize 4), IRETQ (8). Ends the blocking of NMIs, even if it faults (SDM vol. 3, 6.7.1).
 * @param next RIP after the instruction: what a task switch saves
 * @throws GuestFault #GP, #NP, #SS, #TS; #PF; #DB after a switch to a task with the T bit
 */
export function interruptReturn(cpu: Cpu, mem: BulkMemory, operandSize: number, next: bigint): void {
  cpu.set32(SYSTEM_STATE.nmiBlocked, 0);
  if (!cpu.protectedMode) returnReal(cpu, mem, operandSize);
  else if (cpu.virtual8086) returnV86(cpu, mem, operandSize);
  else if (cpu.get32(STATE.eflags) & FLAG.nt) returnTask(cpu, mem, next);
  else returnProtected(cpu, mem, operandSize);
}

interface Frame {
  readonly offset: bigint;
  readonly selector: number;
  readonly flags: number;
}

function popFrame(stack: Stack, size: number): Frame {
  // The order of processors: it decides which address a page fault reports.
  const flags = Number(stack.peek(2 * size, size) & 0xffff_ffffn);
  const selector = Number(stack.peek(size, size) & 0xffffn);
  const offset = stack.pop(size);
  stack.skip(2 * size);
  return { offset, selector, flags };
}

/** The flags of `mask` from `image`, the others as they are; 16-bit images have no upper half. */
function setFlags(cpu: Cpu, image: number, mask: number, operandSize: number): void {
  const effective = operandSize === 2 ? mask & 0xffff : mask;
  cpu.rflags = (cpu.rflags & ~effective) | (image & effective);
}

function returnReal(cpu: Cpu, mem: LinearMemory, operandSize: number): void {
  const stack = Stack.current(cpu, mem);
  const { offset, selector, flags } = popFrame(stack, operandSize);
  if (offset > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
  stack.commit();
  loadParagraph(cpu, SEGMENT.cs, selector);
  cpu.rip = offset;
  setFlags(cpu, flags, COMMON | EXTENDED | FLAG.if | FLAG.iopl, operandSize);
  cpu.updateMode();
}

/** SDM vol. 3, 20.2.7 and 20.3.3.4: below IOPL 3 only CR4.VME lets a 16-bit IRET through, with VIF in the place of IF. */
function returnV86(cpu: Cpu, mem: LinearMemory, operandSize: number): void {
  const trusted = ioPrivilege(cpu) === 3;
  const virtual = !trusted && (cpu.cr4 & CR4.vme) !== 0 && operandSize === 2;
  if (!trusted && !virtual) throw generalProtection();
  const stack = Stack.current(cpu, mem);
  const { offset, selector, flags } = popFrame(stack, operandSize);
  if (offset > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
  if (virtual) {
    const pending = (cpu.get32(STATE.eflags) & FLAG.vip) !== 0;
    if ((pending && flags & FLAG.if) || flags & FLAG.tf) throw generalProtection();
  }
  stack.commit();
  loadParagraph(cpu, SEGMENT.cs, selector);
  cpu.rip = offset;
  setFlags(cpu, flags, COMMON | EXTENDED | (trusted ? FLAG.if : 0), operandSize);
  if (virtual) cpu.rflags = (cpu.rflags & ~FLAG.vif) | (flags & FLAG.if ? FLAG.vif : 0);
  cpu.updateMode();
}

function returnTask(cpu: Cpu, mem: LinearMemory, next: bigint): void {
  if (cpu.longMode) throw generalProtection();
  taskSwitch(cpu, mem, readLinkedTask(cpu, mem), 'iret', next, cpu.rflags);
}

function returnProtected(cpu: Cpu, mem: BulkMemory, operandSize: number): void {
  if (operandSize === 8 && is64Bit(cpu)) {
    returnLong(cpu, mem);
    return;
  }
  const { cpl } = cpu;
  const stack = Stack.current(cpu, mem);
  const frame = popFrame(stack, operandSize);
  if (frame.flags & FLAG.vm && cpl === 0 && operandSize === 4 && !cpu.longMode) {
    returnToV86(cpu, stack, frame);
    return;
  }

  const code = readReturnSegment(cpu, mem, frame.selector);
  const level = frame.selector & 3;
  // 64-bit code always finds SS:RSP in the frame.
  if (level > cpl || is64Bit(cpu)) {
    const pointer = stack.pop(operandSize);
    returnWithStack(cpu, mem, code, frame.offset, Number(stack.pop(operandSize) & 0xffffn), pointer);
  } else {
    checkTarget(cpu, code, frame.offset);
    markAccessed(mem, code);
    setCode(cpu, code, level);
    stack.commit();
  }
  finish(cpu, frame, cpl, operandSize);
}

const LONG_FRAME_BYTES = 40;

/** IRETQ: RIP, CS, RFLAGS, RSP, SS, always all five. */
function returnLong(cpu: Cpu, mem: BulkMemory): void {
  const { cpl } = cpu;
  const pointer = cpu.gpr(GPR.rsp);
  if (!isCanonical(pointer) || !isCanonical(pointer + BigInt(LONG_FRAME_BYTES - 1))) throw stackFault();
  const word = (n: bigint) => mem.read(pointer + 8n * n, 8, false);
  // The order of processors: CS is checked before RSP and SS are read.
  const flags = Number(word(2n) & 0xffff_ffffn);
  const selector = Number(word(1n) & 0xffffn);
  const whole = word(0n);
  const code = readReturnSegment(cpu, mem, selector);
  const offset = truncated(cpu, code, whole);
  const stackPointer = word(3n);
  returnWithStack(cpu, mem, code, offset, Number(word(4n) & 0xffffn), stackPointer);
  finish(cpu, { offset, selector, flags }, cpl, 8);
}

function returnWithStack(cpu: Cpu, mem: LinearMemory, code: Descriptor, offset: bigint, selector: number, pointer: bigint): void {
  const segment = readReturnStack(cpu, mem, selector, code);
  checkTarget(cpu, code, offset);
  markAccessed(mem, code);
  if (segment !== undefined) markAccessed(mem, segment);
  enterOuter(cpu, code, selector, segment, pointer);
}

/** RIP, the flags that `cpl`, the level of the IRET, may load, and the mode. */
function finish(cpu: Cpu, frame: Frame, cpl: number, operandSize: number): void {
  cpu.rip = frame.offset;
  let mask = COMMON | EXTENDED;
  if (cpl <= ioPrivilege(cpu)) mask |= FLAG.if;
  if (cpl === 0) mask |= FLAG.iopl | FLAG.vif | FLAG.vip;
  setFlags(cpu, frame.flags, mask, operandSize);
  cpu.updateMode();
}

/** SDM vol. 3, 20.2.5. */
function returnToV86(cpu: Cpu, stack: Stack, frame: Frame): void {
  const pointer = stack.pop(4);
  const selector = () => Number(stack.pop(4) & 0xffffn);
  const order = [SEGMENT.ss, SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs];
  const popped = order.map((which) => [which, selector()] as const);
  if (frame.offset > 0xffffn) throw generalProtection();
  cpu.rflags = frame.flags;
  for (const [which, value] of [...popped, [SEGMENT.cs, frame.selector] as const]) loadParagraph(cpu, which, value);
  cpu.set32(STATE.cpl, 3);
  cpu.setGpr(GPR.rsp, pointer);
  cpu.rip = frame.offset;
  cpu.updateMode();
}
