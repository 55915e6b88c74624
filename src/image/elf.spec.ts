import { describe, expect, it } from 'vitest';
import { isElf, readElf, readElfSections } from './elf.ts';
import { buildElf, pvhNote } from './fixtures/build-elf.ts';

const data = new Uint8Array([1, 2, 3, 4]);

describe.each([32, 64] as const)('a %i-bit ELF file', (bits) => {
  const elf = buildElf({
    bits,
    segments: [
      { paddr: 0x10_0000, data, memSize: 0x2000 },
      { paddr: 0x20_0000, data: new Uint8Array(0), memSize: 16 },
    ],
    notes: [pvhNote(0x10_0002)],
  });

  it('gives its loadable segments by physical address', () => {
    expect(readElf(elf).segments).toEqual([
      { paddr: 0x10_0000, data, memSize: 0x2000 },
      { paddr: 0x20_0000, data: new Uint8Array(0), memSize: 16 },
    ]);
  });

  it('gives its word size and header entry', () => {
    expect(readElf(elf)).toMatchObject({ bits, entry: 0x1000 });
  });

  it('gives the notes of its PT_NOTE segment', () => {
    expect(readElf(elf).notes).toEqual([{ name: 'Xen', type: 18, descriptor: new Uint8Array([2, 0, 0x10, 0, 0, 0, 0, 0]) }]);
  });

  it('gives the notes of SHT_NOTE sections when no segment has any', () => {
    const notes = [pvhNote(0x10_0000, 4), { name: 'GNU', type: 3, descriptor: new Uint8Array([9, 8, 7]) }];
    expect(readElf(buildElf({ bits, notes, notesIn: 'section' })).notes).toEqual(notes);
  });

  it('gives sections by name', () => {
    const sections = [
      { name: '.modinfo', data },
      { name: '.text', data: new Uint8Array(0) },
    ];
    expect(readElfSections(buildElf({ bits, sections })).slice(1, 3)).toEqual(sections);
  });

  it('is truncated when a segment runs past the end', () => {
    expect(() => readElf(elf.slice(0, elf.length - 60))).toThrow(/is truncated: it needs \d+ bytes and has \d+; fetch or copy/);
  });

  it('is corrupt when a segment has more bytes in the file than in memory', () => {
    expect(() => readElf(buildElf({ bits, segments: [{ paddr: 0, data, memSize: 2 }] }))).toThrow(
      /corrupt: a segment has 4 bytes in the file and 2 in memory/,
    );
  });
});

describe('readElf', () => {
  it('refuses what is not ELF, by code', () => {
    expect(isElf(data)).toBe(false);
    expect(() => readElf(data)).toThrow(expect.objectContaining({ name: 'ImageError', code: 'not-a-kernel' }));
  });

  it('refuses another processor', () => {
    expect(() => readElf(buildElf({ machine: 183 }))).toThrow(/for another processor; give one built for x86/);
  });

  it('refuses a physical address above 52 bits', () => {
    expect(() => readElf(buildElf({ segments: [{ paddr: 2 ** 52, data }] }))).toThrow(/at physical address 0x10000000000000/);
  });

  it('refuses a note whose name is too long to be one', () => {
    expect(() => readElf(buildElf({ notes: [{ name: 'x'.repeat(300), type: 1, descriptor: data }] }))).toThrow(
      /a note's name is 301 bytes/,
    );
  });
});
