// May the current code use these ports? SDM vol. 1, 19.5.
import type { Cpu, LinearMemory } from '../cpu.ts';
import { ATTR, SEGMENT } from '../state.ts';
import { generalProtection } from './faults.ts';
import { ioPrivilege } from './privilege.ts';
import { linear } from './system-state.ts';

const IO_MAP_BASE = 0x66;

/**
 * IN, OUT, INS, OUTS: CPL against IOPL, then the permission map of the TSS.
 * @param size bytes: 1, 2 or 4
 * @throws GuestFault #GP(0) when refused; #PF
 */
export function checkIoPermission(cpu: Cpu, mem: LinearMemory, port: number, size: number): void {
  if (!cpu.protectedMode) return;
  if (!cpu.virtual8086 && cpu.cpl <= ioPrivilege(cpu)) return;
  const attributes = cpu.attributes(SEGMENT.tr);
  const limit = cpu.limit(SEGMENT.tr);
  const is32Bit = (attributes & (ATTR.present | 0xd)) === (ATTR.present | 9);
  if (!is32Bit || limit < IO_MAP_BASE + 1) throw generalProtection();
  const base = cpu.segBase(SEGMENT.tr);
  const map = Number(mem.read(linear(cpu, base + BigInt(IO_MAP_BASE)), 2, true));
  const at = map + (port >> 3);
  // Two bytes are always read, since the ports may straddle a byte.
  if (at + 1 > limit) throw generalProtection();
  const bits = Number(mem.read(linear(cpu, base + BigInt(at)), 2, true)) >> (port & 7);
  if (bits & ((1 << size) - 1)) throw generalProtection();
}
