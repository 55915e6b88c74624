// The stack of an inner privilege level, from the current TSS. SDM vol. 3, 5.8.5, 7.2.1 and 7.7.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { ATTR, SEGMENT, VECTOR } from '../state.ts';
import { type Descriptor, isNull, readDescriptor } from './descriptors.ts';
import { invalidTss, stackFault } from './faults.ts';
import { Stack } from './stack.ts';
import { isCanonical, linear } from './system-state.ts';

export interface InnerStack {
  readonly selector: number;
  readonly segment: Descriptor;
  readonly stack: Stack;
}

/**
 * SSn:ESPn of a 16- or 32-bit TSS, with every check of the new stack segment.
 * @param level 0..2, the privilege level to be entered
 * @throws GuestFault #TS(TR) beyond the TSS, #TS(SS) for a bad stack segment, #SS(SS) when not present; #PF
 */
export function innerStack(cpu: Cpu, mem: LinearMemory, level: number): InnerStack {
  const wide = (cpu.attributes(SEGMENT.tr) & 8) !== 0;
  const at = wide ? 4 + level * 8 : 2 + level * 4;
  const size = wide ? 4 : 2;
  checkInside(cpu, at + size + 1);
  const base = cpu.segBase(SEGMENT.tr);
  const pointer = mem.read(linear(cpu, base + BigInt(at)), size, true);
  const selector = Number(mem.read(linear(cpu, base + BigInt(at + size)), 2, true));
  if (isNull(selector)) throw invalidTss(0);
  const segment = readDescriptor(cpu, mem, selector, VECTOR.ts);
  if ((selector & 3) !== level || segment.dpl !== level || !segment.isWritableData) throw invalidTss(selector);
  if (!segment.isPresent) throw stackFault(selector);
  return { selector, segment, stack: Stack.of(cpu, mem, segment, pointer) };
}

/** RSPn of a 64-bit TSS. @throws GuestFault #TS(TR) beyond the TSS, #SS(0) when not canonical; #PF. */
export const innerStackPointer = (cpu: Cpu, mem: LinearMemory, level: number): bigint => pointerAt(cpu, mem, 4 + level * 8);

/** ISTn of a 64-bit TSS, n = 1..7. @throws as innerStackPointer. */
export const interruptStackPointer = (cpu: Cpu, mem: LinearMemory, index: number): bigint =>
  pointerAt(cpu, mem, 0x24 + (index - 1) * 8);

function pointerAt(cpu: Cpu, mem: LinearMemory, at: number): bigint {
  checkInside(cpu, at + 7);
  const pointer = mem.read(linear(cpu, cpu.segBase(SEGMENT.tr) + BigInt(at)), 8, true);
  if (!isCanonical(pointer)) throw stackFault();
  return pointer;
}

function checkInside(cpu: Cpu, last: number): void {
  const usable = (cpu.attributes(SEGMENT.tr) & ATTR.present) !== 0;
  if (!usable || last > cpu.limit(SEGMENT.tr)) throw invalidTss(cpu.selector(SEGMENT.tr));
}
