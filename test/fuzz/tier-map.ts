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
} as const satisfies Record<string, Window>;

/** A word that says how many branches back a program may still take; behind it nothing else is kept in the page. */
export const FUEL = 0x2100_0800;
export const STACK: Window = { at: 0x2200_0000, pages: 4 };
