// PAE paging keeps four page-directory-pointer entries inside the CPU. SDM vol. 3, 4.4.1.
import type { Gpa } from '../../abi/types.ts';
import type { Cpu } from '../cpu.ts';
import { PHYSICAL_ADDRESS_BITS, SYSTEM_STATE } from './system-state.ts';

const PRESENT = 1;
/** Bits 2:1 and 8:5. */
const RESERVED_LOW = 0x1e6;
const RESERVED_HIGH = -1 << (PHYSICAL_ADDRESS_BITS - 32);

/**
 * Loads the four entries that `cr3` points to into SYSTEM_STATE.pdpte.
 * @returns false, with nothing changed, when a present entry has a reserved bit set (#GP(0) for MOV to CR)
 */
export function loadPdptes(cpu: Cpu, cr3: bigint): boolean {
  const table = Number(cr3 & 0xffff_ffe0n);
  const words = Array.from({ length: 8 }, (_, i) => cpu.memory.readU32((table + i * 4) as Gpa));
  for (let i = 0; i < 8; i += 2) {
    const low = words[i] as number;
    const high = words[i + 1] as number;
    if (low & PRESENT && (low & RESERVED_LOW || high & RESERVED_HIGH)) return false;
  }
  for (let i = 0; i < 8; i++) cpu.set32(SYSTEM_STATE.pdpte + i * 4, words[i] as number);
  return true;
}
