// Delivery through the 64-bit IDT. SDM vol. 3, 6.14.

import { GPR } from '../../vcpu/contract.ts';
import { type Cpu, GuestFault } from '../cpu.ts';
import { CODE_MODE, SEGMENT, STATE, VECTOR } from '../state.ts';
import type { BulkMemory } from './bulk-memory.ts';
import { Descriptor, isNull, markAccessed, readDescriptor, SYSTEM_TYPE, setFromDescriptor } from './descriptors.ts';
import { checksGateDpl, clearedByGate, type Event, flagsImage } from './event.ts';
import { generalProtection, idtError, notPresent, stackFault } from './faults.ts';
import { innerStackPointer, interruptStackPointer } from './inner-stack.ts';
import { isCanonical, tableBase, tableLimit } from './system-state.ts';

const ALIGN_16 = ~0xfn;

export function deliverLong(cpu: Cpu, mem: BulkMemory, event: Event): void {
  const gate = readGate(cpu, mem, event);
  const target = readHandler(cpu, mem, gate.gateSelector);
  const level = target.isConforming ? cpu.cpl : target.dpl;
  const inner = level < cpu.cpl;
  const offset = gate.gateOffset;
  if (!isCanonical(offset)) throw generalProtection();

  const top =
    gate.gateStack !== 0
      ? interruptStackPointer(cpu, mem, gate.gateStack)
      : inner
        ? innerStackPointer(cpu, mem, level)
        : cpu.gpr(GPR.rsp);
  const pointer = pushFrame(cpu, mem, event, top & ALIGN_16, inner);
  markAccessed(mem, target);

  setFromDescriptor(cpu, SEGMENT.cs, (gate.gateSelector & ~3) | level, target);
  // 6.14.4: a change of level leaves a null SS whose RPL is the new CPL.
  if (inner) cpu.setSegment(SEGMENT.ss, level, 0, 0, 0n);
  cpu.set32(STATE.cpl, level);
  cpu.setGpr(GPR.rsp, pointer);
  cpu.rip = offset;
  cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~clearedByGate(gate.type === SYSTEM_TYPE.interruptGate));
  cpu.updateMode();
}

/**
 * SS, RSP, RFLAGS, CS, RIP and the error code, eight bytes each, in one piece. 6.14.2: `top` is aligned even when the stack
 * does not change. Frames on the interrupted level's stack are written with its rights.
 */
function pushFrame(cpu: Cpu, mem: BulkMemory, event: Event, top: bigint, inner: boolean): bigint {
  const hasCode = event.kind === 'exception' && event.errorCode !== undefined;
  const words = hasCode ? 6 : 5;
  const pointer = BigInt.asUintN(64, top - BigInt(words * 8));
  if (!isCanonical(pointer) || !isCanonical(top - 1n)) throw stackFault();
  const frame = new DataView(new ArrayBuffer(words * 8));
  let at = 0;
  if (hasCode) {
    frame.setUint32(0, event.errorCode as number, true);
    at = 8;
  }
  frame.setBigUint64(at, event.next ?? cpu.rip, true);
  frame.setUint16(at + 8, cpu.selector(SEGMENT.cs), true);
  frame.setUint32(at + 16, flagsImage(cpu, event), true);
  const wide = cpu.get32(STATE.codeMode) === CODE_MODE.code64;
  frame.setBigUint64(at + 24, wide ? cpu.gpr(GPR.rsp) : cpu.gpr(GPR.rsp) & 0xffff_ffffn, true);
  frame.setUint16(at + 32, cpu.selector(SEGMENT.ss), true);
  try {
    mem.writeBytes(pointer, new Uint8Array(frame.buffer), inner);
  } catch (fault) {
    // The CPU pushes from the top downwards: the fault, and CR2, must be that of the first push that fails.
    for (let i = words - 1; i >= 0; i--) mem.write(pointer + BigInt(i * 8), 8, frame.getBigUint64(i * 8, true), inner);
    throw fault;
  }
  return pointer;
}

function readGate(cpu: Cpu, mem: BulkMemory, event: Event): Descriptor {
  const { vector } = event;
  const error = idtError(vector);
  if (vector * 16 + 15 > tableLimit(cpu, 'idtr')) throw new GuestFault(VECTOR.gp, error);
  const at = tableBase(cpu, 'idtr') + BigInt(vector * 16);
  const bytes = new DataView(new ArrayBuffer(16));
  mem.readBytes(at, new Uint8Array(bytes.buffer), true);
  const gate = new Descriptor(0, at, bytes.getUint32(0, true), bytes.getUint32(4, true), bytes.getUint32(8, true));
  const known = gate.type === SYSTEM_TYPE.interruptGate || gate.type === SYSTEM_TYPE.trapGate;
  if (gate.isSegment || !known) throw new GuestFault(VECTOR.gp, error);
  if (checksGateDpl(event) && gate.dpl < cpu.cpl) throw new GuestFault(VECTOR.gp, error);
  if (!gate.isPresent) throw new GuestFault(VECTOR.np, error);
  return gate;
}

function readHandler(cpu: Cpu, mem: BulkMemory, selector: number): Descriptor {
  if (isNull(selector)) throw generalProtection();
  const target = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (!target.isCode || target.dpl > cpu.cpl) throw generalProtection(selector);
  if (!target.isPresent) throw notPresent(selector);
  if (!target.isLong || target.isBig) throw generalProtection(selector);
  return target;
}
