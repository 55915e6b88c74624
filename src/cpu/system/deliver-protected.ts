// Delivery through the IDT of legacy protected mode, virtual-8086 mode included. SDM vol. 3, 6.12 and 20.3.

import { GPR } from '../../vcpu/contract.ts';
import { type Cpu, GuestFault, type LinearMemory } from '../cpu.ts';
import { SEGMENT, STATE, VECTOR } from '../state.ts';
import { Descriptor, isNull, markAccessed, readDescriptor, SYSTEM_TYPE, setFromDescriptor } from './descriptors.ts';
import { checksGateDpl, clearedByGate, type Event, flagsImage } from './event.ts';
import { generalProtection, idtError, notPresent } from './faults.ts';
import { innerStack } from './inner-stack.ts';
import { Stack } from './stack.ts';
import { linear, tableBase, tableLimit } from './system-state.ts';
import { readTaskGateTarget, taskSwitch } from './task-switch.ts';

const T = SYSTEM_TYPE;
const GATES: readonly number[] = [T.taskGate, T.interruptGate16, T.trapGate16, T.interruptGate, T.trapGate];

export function deliverProtected(cpu: Cpu, mem: LinearMemory, event: Event): void {
  const gate = readGate(cpu, mem, event);
  if (gate.type === T.taskGate) {
    switchTask(cpu, mem, event, gate);
    return;
  }
  const size = gate.type === T.interruptGate || gate.type === T.trapGate ? 4 : 2;
  const target = readHandler(cpu, mem, gate.gateSelector);
  const level = target.isConforming ? cpu.cpl : target.dpl;
  const v86 = cpu.virtual8086;
  // 20.3.1: the handler of a virtual-8086 task runs at CPL 0.
  if (v86 && level !== 0) throw generalProtection(gate.gateSelector);
  const offset = size === 4 ? gate.gateOffset : gate.gateOffset & 0xffffn;
  if (offset > BigInt(target.limit)) throw generalProtection();

  const inner = level < cpu.cpl ? innerStack(cpu, mem, level) : undefined;
  const stack = inner?.stack ?? Stack.current(cpu, mem);
  const selector = (which: number) => stack.push(size, BigInt(cpu.selector(which)));
  if (inner !== undefined) {
    if (v86) for (const which of [SEGMENT.gs, SEGMENT.fs, SEGMENT.ds, SEGMENT.es]) selector(which);
    selector(SEGMENT.ss);
    stack.push(size, cpu.gpr(GPR.rsp));
  }
  stack.push(size, BigInt(flagsImage(cpu, event)));
  selector(SEGMENT.cs);
  stack.push(size, event.next ?? cpu.rip);
  if (event.kind === 'exception' && event.errorCode !== undefined) stack.push(size, BigInt(event.errorCode));
  markAccessed(mem, target);
  if (inner !== undefined) markAccessed(mem, inner.segment);

  setFromDescriptor(cpu, SEGMENT.cs, (gate.gateSelector & ~3) | level, target);
  if (inner !== undefined) setFromDescriptor(cpu, SEGMENT.ss, inner.selector, inner.segment);
  if (v86) for (const which of [SEGMENT.gs, SEGMENT.fs, SEGMENT.ds, SEGMENT.es]) cpu.setSegment(which, 0, 0, 0, 0n);
  cpu.set32(STATE.cpl, level);
  stack.commit();
  cpu.rip = offset;
  const interruptGate = gate.type === T.interruptGate || gate.type === T.interruptGate16;
  cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~clearedByGate(interruptGate));
  cpu.updateMode();
}

function readGate(cpu: Cpu, mem: LinearMemory, event: Event): Descriptor {
  const { vector } = event;
  const error = idtError(vector);
  if (vector * 8 + 7 > tableLimit(cpu, 'idtr')) throw new GuestFault(VECTOR.gp, error);
  const at = linear(cpu, tableBase(cpu, 'idtr') + BigInt(vector * 8));
  const value = mem.read(at, 8, true);
  const gate = new Descriptor(0, at, Number(value & 0xffff_ffffn), Number(value >> 32n));
  if (gate.isSegment || !GATES.includes(gate.type)) throw new GuestFault(VECTOR.gp, error);
  if (checksGateDpl(event) && gate.dpl < cpu.cpl) throw new GuestFault(VECTOR.gp, error);
  if (!gate.isPresent) throw new GuestFault(VECTOR.np, error);
  return gate;
}

function readHandler(cpu: Cpu, mem: LinearMemory, selector: number): Descriptor {
  if (isNull(selector)) throw generalProtection();
  const target = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (!target.isCode || target.dpl > cpu.cpl) throw generalProtection(selector);
  if (!target.isPresent) throw notPresent(selector);
  return target;
}

/** SDM vol. 3, 6.12.2: the error code goes onto the new task's stack. */
function switchTask(cpu: Cpu, mem: LinearMemory, event: Event, gate: Descriptor): void {
  const tss = readTaskGateTarget(cpu, mem, gate.gateSelector);
  taskSwitch(cpu, mem, tss, 'gate', event.next ?? cpu.rip, flagsImage(cpu, event));
  if (event.kind !== 'exception' || event.errorCode === undefined) return;
  const stack = Stack.current(cpu, mem);
  stack.push(tss.type & 8 ? 4 : 2, BigInt(event.errorCode));
  stack.commit();
}
