// The decoded instruction as the interpreter reads it: 32 bytes in the code cache.

export const RECORD_SIZE = 32;
export const RECORD_SHIFT = 5;

/** Offsets in a record. Registers are given as byte offsets into the vCPU state, so AH is just another byte. */
export const REC = {
  /** u16: handler number; below `SPECIAL_COUNT` one of SPECIAL. */
  op: 0,
  /** u8: length in bytes. */
  length: 2,
  /** u8: segment of the memory operand (SEGMENT); for relative branches the width of the target (0: 64, 1: 32, 2: 16 bits). */
  segment: 3,
  /** u16: offset of the first byte in its page; the length may reach beyond 4096. */
  offset: 4,
  /** u16: state offsets of the register operands, in order of appearance. */
  reg0: 6,
  reg1: 8,
  reg2: 10,
  /** u16: state offsets of base, index and segment base; `STATE.zero` for none. */
  base: 12,
  index: 14,
  segmentBase: 16,
  /** u8: shift of the index. */
  scale: 18,
  /** u8: EA. */
  addressing: 19,
  /** i32: displacement; relative branch: distance; second immediate of instructions without memory operand. */
  displacement: 20,
  /** i64: immediate, or 64-bit absolute offset; relative branch: u32 address of the target's word in the entry table. */
  immediate: 24,
} as const;

/** What a translated region answers. `STATE.rip` is where to go on, `STATE.left` what is left of the budget. */
export const REGION = {
  jump: 0,
  /** The interpreter must run at least one instruction, whatever is translated there. */
  interpret: 1,
  /** As RUN.fault and RUN.exit, which follow each other too. */
  fault: 2,
  exit: 3,
} as const;

/** Above the code of REGION: where in the region it was left, if that is worth to know. */
export const REGION_SITE_SHIFT = 2;

/** How the address of a memory operand is made. */
export const EA = {
  /** base + displacement, 64-bit mode, no segment base. */
  simple: 0,
  /** base + (index << scale) + displacement + segment base, 64-bit mode. */
  full: 1,
  /** Address size 16 or, in 64-bit mode, 32: truncated, and outside 64-bit mode checked against the segment. */
  slow16: 2,
  slow32: 3,
  /** 64-bit absolute offset in `immediate`, plus segment base. */
  absolute: 4,
  /** RIP + displacement where adding the offset in the page to the displacement would not fit 32 bits. */
  ripWide: 5,
  /** Address size 32 outside 64-bit mode: as slow32, and `segmentBase` leads to the base whatever segment it is. */
  legacy32: 6,
} as const;

/** Handlers that are no instructions. */
export const SPECIAL = {
  /** RIP is ripBase + offset: look the instruction up again. Ends pages, and marks records out of date. */
  resync: 0,
  /** End of a single step. */
  stop: 1,
  /** The instruction crosses into the next page. */
  cross: 2,
  /** #UD. */
  invalid: 3,
  /** Continue at the record whose address is in `immediate`. */
  goto: 4,
  /** #GP(0): longer than 15 bytes. */
  tooLong: 5,
  /** Ends blocks: `immediate` is the address of the next instruction's word in the entry table; resync if that is still 0. */
  link: 6,
  /**
   * A translated region can be entered here: `immediate` is its number in the table of regions and, 4 bytes on, what its function
   * is called with; `displacement` is the address of the record that this one stands before.
   */
  region: 7,
} as const;
export const SPECIAL_COUNT = 8;
