// Guest code for both widths: one program text, assembled for long mode or for 32-bit protected mode. What the widths encode
// alike is said once; a "word" is 8 or 4 bytes.
import { Assembler, based, CONDITION } from '../native/assembler.ts';

export type Width = 64 | 32;
/** The eight registers that both widths have. */
export const R = { a: 0, c: 1, d: 2, b: 3, sp: 4, bp: 5, si: 6, di: 7 } as const;

export class GuestCode {
  readonly #out: Assembler;
  readonly #wide: boolean;

  /** Code at `origin`, a linear address below 2 GiB. */
  constructor(width: Width, origin: number) {
    this.#out = new Assembler(origin);
    this.#wide = width === 64;
  }

  label(name: string): this {
    this.#out.label(name);
    return this;
  }
  addressOf(name: string): number {
    return this.#out.addressOf(name);
  }
  bytes(...values: readonly number[]): this {
    this.#out.bytes(...values);
    return this;
  }
  u32(value: number): this {
    this.#out.u32(value >>> 0);
    return this;
  }
  align(to: number): this {
    this.#out.align(to, 0xcc);
    return this;
  }
  /** The 8-byte address of a label, as data. */
  pointer(label: string): this {
    this.#out.pointer(label);
    return this;
  }
  /** Its low 32 bits: an immediate or a displacement. */
  pointer32(label: string): this {
    this.#out.pointer32(label);
    return this;
  }
  finish(): Uint8Array {
    return this.#out.finish();
  }

  /** A word from `[base + disp]`; `reg` up to 15 in long mode. */
  load(reg: number, base: number, disp: number): this {
    this.#out.memory([0x8b], reg, based(base, disp), this.#wide);
    return this;
  }
  load32(reg: number, base: number, disp: number): this {
    this.#out.memory([0x8b], reg, based(base, disp), false);
    return this;
  }
  store(base: number, disp: number, reg: number): this {
    this.#out.memory([0x89], reg, based(base, disp), this.#wide);
    return this;
  }
  store32(base: number, disp: number, reg: number): this {
    this.#out.memory([0x89], reg, based(base, disp), false);
    return this;
  }
  storeConstant32(base: number, disp: number, value: number): this {
    this.#out.memory([0xc7], 0, based(base, disp), false).u32(value >>> 0);
    return this;
  }
  /** An instruction with one 32-bit operand in memory: INC is ff /0. */
  memory32(opcode: readonly number[], extension: number, base: number, disp: number): this {
    this.#out.memory(opcode, extension, based(base, disp), false);
    return this;
  }
  /** POP to memory: a word, in both widths. */
  popTo(base: number, disp: number): this {
    return this.memory32([0x8f], 0, base, disp);
  }
  pushFrom(base: number, disp: number): this {
    return this.memory32([0xff], 6, base, disp);
  }
  push(reg: number): this {
    return this.bytes(0x50 | reg);
  }
  pop(reg: number): this {
    return this.bytes(0x58 | reg);
  }
  /** MOV reg, imm32, zero-extended. */
  constant(reg: number, value: number): this {
    return this.bytes(0xb8 | reg).u32(value);
  }
  addressIn(reg: number, label: string): this {
    return this.bytes(0xb8 | reg).pointer32(label);
  }
  /** MOV between 32-bit registers; an address below 4 GiB survives. */
  move32(to: number, from: number): this {
    return this.bytes(0x89, 0xc0 | (from << 3) | to);
  }
  /** MOV between words. */
  move(to: number, from: number): this {
    return this.rexW().move32(to, from);
  }
  /** ADD, OR, AND, SUB, XOR, CMP (0, 1, 4, 5, 6, 7) of a 32-bit register and a constant. */
  arithmetic32(operation: 0 | 1 | 4 | 5 | 6 | 7, reg: number, value: number): this {
    return this.bytes(0x81, 0xc0 | (operation << 3) | reg).u32(value);
  }
  compareMemory32(reg: number, base: number, disp: number): this {
    return this.memory32([0x3b], reg, base, disp);
  }
  /** The REX.W prefix, where there is one: makes the next instruction one of words. */
  rexW(): this {
    return this.#wide ? this.bytes(0x48) : this;
  }

  jump(label: string): this {
    this.#out.jump(label);
    return this;
  }
  jumpIf(condition: keyof typeof CONDITION, label: string): this {
    this.#out.jumpIf(CONDITION[condition], label);
    return this;
  }
}
