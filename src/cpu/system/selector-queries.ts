// LAR, LSL, VERR, VERW: what a selector would allow. SDM vol. 2A and 2C.
import { type Cpu, GuestFault, type LinearMemory } from '../cpu.ts';
import { ATTR, VECTOR } from '../state.ts';
import { type Descriptor, isNull, readDescriptor, SYSTEM_TYPE } from './descriptors.ts';
import { requireProtectedMode } from './privilege.ts';

const T = SYSTEM_TYPE;
const LAR_LEGACY: readonly number[] = [T.tss16, T.ldt, T.tss16Busy, T.callGate16, T.taskGate, T.tss, T.tssBusy, T.callGate];
const LAR_LONG: readonly number[] = [T.ldt, T.tss, T.tssBusy, T.callGate];
const LSL_LEGACY: readonly number[] = [T.tss16, T.ldt, T.tss16Busy, T.tss, T.tssBusy];
const LSL_LONG: readonly number[] = [T.ldt, T.tss, T.tssBusy];

/**
 * LAR: access rights, bits 8..23 of the descriptor's second dword. Undefined means ZF = 0 and an unchanged destination.
 * @throws GuestFault #UD outside protected mode; #PF.
 */
export function accessRights(cpu: Cpu, mem: LinearMemory, selector: number): number | undefined {
  const descriptor = visible(cpu, mem, selector);
  if (descriptor === undefined) return undefined;
  if (!descriptor.isSegment && !(cpu.longMode ? LAR_LONG : LAR_LEGACY).includes(descriptor.type)) return undefined;
  return descriptor.high & 0x00ff_ff00;
}

/** LSL: the limit in bytes, or undefined (ZF = 0). @throws as accessRights. */
export function segmentLimit(cpu: Cpu, mem: LinearMemory, selector: number): number | undefined {
  const descriptor = visible(cpu, mem, selector);
  if (descriptor === undefined) return undefined;
  if (!descriptor.isSegment && !(cpu.longMode ? LSL_LONG : LSL_LEGACY).includes(descriptor.type)) return undefined;
  return descriptor.limit;
}

/** VERR: the new ZF. @throws as accessRights. */
export function isReadableSegment(cpu: Cpu, mem: LinearMemory, selector: number): boolean {
  return visible(cpu, mem, selector)?.isReadable ?? false;
}

/** VERW: the new ZF. @throws as accessRights. */
export function isWritableSegment(cpu: Cpu, mem: LinearMemory, selector: number): boolean {
  return visible(cpu, mem, selector)?.isWritableData ?? false;
}

/** The descriptor, if the selector is in its table and privilege lets CPL and RPL see it. */
function visible(cpu: Cpu, mem: LinearMemory, selector: number): Descriptor | undefined {
  requireProtectedMode(cpu);
  if (isNull(selector)) return undefined;
  let descriptor: Descriptor;
  try {
    descriptor = readDescriptor(cpu, mem, selector, VECTOR.gp);
  } catch (fault) {
    if (fault instanceof GuestFault && fault.vector === VECTOR.gp) return undefined;
    throw fault;
  }
  const conforming = descriptor.isCode && (descriptor.type & ATTR.dc) !== 0;
  if (!conforming && (cpu.cpl > descriptor.dpl || (selector & 3) > descriptor.dpl)) return undefined;
  return descriptor;
}
