// Delivery through the real-mode vector table: in real-address mode, and of INT n in virtual-8086 mode with CR4.VME.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { CR4, FLAG, SEGMENT } from '../state.ts';
import { type Event, flagsImage } from './event.ts';
import { generalProtection } from './faults.ts';
import { ioPrivilege } from './privilege.ts';
import { loadParagraph } from './segmentation.ts';
import { Stack } from './stack.ts';
import { tableBase, tableLimit } from './system-state.ts';

/** SDM vol. 3, 20.1.4. Faults push no error code here; a vector beyond the table's limit is a #GP. */
export function deliverReal(cpu: Cpu, mem: LinearMemory, event: Event): void {
  if (event.vector * 4 + 3 > tableLimit(cpu, 'idtr')) throw generalProtection(event.vector * 8 + 2);
  const entry = mem.read((tableBase(cpu, 'idtr') + BigInt(event.vector * 4)) & 0xffff_ffffn, 4, true);
  enter(cpu, mem, event, entry, flagsImage(cpu, event));
  cpu.rflags = cpu.rflags & ~(FLAG.tf | FLAG.if | FLAG.ac | FLAG.rf);
  cpu.updateMode();
}

/**
 * INT n in virtual-8086 mode. SDM vol. 3, 20.3.3 and table 20-2.
 * @returns false when the interrupt goes to the protected-mode IDT (the caller's turn)
 * @throws GuestFault #GP(0) when IOPL is below 3 and the monitor wants to see it
 */
export function deliverV86Software(cpu: Cpu, mem: LinearMemory, event: Event): boolean {
  const trusted = ioPrivilege(cpu) === 3;
  if ((cpu.cr4 & CR4.vme) === 0 || !redirectsToV86(cpu, mem, event.vector)) {
    if (trusted) return false;
    throw generalProtection();
  }
  const entry = mem.read(BigInt(event.vector * 4), 4, false);
  const flags = flagsImage(cpu, event);
  // Below IOPL 3 the program lives with the virtual interrupt flag: it is pushed as IF and cleared in its place.
  const virtualIf = flags & FLAG.vif ? FLAG.if : 0;
  enter(cpu, mem, event, entry, trusted ? flags : (flags & ~FLAG.if) | FLAG.iopl | virtualIf);
  cpu.rflags = cpu.rflags & ~(FLAG.tf | FLAG.nt | FLAG.rf | (trusted ? FLAG.if : FLAG.vif));
  cpu.updateMode();
  return true;
}

function enter(cpu: Cpu, mem: LinearMemory, event: Event, entry: bigint, flags: number): void {
  const offset = entry & 0xffffn;
  const selector = Number(entry >> 16n);
  if (!cpu.virtual8086 && offset > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
  const stack = Stack.current(cpu, mem);
  stack.push(2, BigInt(flags & 0xffff));
  stack.push(2, BigInt(cpu.selector(SEGMENT.cs)));
  stack.push(2, event.next ?? cpu.rip);
  stack.commit();
  loadParagraph(cpu, SEGMENT.cs, selector);
  cpu.rip = offset;
}

/** The software interrupt redirection bitmap: 32 bytes below the I/O map; a clear bit keeps the interrupt in the task. SDM vol. 3, 20.3.3. */
function redirectsToV86(cpu: Cpu, mem: LinearMemory, vector: number): boolean {
  const limit = cpu.limit(SEGMENT.tr);
  const base = cpu.segBase(SEGMENT.tr);
  if (limit < 0x67) throw generalProtection();
  const ioMap = Number(mem.read((base + 0x66n) & 0xffff_ffffn, 2, true));
  const offset = ioMap - 32 + (vector >> 3);
  if (offset < 0 || offset > limit) throw generalProtection();
  const bits = Number(mem.read((base + BigInt(offset)) & 0xffff_ffffn, 1, true));
  return (bits & (1 << (vector & 7))) === 0;
}
