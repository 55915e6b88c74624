// Where things lie in the linear address space of programs that run on both tiers.
import { CODE_BASE, DATA_BASE } from '../native/address-map.ts';

export interface Window {
  readonly at: number;
  readonly pages: number;
}

export const CODE = { at: CODE_BASE, pages: 4, bytes: 4 * 4096 } as const;

/** Around a place that stands for DATA_BASE; one page lies before it. */
export const WINDOWS = {
  data: { at: DATA_BASE, pages: 8 },
  /** Absent or read-only until somebody faults. */
  lazy: { at: DATA_BASE + 0x10_0000, pages: 4 },
  /** Without memory behind it. */
  mmio: { at: DATA_BASE + 0x20_0000, pages: 4 },
  /** The other privilege's: user pages for the supervisor (with SMAP), supervisor pages for the user. */
  supervisor: { at: DATA_BASE + 0x30_0000, pages: 4 },
  /** The code pages once more, writable. */
  alias: { at: DATA_BASE + 0x40_0000, pages: CODE.pages },
  /** The page table that the lazy window is in; the supervisor's. */
  tables: { at: DATA_BASE + 0x50_0000, pages: 1 },
} as const satisfies Record<string, Window>;

/** Where the supervisor finds the entries of the lazy window's pages, 8 bytes each. */
export const LAZY_PTES = WINDOWS.tables.at + ((WINDOWS.lazy.at >>> 12) & 511) * 8;

/** A word that says how many branches back a program may still take; behind it nothing else is kept in the page. */
export const FUEL = 0x2100_0800;
export const STACK: Window = { at: 0x2200_0000, pages: 4 };

export interface DataSegment {
  readonly base: number;
  /** As in the descriptor: G is set. */
  readonly limitPages: number;
  /** Type bits of a data segment: 1 is read-only, 3 writable, 7 expand-down. */
  readonly type: 1 | 3 | 7;
  readonly big: boolean;
}

/** Number in the GDT of the first of SEGMENTS. */
export const FIRST_SEGMENT = 8;
/** What 32-bit code loads, by their numbers from FIRST_SEGMENT on. The first is flat. */
export const SEGMENTS: readonly DataSegment[] = [
  { base: 0, limitPages: 0xfffff, type: 3, big: true },
  { base: 0, limitPages: 0xfffff, type: 1, big: true },
  // Ends in the middle of the data window.
  { base: 0, limitPages: (DATA_BASE >> 12) + 1, type: 3, big: true },
  { base: 0, limitPages: DATA_BASE >> 12, type: 7, big: true },
  // Offsets wrap around at 4 GiB.
  { base: 0xffff_f000, limitPages: 0xfffff, type: 3, big: true },
  { base: 0x1000, limitPages: 0x5ffff, type: 3, big: true },
  // A stack of 64 KiB.
  { base: STACK.at, limitPages: 0xfffff, type: 3, big: false },
];

/** Number in the GDT of the first of SEGMENTS_16. */
export const FIRST_SEGMENT_16 = 26;
/** What 16-bit code loads beside SEGMENTS; its addresses count from a window's beginning. The first is there at the start. */
export const SEGMENTS_16: readonly DataSegment[] = [
  { base: WINDOWS.data.at, limitPages: 0x4ff, type: 3, big: true },
  { base: WINDOWS.lazy.at, limitPages: 3, type: 3, big: true },
  { base: WINDOWS.supervisor.at, limitPages: 0xf, type: 3, big: false },
  { base: WINDOWS.mmio.at, limitPages: 0xf, type: 3, big: true },
  { base: WINDOWS.alias.at, limitPages: 0xf, type: 3, big: true },
  { base: WINDOWS.data.at, limitPages: 0, type: 7, big: false },
];
