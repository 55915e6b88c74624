// A very small x86-64 assembler: just what the native server is written with. Labels are resolved by `finish`.

export const REG = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;
export const CONDITION = { b: 2, ae: 3, e: 4, ne: 5, be: 6, a: 7 } as const;

/** `[base + disp]`, or `[disp]` (an address below 2 GiB) without a base. */
export interface Mem {
  readonly base?: number;
  readonly disp: number;
}
export const at = (disp: number): Mem => ({ disp });
export const based = (base: number, disp = 0): Mem => ({ base, disp });

export class Assembler {
  readonly #origin: number;
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: { readonly at: number; readonly label: string; readonly kind: 'relative' | 'absolute' | 'absolute32' }[] = [];

  /** `origin`: the linear address of the first byte, below 2 GiB. */
  constructor(origin: number) {
    this.#origin = origin;
  }

  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} is defined twice`);
    this.#labels.set(name, this.#bytes.length);
    return this;
  }

  /** The linear address of a label. */
  addressOf(name: string): number {
    const offset = this.#labels.get(name);
    if (offset === undefined) throw new Error(`label ${name} is not defined`);
    return this.#origin + offset;
  }

  bytes(...values: readonly number[]): this {
    this.#bytes.push(...values);
    return this;
  }
  u32(value: number): this {
    return this.bytes(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  }
  u64(value: number): this {
    return this.u32(value % 0x1_0000_0000).u32(Math.floor(value / 0x1_0000_0000));
  }
  /** The 64-bit address of a label, as data. */
  pointer(label: string): this {
    this.#fixups.push({ at: this.#bytes.length, label, kind: 'absolute' });
    return this.u64(0);
  }
  /** The low 32 bits of it. */
  pointer32(label: string): this {
    this.#fixups.push({ at: this.#bytes.length, label, kind: 'absolute32' });
    return this.u32(0);
  }
  align(to: number, fill: number): this {
    while (this.#bytes.length % to !== 0) this.#bytes.push(fill);
    return this;
  }

  /** `[prefix] [REX] opcode ModRM` with a memory operand. */
  memory(opcode: readonly number[], reg: number, mem: Mem, wide = true, prefix: readonly number[] = []): this {
    const base = mem.base ?? 0;
    const rex = 0x40 | (wide ? 8 : 0) | (reg >= 8 ? 4 : 0) | (base >= 8 ? 1 : 0);
    this.bytes(...prefix);
    if (rex !== 0x40) this.bytes(rex);
    this.bytes(...opcode);
    if (mem.base === undefined) this.bytes(((reg & 7) << 3) | 4, 0x25);
    else if ((base & 7) === 4) this.bytes(0x84 | ((reg & 7) << 3), 0x24);
    else this.bytes(0x80 | ((reg & 7) << 3) | (base & 7));
    return this.u32(mem.disp);
  }
  /** `[prefix] REX.W opcode ModRM` with a register operand. */
  register(opcode: readonly number[], reg: number, rm: number, prefix: readonly number[] = []): this {
    return this.bytes(...prefix, 0x48 | (reg >= 8 ? 4 : 0) | (rm >= 8 ? 1 : 0), ...opcode, 0xc0 | ((reg & 7) << 3) | (rm & 7));
  }

  load(reg: number, mem: Mem): this {
    return this.memory([0x8b], reg, mem);
  }
  load32(reg: number, mem: Mem): this {
    return this.memory([0x8b], reg, mem, false);
  }
  store(mem: Mem, reg: number): this {
    return this.memory([0x89], reg, mem);
  }
  store32(mem: Mem, reg: number): this {
    return this.memory([0x89], reg, mem, false);
  }
  store16(mem: Mem, reg: number): this {
    return this.memory([0x89], reg, mem, false, [0x66]);
  }
  loadSegment(segment: number, mem: Mem): this {
    return this.memory([0x8e], segment, mem, false);
  }
  storeSegment(mem: Mem, segment: number): this {
    return this.memory([0x8c], segment, mem, false);
  }
  lea(reg: number, mem: Mem): this {
    return this.memory([0x8d], reg, mem);
  }
  move(to: number, from: number): this {
    return this.register([0x89], from, to);
  }
  /** Loads a constant, 0 ≤ value < 2^53, without touching the flags. */
  constant(reg: number, value: number): this {
    if (value <= 0xffff_ffff) {
      if (reg >= 8) this.bytes(0x41);
      return this.bytes(0xb8 | (reg & 7)).u32(value);
    }
    return this.bytes(0x48 | (reg >= 8 ? 1 : 0), 0xb8 | (reg & 7)).u64(value);
  }
  storeConstant32(mem: Mem, value: number): this {
    return this.memory([0xc7], 0, mem, false).u32(value);
  }
  compare(a: number, b: number): this {
    return this.register([0x39], b, a);
  }
  compareConstant(reg: number, value: number): this {
    return this.register([0x81], 7, reg).u32(value);
  }

  jump(label: string): this {
    this.bytes(0xe9);
    return this.#relative(label);
  }
  call(label: string): this {
    this.bytes(0xe8);
    return this.#relative(label);
  }
  jumpIf(condition: number, label: string): this {
    this.bytes(0x0f, 0x80 | condition);
    return this.#relative(label);
  }
  /** A Linux system call with constant arguments (rdi, rsi, rdx, r10, r8, r9); `undefined` keeps what the register holds. */
  syscall(number: number, ...args: readonly (number | undefined)[]): this {
    const order = [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8, REG.r9] as const;
    args.forEach((value, i) => {
      const reg = order[i];
      if (reg !== undefined && value !== undefined) this.constant(reg, value);
    });
    return this.constant(REG.rax, number).bytes(0x0f, 0x05);
  }

  finish(): Uint8Array {
    const code = Uint8Array.from(this.#bytes);
    const view = new DataView(code.buffer);
    for (const { at: position, label, kind } of this.#fixups) {
      const target = this.addressOf(label);
      if (kind === 'absolute') view.setBigUint64(position, BigInt(target), true);
      else if (kind === 'absolute32') view.setUint32(position, target, true);
      else view.setInt32(position, target - (this.#origin + position + 4), true);
    }
    return code;
  }

  #relative(label: string): this {
    this.#fixups.push({ at: this.#bytes.length, label, kind: 'relative' });
    return this.u32(0);
  }
}
