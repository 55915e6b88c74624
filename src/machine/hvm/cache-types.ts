// The memory type range registers as hvmloader leaves them (tools/firmware/hvmloader/cacheattr.c): write-back everywhere but for a VGA's
// memory, which is write-combining, and what lies above the PCI hole's beginning, which is uncacheable. SDM vol. 3, 11.11.
import type { Cpu } from '../../cpu/cpu.ts';
import { writeMtrr } from '../../cpu/system/mtrr.ts';
import { PHYSICAL_ADDRESS_BITS } from '../../cpu/system/system-state.ts';
import { PCI_HOLE } from './memory-map.ts';

/** Eight ranges of one fixed register, all of a type. */
const WRITE_COMBINING = 0x0101_0101_0101_0101n;
const WRITE_BACK = 0x0606_0606_0606_0606n;
const MSR = {
  variableBase: 0x200,
  variableMask: 0x201,
  fixed64k: 0x250,
  fixed16k: 0x258,
  fixed4k: 0x268,
  default: 0x2ff,
} as const;
const FIXED_4K_REGISTERS = 8;
const VALID = 1n << 11n;
/** MTRRs and the fixed ones are on; the default is write-back. */
const DEFAULT_TYPE = 0xc06n;
const FOUR_GIB = 2 ** 32;

/** From the hole to 4 GiB is a power of two, so one variable register does. */
export function setCacheTypes(cpu: Cpu): void {
  const set = (msr: number, value: bigint): void => {
    if (!writeMtrr(cpu, msr, value)) throw new Error(`MTRR 0x${msr.toString(16)} refuses 0x${value.toString(16)}`);
  };
  set(MSR.fixed64k, WRITE_BACK);
  set(MSR.fixed16k, WRITE_BACK);
  set(MSR.fixed16k + 1, WRITE_COMBINING);
  for (let i = 0; i < FIXED_4K_REGISTERS; i++) set(MSR.fixed4k + i, WRITE_BACK);
  const addresses = 1n << BigInt(PHYSICAL_ADDRESS_BITS);
  set(MSR.variableBase, BigInt(PCI_HOLE.at));
  set(MSR.variableMask, (addresses - BigInt(FOUR_GIB - PCI_HOLE.at)) | VALID);
  set(MSR.default, DEFAULT_TYPE);
}
