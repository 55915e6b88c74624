// What hvmloader leaves for SeaBIOS at 0x1000: the tables it is to copy to where software looks for them, and the memory map.
// The layout is SeaBIOS's: struct xen_seabios_info of src/fw/xen.c, and E820 entries of 20 bytes.
import { acpiChecksum } from '../../abi/acpi.ts';
import type { MemmapEntry } from '../pvh/memory-map.ts';
import { BIOS_INFO_GPA } from './memory-map.ts';

const SIGNATURE = 'XenHVMSeaBIOS';
const INFO = { length: 14, checksum: 15, tables: 16, tablesCount: 20, e820: 24, e820Count: 28, sizeof: 32 } as const;
const E820_BYTES = 20;

/** The block for BIOS_INFO_GPA. `tables`: addresses of the RSDP, of the SMBIOS anchor. */
export function buildBiosInfo(tables: readonly number[], memmap: readonly MemmapEntry[]): Uint8Array {
  const tablesAt = INFO.sizeof;
  const e820At = tablesAt + tables.length * 4;
  const block = new Uint8Array(e820At + memmap.length * E820_BYTES);
  const view = new DataView(block.buffer);
  for (let i = 0; i < SIGNATURE.length; i++) block[i] = SIGNATURE.charCodeAt(i);
  view.setUint8(INFO.length, INFO.sizeof);
  view.setUint32(INFO.tables, BIOS_INFO_GPA + tablesAt, true);
  view.setUint32(INFO.tablesCount, tables.length, true);
  view.setUint32(INFO.e820, BIOS_INFO_GPA + e820At, true);
  view.setUint32(INFO.e820Count, memmap.length, true);
  for (const [i, gpa] of tables.entries()) view.setUint32(tablesAt + i * 4, gpa, true);
  for (const [i, { at, size, type }] of memmap.entries()) {
    const entry = e820At + i * E820_BYTES;
    view.setBigUint64(entry, BigInt(at), true);
    view.setBigUint64(entry + 8, BigInt(size), true);
    view.setUint32(entry + 16, type, true);
  }
  view.setUint8(INFO.checksum, acpiChecksum(block.subarray(0, INFO.sizeof)));
  return block;
}
