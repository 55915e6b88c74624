// Where things lie in the address space of the process that runs code natively. Everything else there is unmapped, so
// any other access is a page fault with P = 0. An emulator that is to be compared maps the same pages the same way.

export const PAGE = 0x1000;

/** The page that holds the code under test: readable and executable, not writable. Filled with INT3 (0xcc) around the code. */
export const CODE_BASE = 0x1000_0000;
export const CODE_SIZE = PAGE;
/** Where the code under test starts unless the image says otherwise: the middle, so that short branches stay inside. */
export const CODE_ENTRY = CODE_BASE + 0x800;

/** The data window: readable and writable, not executable, with unmapped pages on both sides. */
export const DATA_BASE = 0x2000_0000;
export const DATA_SIZE = 2 * PAGE;

/** The server's own code (readable, executable) and, behind it, its variables and stack (readable, writable). Keep away. */
export const STUB_BASE = 0x5eed_0000;
export const STUB_SIZE = 2 * PAGE;
export const CONTROL_BASE = STUB_BASE + STUB_SIZE;
export const CONTROL_SIZE = PAGE;
/** The whole shared file, readable and writable: above 4 GiB, out of reach of 32-bit code. */
export const SHARED_BASE = 0x5a5a_0000_0000;

/** A segment descriptor the code under test finds loaded or can load; all are present, accessed, DPL 3. */
export interface NativeDescriptor {
  readonly selector: number;
  readonly base: number;
  /** The last valid offset; for `expandDown` the last invalid one. */
  readonly limit: number;
  readonly type: 'code' | 'data' | 'readOnlyData' | 'expandDown';
  /** D/B, or L for `code` with 64. */
  readonly bits: 16 | 32 | 64;
}

/** Selectors with a name. 0x23, 0x2b and 0x33 lie in the GDT and are Linux's; the others are entries of the LDT. */
export const SELECTOR = {
  code16: 0x07,
  data16: 0x0f,
  tight: 0x17,
  expandDown: 0x1f,
  readOnly: 0x27,
  expandDown16: 0x2f,
  code32: 0x23,
  data: 0x2b,
  code64: 0x33,
} as const;

const FLAT = { base: 0, limit: 0xffff_ffff } as const;
/** What the descriptor tables hold. The LDT's is made with modify_ldt(2); in the order of its entries. */
export const LDT: readonly NativeDescriptor[] = [
  { selector: SELECTOR.code16, base: CODE_BASE, limit: 0xffff, type: 'code', bits: 16 },
  { selector: SELECTOR.data16, base: DATA_BASE, limit: 0xffff, type: 'data', bits: 16 },
  { selector: SELECTOR.tight, base: DATA_BASE, limit: 0x17ff, type: 'data', bits: 32 },
  { selector: SELECTOR.expandDown, base: DATA_BASE, limit: 0x7ff, type: 'expandDown', bits: 32 },
  { selector: SELECTOR.readOnly, base: DATA_BASE, limit: 0x1fff, type: 'readOnlyData', bits: 32 },
  { selector: SELECTOR.expandDown16, base: DATA_BASE, limit: 0x7ff, type: 'expandDown', bits: 16 },
];
export const GDT: readonly NativeDescriptor[] = [
  { selector: SELECTOR.code32, ...FLAT, type: 'code', bits: 32 },
  { selector: SELECTOR.data, ...FLAT, type: 'data', bits: 32 },
  { selector: SELECTOR.code64, ...FLAT, type: 'code', bits: 64 },
];

/** With a 16-bit stack segment, IRETQ leaves bits 31:16 of ESP as they are; this is what they then hold. */
export const STACK16_ESP_HIGH = CONTROL_BASE & 0xffff_0000;
