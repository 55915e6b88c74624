import { describe, expect, it } from 'vitest';
import { readElfSymbols } from './elf-symbols.ts';
import { readSystemMap } from './system-map.ts';

const NAMES = '\0main\0data\0.symtab\0.strtab\0';
const at = (name: string): number => NAMES.indexOf(`\0${name}\0`) + 1;

/** An ELF64 file with a symbol table and nothing else. */
function elfWithSymbols(symbols: readonly { name: string; type: number; section: number; value: bigint }[]): Uint8Array {
  const [stringsAt, tableAt] = [64, 128];
  const headersAt = tableAt + 24 * symbols.length;
  const bytes = new Uint8Array(headersAt + 3 * 64);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(40, BigInt(headersAt), true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  view.setUint16(62, 1, true);
  bytes.set(new TextEncoder().encode(NAMES), stringsAt);
  symbols.forEach(({ name, type, section, value }, i) => {
    const entry = tableAt + 24 * i;
    view.setUint32(entry, at(name), true);
    view.setUint8(entry + 4, 0x10 | type);
    view.setUint16(entry + 6, section, true);
    view.setBigUint64(entry + 8, value, true);
  });
  const header = (i: number, name: string, offset: number, size: number) => {
    view.setUint32(headersAt + i * 64, at(name), true);
    view.setUint32(headersAt + i * 64 + 4, 3, true);
    view.setBigUint64(headersAt + i * 64 + 24, BigInt(offset), true);
    view.setBigUint64(headersAt + i * 64 + 32, BigInt(size), true);
  };
  header(1, '.strtab', stringsAt, NAMES.length);
  header(2, '.symtab', tableAt, 24 * symbols.length);
  return bytes;
}

describe('symbols of a kernel', () => {
  it('are the functions of an ELF file, with all 64 bits of their addresses', () => {
    const main = { name: 'main', type: 2, section: 1, value: 0xffff_ffff_8100_0040n };
    const file = elfWithSymbols([
      main,
      { ...main, name: 'data', type: 1 },
      { ...main, section: 0 },
      { ...main, section: 0xfff1 },
    ]);
    expect(readElfSymbols(file)).toEqual([{ name: 'main', address: 0xffff_ffff_8100_0040n }]);
  });

  it('are none in a file without a symbol table', () => {
    expect(readElfSymbols(elfWithSymbols([]))).toEqual([]);
  });

  it('are the text of a System.map', () => {
    const map = '0000000000000000 D fixed_percpu_data\nffffffff81000000 T _text\nffffffff81000010 t local [module]\n';
    expect(readSystemMap(map)).toEqual([
      { address: 0xffff_ffff_8100_0000n, name: '_text' },
      { address: 0xffff_ffff_8100_0010n, name: 'local' },
    ]);
    expect(() => readSystemMap('hello\n')).toThrow(/no line is a symbol.*System\.map/);
  });
});
