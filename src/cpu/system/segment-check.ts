// The segment part of a memory operand's address outside 64-bit mode: type, limit, base. SDM vol. 3, 5.3 to 5.5.
import { type Cpu, GuestFault } from '../cpu.ts';
import { ATTR, CR0, SEG, SEGMENT, STATE, VECTOR } from '../state.ts';

/**
 * Checks an access and gives its linear address. No BigInt: the slow path of every segmented access runs through here.
 * For 16-bit, 32-bit and compatibility code only; 64-bit code has no limits and adds only the FS and GS bases.
 * @param which SEGMENT.es .. SEGMENT.gs
 * @param offset effective address, 0..2^32-1
 * @param size bytes, at least 1
 * @returns linear address, 0..2^32-1
 * @throws GuestFault #SS(0) for SS, #GP(0) for the others
 */
export function checkSegment(cpu: Cpu, which: number, offset: number, size: number, write: boolean): number {
  const at = STATE.seg + which * SEG.sizeof;
  const attributes = cpu.u16[(at + SEG.attributes) >> 1] as number;
  const limit = cpu.u32[(at + SEG.limit) >> 2] as number;
  const base = cpu.u32[(at + SEG.base) >> 2] as number;
  if ((attributes & ATTR.present) === 0) throw violation(which);
  // In real-address mode the type bits left over from protected mode do not matter.
  if ((cpu.get32(STATE.cr0) & CR0.pe) !== 0) {
    const kind = attributes & (ATTR.code | ATTR.rw);
    if (write ? kind !== ATTR.rw : kind === ATTR.code) throw violation(which);
  }
  const last = offset + (size - 1);
  if (isDown(attributes)) {
    if (offset <= limit || last > lastDown(attributes)) throw violation(which);
  } else if (last > limit && limit !== 0xffff_ffff) throw violation(which);
  return (base + offset) >>> 0;
}

/** Bytes from an offset on, whose first passes `checkSegment`, until the limit or the end of 32 bits. */
export function segmentRoom(cpu: Cpu, which: number, offset: number): number {
  const at = STATE.seg + which * SEG.sizeof;
  const attributes = cpu.u16[(at + SEG.attributes) >> 1] as number;
  const last = isDown(attributes) ? lastDown(attributes) : (cpu.u32[(at + SEG.limit) >> 2] as number);
  return last - offset + 1;
}

const isDown = (attributes: number): boolean => (attributes & (ATTR.code | ATTR.dc)) === ATTR.dc;
const lastDown = (attributes: number): number => (attributes & ATTR.db ? 0xffff_ffff : 0xffff);

const violation = (which: number): GuestFault => new GuestFault(which === SEGMENT.ss ? VECTOR.ss : VECTOR.gp, 0);

/**
 * The fetch limit: how many bytes of code may be read at `offset` of CS before #GP(0). 0 when the first byte is already out.
 * In 64-bit mode there is none; do not call it.
 */
export function fetchRoom(cpu: Cpu, offset: number): number {
  const limit = cpu.limit(SEGMENT.cs);
  return offset > limit ? 0 : limit - offset + 1;
}

/** Leaves the fault of fetching beyond the limit of CS in the fault slots. */
export function leaveBeyondLimit(cpu: Cpu): 0 {
  cpu.set32(STATE.faultVector, VECTOR.gp);
  cpu.set32(STATE.faultError, 0);
  return 0;
}
