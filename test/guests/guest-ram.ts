// A guest's memory as its test sees it: room for structures, members at offsets, and the window of linear addresses whose pages
// are mapped one by one.
import type { Gfn, Gpa } from '../../src/abi/types.ts';
import { type GuestMemory, pageOf } from '../../src/memory/guest-memory.ts';
import type { Width } from './guest-code.ts';
import { PTE } from './probe-image.ts';
import { AT, WINDOW } from './probe-layout.ts';

const PAGE = 0x1000;

/** Offset, bytes (1, 2, 4 or 8) and value of a member. */
export type Member = readonly [offset: number, bytes: 1 | 2 | 4 | 8, value: number | bigint];

export class GuestRam {
  readonly memory: GuestMemory;
  readonly width: Width;
  /** Bytes of a pointer and of a frame number: 8 or 4. */
  readonly word: 4 | 8;
  readonly #mapped = new Map<number, number>();
  #heap: number = AT.heap;
  #window: number = WINDOW.free;

  constructor(memory: GuestMemory, width: Width) {
    this.memory = memory;
    this.width = width;
    this.word = width === 64 ? 8 : 4;
  }

  /** Memory that nothing else uses, zeroed. */
  alloc(bytes: number, align = 8): number {
    const at = Math.ceil(this.#heap / align) * align;
    this.#heap = at + bytes;
    if (this.#heap > AT.heapEnd) throw new Error('the guest has no memory left');
    return at;
  }

  /** Whole pages. */
  pages(count = 1): number {
    return this.alloc(count * PAGE, PAGE);
  }

  /**
   * Maps a physical page and returns its linear address. `protection` are the bits of a page table entry. Window pages are used
   * once, so no TLB holds an older translation.
   */
  map(physical: number, protection: number = PTE.present | PTE.writable): number {
    if (this.#window >= WINDOW.pages) throw new Error('the window is full');
    const index = this.#window++;
    this.put(AT.pt + index * 8, [0, 8, physical + protection]);
    const at = WINDOW.at + index * PAGE;
    this.#mapped.set(at, physical);
    return at;
  }

  /** Two linear pages in a row whose physical pages lie far apart, the second one lower. */
  scattered(): number {
    const [low, , high] = [this.pages(), this.pages(), this.pages()];
    const first = this.map(high);
    this.map(low);
    return first;
  }

  /** A linear page without memory. */
  hole(): number {
    return this.map(0, 0);
  }

  readOnly(physical: number): number {
    return this.map(physical, PTE.present);
  }

  /** Writes members of a structure at a linear address; returns the address. */
  put(at: number, ...members: readonly Member[]): number {
    for (const [offset, size, value] of members) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
      this.write(at + offset, bytes.subarray(0, size));
    }
    return at;
  }

  /** A new structure of so many bytes, zero but for its members. */
  make(bytes: number, ...members: readonly Member[]): number {
    return this.put(this.alloc(bytes), ...members);
  }

  /** An unsigned member at a linear address. */
  get(at: number, bytes: 1 | 2 | 4 | 8): bigint {
    const padded = new Uint8Array(8);
    padded.set(this.read(at, bytes));
    return new DataView(padded.buffer).getBigUint64(0, true);
  }

  u32(at: number): number {
    return Number(this.get(at, 4));
  }
  u16(at: number): number {
    return Number(this.get(at, 2));
  }
  u8(at: number): number {
    return Number(this.get(at, 1));
  }
  s16(at: number): number {
    return Number(BigInt.asIntN(16, this.get(at, 2)));
  }
  /** A word: a pointer or a frame number. */
  pointer(at: number): bigint {
    return this.get(at, this.word);
  }

  read(at: number, bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    this.#eachPage(at, bytes, (gpa, from, to) => this.memory.read(gpa, out.subarray(from, to)));
    return out;
  }

  write(at: number, bytes: Uint8Array): void {
    this.#eachPage(at, bytes.length, (gpa, from, to) => this.memory.write(gpa, bytes.subarray(from, to)));
  }

  text(at: number, bytes: number): string {
    return new TextDecoder('latin1').decode(this.read(at, bytes));
  }

  /** Where the page at a guest frame lies in the shared memory: tells pages apart. 0: no memory. */
  frame(gfn: number): number {
    const entry = this.memory.entry(gfn as Gfn);
    return entry === 0 ? 0 : pageOf(entry);
  }

  /** Sets bits of a u32, as a processor would: at once. */
  setBits(at: number, bits: number): void {
    Atomics.or(this.memory.i32, this.memory.host(this.#physical(at) as Gpa) >>> 2, bits);
  }

  clearBits(at: number, bits: number): void {
    Atomics.and(this.memory.i32, this.memory.host(this.#physical(at) as Gpa) >>> 2, ~bits);
  }

  #physical(at: number): number {
    const page = at - (at % PAGE);
    if (page < WINDOW.at || page >= WINDOW.at + WINDOW.pages * PAGE) return at;
    return (this.#mapped.get(page) ?? 0) + (at % PAGE);
  }

  #eachPage(at: number, bytes: number, act: (gpa: Gpa, from: number, to: number) => boolean): void {
    for (let done = 0; done < bytes; ) {
      const count = Math.min(bytes - done, PAGE - ((at + done) % PAGE));
      if (!act(this.#physical(at + done) as Gpa, done, done + count))
        throw new Error(`the guest has no memory at 0x${(at + done).toString(16)}`);
      done += count;
    }
  }
}
