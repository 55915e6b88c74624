// What semantics are written against. The interpreter implements it over the fields of a decoded record, the translator
// over constants and locals.
import type { Expr, Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Routine } from './routine.ts';

export type OperandSize = 1 | 2 | 4 | 8;
/** What an operand of this instruction variant is. */
export type OperandKind = 'gpr' | 'mem' | 'imm' | 'rel' | 'xmm' | 'mmx' | 'seg' | 'control' | 'debug';

export interface VariantOperand {
  readonly kind: OperandKind;
  /** Bytes. */
  readonly size: number;
  /** The register, when the encoding fixes it. */
  readonly fixed: number | undefined;
}

/** Everything about an instruction that generated code is specialised for. */
export interface Variant {
  readonly operands: readonly VariantOperand[];
  /** Effective operand size in bytes: 2, 4, 8. */
  readonly osize: 2 | 4 | 8;
  /** Effective address size in bytes. */
  readonly asize: 2 | 4 | 8;
  readonly lock: boolean;
  readonly rep: 'none' | 'rep' | 'repne';
  /** 64-bit mode; false in every other. */
  readonly long: boolean;
}

/**
 * Values: an operand of 1, 2 or 4 bytes is an i32 (zero-extended when read; only its low bits count when written), one of
 * 8 bytes an i64. `get` gives a local, safe to use any number of times. The order of side effects is the order of calls;
 * everything that can fault comes before the first register or flag is written.
 */
export interface Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  /** Size of operand `n` in bytes. */
  size(n: number): OperandSize;

  get(n: number): Expr;
  set(n: number, value: Expr): void;
  /**
   * Operand `n` as a vector: XMM or MMX register, or memory of 16, 8 or 4 bytes zero-extended. `low`: only the bytes of the
   * operand are looked at, so that what is above them may be anything. Of 32 bytes it is the low half, or with `high`, after
   * that, the high one.
   */
  getVector(n: number, options?: { aligned?: boolean; low?: boolean; high?: boolean }): Expr;
  /** Writes an XMM or MMX register whole, or `size(n)` bytes of memory. What is above an XMM register stays. */
  setVector(n: number, value: Expr, options?: { aligned?: boolean }): void;
  /** Writes a YMM register whole, or `size(n)` bytes of memory. */
  setWide(n: number, low: Expr, high: Expr, options?: { aligned?: boolean }): void;
  /** Linear address of memory operand `n`, segment base included, unchecked. */
  linear(n: number): Expr;
  /** Offset part of memory operand `n` (LEA), truncated to the address size, as i64. */
  offset(n: number): Expr;

  /** General register by number; size 1 is the low byte. */
  gpr(register: number, size: OperandSize): Expr;
  setGpr(register: number, size: OperandSize, value: Expr): void;
  /** XMM register by number, whole. */
  xmm(register: number): Expr;
  setXmm(register: number, value: Expr): void;
  /** Bits 255:128 of a YMM register by number. */
  setYmmHigh(register: number, value: Expr): void;
  /** Slots of the vCPU state by STATE offset. */
  slot32(at: number): Expr;
  setSlot32(at: number, value: Expr): void;
  slot64(at: number): Expr;
  setSlot64(at: number, value: Expr): void;
  /** The vCPU's base address as an i32, for loads and stores with a STATE offset. */
  readonly state: Expr;

  /**
   * Reads or writes memory at segment:offset (string instructions, stack). `segment` is a SEGMENT number, or 'operand' for
   * DS or its override. The offset is an i64 already truncated.
   */
  loadAt(segment: number | 'operand', offset: Expr, size: OperandSize): Expr;
  storeAt(segment: number | 'operand', offset: Expr, size: OperandSize, value: Expr): void;
  /** i32, not 0 when every offset in the segment may be read and written: in 64-bit mode always. */
  isFlat(segment: number | 'operand'): Expr;
  /** Host address of `size` writable bytes, faulting now if they are not; for string loops. 0 size checks are not made. */
  linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr;
  /** Host address through the TLB; bytes may be in the bounce buffer: `commit` after writing there. */
  hostAddress(linear: Expr, size: number, access: 'r' | 'w'): Expr;
  commit(host: Expr): void;
  /**
   * Host address of the memory operand, `size` bytes of plain RAM. Whatever is anything else, faults, or was not looked up yet
   * comes to `missed`, which must go elsewhere.
   */
  plainOperand(size: number, access: 'r' | 'w', missed: () => void): Expr;
  /**
   * The same of an operand that may lie in two pages: for an offset in it, what to add to the offset for the host address of the
   * bytes there, which must lie in one page.
   */
  plainArea(size: number, access: 'r' | 'w', missed: () => void): (offset: number) => Expr;

  push(value: Expr, size: 2 | 4 | 8): void;
  /** Reads the top of the stack; the caller moves the pointer with `setStackPointer(stackPointer().add(size))`. */
  peek(depth: number, size: 2 | 4 | 8): Expr;
  /** RSP, ESP or SP as an i64. */
  stackPointer(): Expr;
  /** Writes RSP, ESP or SP according to the stack's width. */
  setStackPointer(value: Expr): void;

  readonly flags: FlagEmitter;

  /** Number of the control register that operand `n` is, as i32. */
  registerNumber(n: number): Expr;
  /** The ModRM byte of an x87 escape, as i32. */
  modrm(): Expr;
  /** Segment of the memory operand: a SEGMENT number, as i32. */
  segment(): Expr;
  /** RIP of this instruction, as i64. */
  rip(): Expr;
  /** RIP of the next instruction, as i64, truncated to the mode. */
  ripNext(): Expr;
  /** Jumps to `rip` (already truncated to the operand size). Ends the instruction. */
  jump(rip: Expr): void;
  /** Jumps to the relative target of the `rel` operand, or raises #GP(0) if that lies beyond CS's limit. Ends the instruction. */
  jumpRelative(): void;
  /** Only the check of `jumpRelative`, for instructions that change something before they jump. */
  checkRelative(): void;
  /** Ends the instruction and looks at interrupts and requests before the next one. */
  endAndPoll(): void;
  /** Raises an exception without (or with) an error code. Ends this path. */
  raise(vector: number, errorCode?: number): void;
  /** Leaves on the failure path: the fault slots are set. */
  fault(): void;
  /**
   * Calls a TypeScript helper by name with the record; its status decides what comes next. See helpers/. The helper does the
   * instruction whole (or the rest of a repeated one): until then only what may happen twice has happened, so that a tier
   * without records can leave the instruction to one that has them.
   */
  helper(name: string): void;
  /**
   * Calls a TypeScript function over the state's slots (operands in `STATE.scratch` and `STATE.vectorScratch`), with one
   * number as argument; a non-zero answer means that it left a fault: then `failed`, or `fault`. Execution goes on. A tier that
   * would do the instruction again may leave before `failed`.
   */
  compute(name: string, argument?: number | Expr, failed?: () => void): void;
  /** What the clock of the time stamp counter says now, as i64: TickSource.ticks. */
  ticks(): Expr;
  /** Calls a function in WebAssembly and keeps its result. */
  routine(routine: Routine, ...args: Expr[]): Local;
  /** A fresh variable. */
  local(type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128'): Local;
}

/** The arithmetic flags. Each setter replaces all six, unless it says otherwise. */
export interface FlagEmitter {
  /** After r = a + b (+ carry), at `size`. */
  add(a: Expr, b: Expr, r: Expr, size: OperandSize): void;
  sub(a: Expr, b: Expr, r: Expr, size: OperandSize): void;
  /** CF = OF = AF = 0. */
  logic(r: Expr, size: OperandSize): void;
  /** As add and sub of 1, CF kept. */
  inc(a: Expr, r: Expr, size: OperandSize): void;
  dec(a: Expr, r: Expr, size: OperandSize): void;
  /** ZF, SF and PF from r; CF and OF given as i32 0/1; AF = 0. */
  result(r: Expr, size: OperandSize, cf: Expr, of: Expr): void;
  /** Only CF and OF, as i32 0/1; the others stay (rotates). */
  carryOverflow(cf: Expr, of: Expr): void;
  /** Only CF. */
  setCarry(cf: Expr): void;
  /** Only ZF, as i32 0/1. */
  setZero(zf: Expr): void;
  /** All six from an image of EFLAGS. */
  setAll(image: Expr): void;
  /** The six as bits of EFLAGS, i32. */
  image(): Expr;
  /** CF as i32 0/1. */
  carry(): Expr;
  /** Condition code 0..15 (SDM vol. 1, appendix B) as i32, zero or not. */
  condition(code: number): Expr;
}
