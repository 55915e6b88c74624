// The functions that an ELF file's symbol table names. System V ABI, chapter 4, "Symbol Table".
import { BoundedReader } from './bounded-reader.ts';
import { readElfSections } from './elf.ts';
import type { CodeSymbol } from './system-map.ts';

const ENTRY_BYTES = 24;
const [STT_NOTYPE, STT_FUNC] = [0, 2];
const SHN_UNDEF = 0;
const SHN_LORESERVE = 0xff00;

/** Functions of a 64-bit file; none if it was stripped of its symbol table. Throws ImageError as readElf does. */
export function readElfSymbols(bytes: Uint8Array, what = 'the ELF file'): CodeSymbol[] {
  const sections = readElfSections(bytes, what);
  const named = (name: string): Uint8Array => sections.find((section) => section.name === name)?.data ?? new Uint8Array(0);
  const table = new BoundedReader(named('.symtab'), what);
  const strings = new BoundedReader(named('.strtab'), what);
  const symbols: CodeSymbol[] = [];
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    const type = table.u8(at + 4) & 15;
    const section = table.u16(at + 6);
    if ((type !== STT_FUNC && type !== STT_NOTYPE) || section === SHN_UNDEF || section >= SHN_LORESERVE) continue;
    const name = table.u32(at);
    if (name === 0 || name >= strings.length) continue;
    const address = BigInt(table.u32(at + 8)) | (BigInt(table.u32(at + 12)) << 32n);
    symbols.push({ address, name: strings.ascii(name, Math.min(256, strings.length - name)) });
  }
  return symbols;
}
