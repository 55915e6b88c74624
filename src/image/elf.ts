// ELF files for x86, 32 and 64 bit: loadable segments by physical address, sections, notes. System V ABI, chapters 4 and 5.
import { BoundedReader, startsWith } from './bounded-reader.ts';
import { corrupt, ImageError } from './image-error.ts';

export const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const CLASS = { elf32: 1, elf64: 2 } as const;
const LITTLE_ENDIAN = 1;
const MACHINE = { i386: 3, x86_64: 62 } as const;
const PT = { load: 1, note: 4 } as const;
const SHT = { note: 7, nobits: 8 } as const;
/** Physical addresses have at most 52 bits: SDM vol. 3A, 5.1.4. */
const MAX_PADDR = 2 ** 52;

export interface ElfSegment {
  /** Guest-physical byte address of the first byte. */
  readonly paddr: number;
  /** The bytes from the file; the rest up to `memSize` is zero. */
  readonly data: Uint8Array;
  /** Bytes in memory, at least `data.length`. */
  readonly memSize: number;
}

export interface ElfNote {
  /** The owner: "Xen", "GNU". */
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

export interface ElfSection {
  readonly name: string;
  readonly data: Uint8Array;
}

export interface ElfFile {
  readonly bits: 32 | 64;
  /** The header's entry point, a virtual or physical address as the file likes. */
  readonly entry: number;
  /** PT_LOAD segments that take memory, in the file's order. */
  readonly segments: readonly ElfSegment[];
  /** Notes of PT_NOTE segments, or where there is no such segment, of SHT_NOTE sections. */
  readonly notes: readonly ElfNote[];
}

export const isElf = (bytes: Uint8Array): boolean => startsWith(bytes, ELF_MAGIC);

interface Header {
  readonly bits: 32 | 64;
  readonly entry: number;
  readonly programHeaders: Table;
  readonly sectionHeaders: Table;
  readonly namesIndex: number;
}
interface Table {
  readonly offset: number;
  readonly entrySize: number;
  readonly count: number;
}

/** Reads headers, segments and notes. Throws ImageError: 'not-a-kernel', 'unsupported' (other machine), 'truncated', 'corrupt'. */
export function readElf(bytes: Uint8Array, what = 'the ELF file'): ElfFile {
  const file = new BoundedReader(bytes, what);
  const header = readHeader(file);
  const programs = readProgramHeaders(file, header);
  const segments = programs
    .filter(({ type, memSize }) => type === PT.load && memSize > 0)
    .map((p): ElfSegment => {
      if (p.fileSize > p.memSize) throw corrupt(what, `a segment has ${p.fileSize} bytes in the file and ${p.memSize} in memory`);
      if (p.paddr + p.memSize > MAX_PADDR) throw corrupt(what, `a segment is at physical address 0x${p.paddr.toString(16)}`);
      return { paddr: p.paddr, data: file.slice(p.offset, p.fileSize), memSize: p.memSize };
    });
  let notes = programs
    .filter(({ type }) => type === PT.note)
    .flatMap((p) => readNotes(file.slice(p.offset, p.fileSize), p.align, what));
  if (notes.length === 0) {
    notes = readSectionHeaders(file, header)
      .filter(({ type }) => type === SHT.note)
      .flatMap((s) => readNotes(file.slice(s.offset, s.size), s.align, what));
  }
  return { bits: header.bits, entry: header.entry, segments, notes };
}

/** The sections with their names and contents, such as a kernel module's .modinfo. Throws ImageError as {@link readElf}. */
export function readElfSections(bytes: Uint8Array, what = 'the ELF file'): ElfSection[] {
  const file = new BoundedReader(bytes, what);
  const header = readHeader(file);
  const sections = readSectionHeaders(file, header);
  const names = sections[header.namesIndex];
  if (names === undefined) return [];
  const strings = new BoundedReader(file.slice(names.offset, names.size), what);
  return sections.map((s) => ({
    name: s.name < strings.length ? strings.ascii(s.name, Math.min(256, strings.length - s.name)) : '',
    data: s.type === SHT.nobits ? new Uint8Array(0) : file.slice(s.offset, s.size),
  }));
}

function readHeader(file: BoundedReader): Header {
  if (!isElf(file.bytes))
    throw new ImageError('not-a-kernel', `${file.what} is not an ELF file`, 'give an x86 kernel, as vmlinux or bzImage');
  const width = file.u8(4);
  if (width !== CLASS.elf32 && width !== CLASS.elf64) throw corrupt(file.what, `its class is ${width}`);
  const machine = file.u8(5) === LITTLE_ENDIAN ? file.u16(18) : -1;
  if (machine !== MACHINE.i386 && machine !== MACHINE.x86_64)
    throw new ImageError('unsupported', `${file.what} is for another processor`, 'give one built for x86');
  return width === CLASS.elf64
    ? {
        bits: 64,
        entry: file.u64(24),
        namesIndex: file.u16(62),
        programHeaders: { offset: file.u64(32), entrySize: file.u16(54), count: file.u16(56) },
        sectionHeaders: { offset: file.u64(40), entrySize: file.u16(58), count: file.u16(60) },
      }
    : {
        bits: 32,
        entry: file.u32(24),
        namesIndex: file.u16(50),
        programHeaders: { offset: file.u32(28), entrySize: file.u16(42), count: file.u16(44) },
        sectionHeaders: { offset: file.u32(32), entrySize: file.u16(46), count: file.u16(48) },
      };
}

/** Offsets of a table's entries, after checking that an entry can hold its fields. */
function entries(file: BoundedReader, table: Table, minimum: number): number[] {
  if (table.count === 0 || table.offset === 0) return [];
  if (table.entrySize < minimum) throw corrupt(file.what, `its header table has entries of ${table.entrySize} bytes`);
  file.slice(table.offset, table.entrySize * table.count);
  return Array.from({ length: table.count }, (_, i) => table.offset + i * table.entrySize);
}

function readProgramHeaders(file: BoundedReader, { bits, programHeaders }: Header) {
  return entries(file, programHeaders, bits === 64 ? 56 : 32).map((at) =>
    bits === 64
      ? {
          type: file.u32(at),
          offset: file.u64(at + 8),
          paddr: file.u64(at + 24),
          fileSize: file.u64(at + 32),
          memSize: file.u64(at + 40),
          align: file.u64(at + 48),
        }
      : {
          type: file.u32(at),
          offset: file.u32(at + 4),
          paddr: file.u32(at + 12),
          fileSize: file.u32(at + 16),
          memSize: file.u32(at + 20),
          align: file.u32(at + 28),
        },
  );
}

function readSectionHeaders(file: BoundedReader, { bits, sectionHeaders }: Header) {
  return entries(file, sectionHeaders, bits === 64 ? 64 : 40).map((at) =>
    bits === 64
      ? {
          name: file.u32(at),
          type: file.u32(at + 4),
          offset: file.u64(at + 24),
          size: file.u64(at + 32),
          align: file.u64(at + 48),
        }
      : {
          name: file.u32(at),
          type: file.u32(at + 4),
          offset: file.u32(at + 16),
          size: file.u32(at + 20),
          align: file.u32(at + 32),
        },
  );
}

/** Notes are padded to 4 bytes, also in ELF64, unless their segment says 8 (GNU property notes do). */
function readNotes(bytes: Uint8Array, alignment: number, what: string): ElfNote[] {
  const file = new BoundedReader(bytes, `${what}'s note section`);
  const pad = alignment === 8 ? 8 : 4;
  const align = (n: number) => Math.ceil(n / pad) * pad;
  const notes: ElfNote[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const nameSize = file.u32(at);
    const descriptorSize = file.u32(at + 4);
    const descriptorAt = at + align(12 + nameSize);
    if (nameSize > 256) throw corrupt(what, `a note's name is ${nameSize} bytes long`);
    notes.push({
      name: file.ascii(at + 12, nameSize),
      type: file.u32(at + 8),
      descriptor: file.slice(descriptorAt, descriptorSize),
    });
    at = descriptorAt + align(descriptorSize);
  }
  return notes;
}
