// What both tiers emit alike: memory operands through the inline TLB, vector operands, the stack in memory, exceptions.
// Where registers, immediates and addresses come from, and where control goes, is the tier's own.
import { Const, type Expr, i32, type Local, VectorConst } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import { SEGMENT, STATE, TLB, VECTOR } from '../state.ts';
import type { Emitter, FlagEmitter, OperandSize, Variant } from './emitter.ts';
import type { Routine } from './routine.ts';
import type { Semantics } from './semantics.ts';
import type { StackWindow } from './stack-window.ts';

/** The slow paths of memory. */
export interface MemoryRuntime {
  /**
   * (linear i64, size i32) → host address, 0 on a fault. Reading; writing (size bit 8: the old contents are wanted too). Those that
   * reach plain RAM only look into the TLB first.
   */
  readonly readSlow: FunctionRef;
  readonly writeSlow: FunctionRef;
  /** Writes the bounce buffer to where it belongs; not 0 on a fault. */
  readonly commit: FunctionRef;
  /** What the slow paths reach is plain RAM; for whatever is anything else they answer 0. */
  readonly plainOnly: boolean;
  /** (linear i64, size i32, address of a TLB array) → what the second-level TLB has for the page, 0 for nothing. */
  readonly secondTlb?: FunctionRef;
}

const BOUNCE_BYTES = 64;
const PAGE = 4096;

export abstract class OperandEmitter implements Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly state: Expr;
  abstract readonly flags: FlagEmitter;
  protected readonly semantics: Semantics;
  readonly #base: number;
  readonly #memory: MemoryRuntime | undefined;
  /** Host address of a memory operand probed by `get`, for `set`. */
  readonly #hosts = new Map<number, Expr>();
  #retry: { label: Label; old: Expr } | undefined;

  /**
   * `base` is the vCPU's address in the shared memory. Without `memory` the code has fast paths only: what misses the TLB is
   * `giveUp`.
   */
  constructor(f: FunctionBuilder, base: number, semantics: Semantics, variant: Variant, memory: MemoryRuntime | undefined) {
    this.f = f;
    this.#base = base;
    this.state = i32(base);
    this.semantics = semantics;
    this.variant = variant;
    this.#memory = memory;
  }

  // ---- what a tier provides ------------------------------------------------------------------------------------------

  abstract gpr(register: number, size: OperandSize): Expr;
  abstract setGpr(register: number, size: OperandSize, value: Expr): void;
  abstract linear(n: number, aligned?: boolean): Expr;
  abstract offset(n: number): Expr;
  /** Linear address of the memory operand; what is wrong with its segment comes to `missed`. */
  protected abstract operandLinear(size: number, write: boolean, missed: () => void): Expr;
  abstract linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr;
  abstract registerNumber(n: number): Expr;
  abstract modrm(): Expr;
  abstract segment(): Expr;
  abstract rip(): Expr;
  abstract isFlat(segment: number | 'operand'): Expr;
  abstract ripNext(): Expr;
  abstract jump(rip: Expr): void;
  abstract jumpRelative(): void;
  abstract checkRelative(): void;
  abstract fault(): void;
  abstract helper(name: string): void;
  abstract compute(name: string, argument?: number | Expr, failed?: () => void): void;
  abstract ticks(): Expr;
  abstract routine(routine: Routine, ...args: Expr[]): Local;
  abstract xmm(register: number): Expr;
  abstract setXmm(register: number, value: Expr): void;
  abstract setYmmHigh(register: number, value: Expr): void;
  abstract stackPointer(): Expr;
  abstract setStackPointer(value: Expr): void;
  /** Leaves the instruction, which has done nothing yet that may not be done twice, to code that has slow paths. */
  protected giveUp(): void {
    throw new Error(`${this.semantics.name}: no slow paths and nobody to leave it to`);
  }
  /** Immediate or branch distance `n`. */
  protected abstract immediate(n: number): Expr;
  /** General register operand `n`. */
  protected abstract readRegister(n: number): Expr;
  protected abstract writeRegister(n: number, value: Expr): void;
  /** XMM register operand `n`; zero above its size unless only the `low` bytes are looked at. */
  protected abstract readVector(n: number, low: boolean): Expr;
  protected abstract writeVector(n: number, value: Expr): void;
  /** Bits 255:128 of YMM register operand `n`. */
  protected abstract readHigh(n: number): Expr;
  protected abstract writeHigh(n: number, value: Expr): void;
  /** Where MMX register operand `n` lies: an i32 and an offset from it. */
  protected abstract mmxRegister(n: number): { readonly at: Expr; readonly offset: number };
  /** Address of the TLB in force, as i32. */
  protected abstract tlb(access: 'r' | 'w'): Expr;
  /** RSP − `by`, truncated to the stack's width. */
  protected abstract stackBelow(by: number): Expr;

  // ---- operands --------------------------------------------------------------------------------------------------------

  size(n: number): OperandSize {
    return this.operand(n).size as OperandSize;
  }

  get(n: number): Expr {
    const { kind } = this.operand(n);
    const size = this.size(n);
    switch (kind) {
      case 'imm':
      case 'rel':
        return this.immediate(n);
      case 'mem': {
        const writes = this.semantics.access[n] === 'rw';
        const host = this.#reach(this.linear(n), size, writes ? 'w' : 'r', this.window('operand'));
        this.#hosts.set(n, host);
        const locked = writes && this.variant.lock;
        const label = locked ? this.f.beginLoop() : undefined;
        const old = this.f.let(host.load(size === 8 ? 'i64' : 'i32', size, 0));
        if (label !== undefined) this.#retry = { label, old };
        return old;
      }
      case 'gpr':
        return this.readRegister(n);
      default:
        throw new Error(`${this.semantics.name}: operand ${n} is ${kind}, which helpers read`);
    }
  }

  set(n: number, value: Expr): void {
    const { kind } = this.operand(n);
    const size = this.size(n);
    if (kind === 'gpr') {
      this.writeRegister(n, value);
      return;
    }
    if (kind !== 'mem') throw new Error(`${this.semantics.name}: operand ${n} is ${kind}`);
    const host = this.#hosts.get(n);
    if (host === undefined) {
      const kept = this.f.let(value);
      this.#storeTo(this.linear(n), size, (at) => this.f.store(at, size, kept, 0), this.window('operand'));
      return;
    }
    if (this.#retry !== undefined) {
      const { label, old } = this.#retry;
      this.#retry = undefined;
      const replacement = this.f.let(narrowTo(value, size));
      const aligned = size === 1 ? i32(1) : host.and(size - 1).eqz();
      this.f.if(
        aligned,
        () => this.f.brIf(label, this.f.cmpxchg(host, size, old, replacement).ne(old)),
        () => this.f.store(host, size, replacement, 0),
      );
      this.f.endLoop();
    } else this.f.store(host, size, value, 0);
    this.commit(host);
  }

  getVector(n: number, options: { aligned?: boolean; low?: boolean; high?: boolean } = {}): Expr {
    const { kind, size } = this.operand(n);
    if (options.high === true) return kind === 'xmm' ? this.readHigh(n) : this.f.let((this.#hosts.get(n) as Expr).loadV(16));
    if (kind === 'xmm') return this.readVector(n, options.low === true);
    if (kind === 'mmx') {
      const { at, offset } = this.mmxRegister(n);
      return this.f.let(at.loadZero(8, offset));
    }
    const linear = this.linear(n, options.aligned === true);
    if (options.aligned === true) this.#requireAligned(linear, size);
    const host = this.#reach(linear, size, this.semantics.access[n] === 'rw' ? 'w' : 'r', this.window('operand'));
    this.#hosts.set(n, host);
    if (size >= 16) return this.f.let(host.loadV(0));
    if (size === 8 || size === 4) return this.f.let(host.loadZero(size, 0));
    const zero = new VectorConst(new Array<number>(16).fill(0));
    return this.f.let(zero.simd(0x1c, 'v128', [host.load('i32', size as 1 | 2, 0)], 0));
  }

  setVector(n: number, value: Expr, options: { aligned?: boolean } = {}): void {
    const { kind, size } = this.operand(n);
    if (kind === 'xmm') {
      this.writeVector(n, value);
      return;
    }
    if (kind === 'mmx') {
      const { at, offset } = this.mmxRegister(n);
      this.f.store(at, 8, value.simd(0x1d, 'i64', [], 0), offset);
      this.f.store(at, 2, i32(0xffff), offset + 8);
      return;
    }
    const v = this.f.let(value);
    const linear = this.linear(n, options.aligned === true);
    if (options.aligned === true) this.#requireAligned(linear, size);
    const store = (at: Expr) => {
      if (size === 16) this.f.storeV(at, v, 0);
      else if (size === 8) this.f.store(at, 8, v.simd(0x1d, 'i64', [], 0), 0);
      else this.f.store(at, size as 1 | 2 | 4, v.simd(0x1b, 'i32', [], 0), 0);
    };
    this.#storeTo(linear, size, store, this.window('operand'));
  }

  setWide(n: number, low: Expr, high: Expr, options: { aligned?: boolean } = {}): void {
    const { kind, size } = this.operand(n);
    if (kind === 'xmm') {
      const [a, b] = [this.f.let(low), this.f.let(high)];
      this.writeVector(n, a);
      this.writeHigh(n, b);
      return;
    }
    if (size !== 32) {
      this.setVector(n, low, options);
      return;
    }
    const [a, b] = [this.f.let(low), this.f.let(high)];
    const linear = this.linear(n, options.aligned === true);
    if (options.aligned === true) this.#requireAligned(linear, size);
    this.#storeTo(linear, size, (at) => {
      const to = this.f.let(at);
      this.f.storeV(to, a, 0);
      this.f.storeV(to, b, 16);
    });
  }

  // ---- the state -------------------------------------------------------------------------------------------------------

  slot32(at: number): Expr {
    return this.state.load('i32', 4, at);
  }
  setSlot32(at: number, value: Expr): void {
    this.f.store(this.state, 4, value, at);
  }
  slot64(at: number): Expr {
    return this.state.load('i64', 8, at);
  }
  setSlot64(at: number, value: Expr): void {
    this.f.store(this.state, 8, value, at);
  }

  // ---- memory ----------------------------------------------------------------------------------------------------------

  loadAt(segment: number | 'operand', offset: Expr, size: OperandSize): Expr {
    const host = this.#reach(this.linearAt(segment, offset, size, false), size, 'r', this.window(segment), segment !== 'operand');
    return this.f.let(host.load(size === 8 ? 'i64' : 'i32', size, 0));
  }
  storeAt(segment: number | 'operand', offset: Expr, size: OperandSize, value: Expr): void {
    const kept = this.f.let(value);
    const linear = this.linearAt(segment, offset, size, true);
    this.#storeTo(linear, size, (at) => this.f.store(at, size, kept, 0), this.window(segment), segment !== 'operand');
  }

  hostAddress(linear: Expr, size: number, access: 'r' | 'w'): Expr {
    return this.#reach(linear, size, access);
  }
  /** Where accesses by this segment, or to the memory operand, are likely to be, if the tier keeps that. */
  protected window(_segment: number | 'operand'): StackWindow | undefined {
    return undefined;
  }
  #reach(linear: Expr, size: number, access: 'r' | 'w', window?: StackWindow, inOrder = false): Expr {
    const { f } = this;
    const at = f.let(linear);
    const memory = this.#memory;
    if (memory === undefined) {
      const entry = this.#tlbEntry(at, access);
      f.if(entry.tag.ne(lastPage(at, size)), () => this.giveUp());
      return f.let(entry.addend.add(at.wrap()));
    }
    const host = f.local('i32');
    f.block((hit) => {
      if (window !== undefined) {
        f.set(host, window.addend.add(at.wrap()));
        f.brIf(hit, window.holds(at, size), true);
      }
      if (window === undefined || !inOrder) {
        const entry = this.#tlbEntry(at, access);
        const found = () => f.set(host, entry.addend.add(at.wrap()));
        if (window !== undefined && access === 'w') {
          f.if(entry.tag.eq(lastPage(at, size)), () => {
            window.move(entry);
            found();
            f.br(hit);
          });
        } else {
          found();
          f.brIf(hit, entry.tag.eq(lastPage(at, size)), true);
        }
      }
      // A write that starts with a read wants the old contents in the bounce buffer: bit 8.
      const slow = access === 'r' ? memory.readSlow : memory.writeSlow;
      f.set(host, f.callValue(slow, at, i32(access === 'r' ? size : size | 0x100)));
      if (window !== undefined && access === 'w')
        f.if(host, () => {
          window.move({ tag: lastPage(at, size), addend: host.sub(at.wrap()) });
          f.br(hit);
        });
      else f.brIf(hit, host, true);
      this.fault();
    });
    return host;
  }

  plainOperand(size: number, access: 'r' | 'w', missed: () => void): Expr {
    return this.#plain(this.f.let(this.operandLinear(size, access === 'w', missed)), size, access, missed);
  }

  plainArea(size: number, access: 'r' | 'w', missed: () => void): (offset: number) => Expr {
    const { f } = this;
    const at = f.let(this.operandLinear(size, access === 'w', missed));
    const first = this.#plain(at, 1, access, missed);
    const inFirst = f.let(i32(PAGE).sub(at.wrap().and(PAGE - 1)));
    const second = f.local('i32');
    f.set(second, first);
    f.if(inFirst.ltU(size), () => {
      f.set(second, this.#plain(f.let(at.add(inFirst.extendU())), 1, access, missed).sub(inFirst));
    });
    return (offset) => first.select(inFirst.gtU(offset), second);
  }

  /** Host address of bytes in one page of plain RAM. */
  #plain(at: Expr, size: number, access: 'r' | 'w', missed: () => void): Local {
    const { f } = this;
    const entry = this.#tlbEntry(at, access);
    const memory = this.#memory;
    const host = f.local('i32');
    f.block((hit) => {
      f.set(host, entry.addend.add(at.wrap()));
      f.brIf(hit, entry.tag.eq(lastPage(at, size)), true);
      if (memory?.plainOnly === true) {
        f.set(host, f.callValue(access === 'r' ? memory.readSlow : memory.writeSlow, at, i32(size)));
        f.brIf(hit, host, true);
      } else if (memory?.secondTlb !== undefined) {
        const addend = f.callValue(memory.secondTlb, at, i32(size), this.tlb(access));
        f.set(host, addend.add(at.wrap()));
        f.brIf(hit, addend, true);
      }
      missed();
    });
    return host;
  }

  commit(host: Expr): void {
    const memory = this.#memory;
    if (memory === undefined) return; // the TLB never leads to the bounce buffer
    const bounce = this.#base + STATE.bounce;
    this.f.if(host.sub(bounce).ltU(BOUNCE_BYTES), () => {
      this.f.if(this.f.callValue(memory.commit), () => this.fault());
    });
  }

  push(value: Expr, size: 2 | 4 | 8): void {
    const kept = this.f.let(value);
    const pointer = this.f.let(this.stackBelow(size));
    this.storeAt(SEGMENT.ss, pointer, size, kept);
    this.setStackPointer(pointer);
  }
  peek(depth: number, size: 2 | 4 | 8): Expr {
    const pointer = this.f.let(this.stackBelow(-depth));
    return this.loadAt(SEGMENT.ss, pointer, size);
  }

  // ---- ends ------------------------------------------------------------------------------------------------------------

  endAndPoll(): void {
    this.jump(this.ripNext());
  }
  raise(vector: number, errorCode?: number): void {
    this.setSlot32(STATE.faultVector, i32(vector));
    this.setSlot32(STATE.faultError, i32(errorCode ?? -1));
    this.fault();
  }
  local(type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128'): Local {
    return this.f.local(type);
  }

  protected operand(n: number): Variant['operands'][number] {
    const operand = this.variant.operands[n];
    if (operand === undefined) throw new Error(`${this.semantics.name} has no operand ${n}`);
    return operand;
  }
  /** Immediate `n` is the second one of the instruction. */
  protected isSecondImmediate(n: number): boolean {
    return this.variant.operands.slice(0, n).some((o) => o.kind === 'imm');
  }

  #tlbEntry(linear: Expr, access: 'r' | 'w'): { readonly tag: Expr; readonly addend: Expr } {
    const tlb = this.tlb(access);
    const index = linear
      .shrU(8)
      .wrap()
      .and((TLB.entries - 1) * TLB.entrySize);
    // An array at a known address is an offset of the loads: one addition less before the addend is there.
    const [at, first] = tlb instanceof Const ? [this.f.let(index), Number(tlb.value)] : [this.f.let(tlb.add(index)), 0];
    return { tag: at.load('i64', 8, first), addend: at.load('i32', 4, first + 8) };
  }
  /** A store that needs no read before: the fast path writes straight to RAM. */
  #storeTo(linear: Expr, size: number, store: (host: Expr) => void, window?: StackWindow, inOrder = false): void {
    const { f } = this;
    if (window !== undefined) {
      const host = this.#reach(linear, size, 'w', window, inOrder);
      store(host);
      this.commit(host);
      return;
    }
    const at = f.let(linear);
    const entry = this.#tlbEntry(at, 'w');
    const memory = this.#memory;
    if (memory === undefined) {
      f.if(entry.tag.ne(lastPage(at, size)), () => this.giveUp());
      store(entry.addend.add(at.wrap()));
      return;
    }
    f.if(
      entry.tag.eq(lastPage(at, size)),
      () => store(entry.addend.add(at.wrap())),
      () => {
        f.rare();
        const host = f.callValue(memory.writeSlow, at, i32(size));
        f.if(host.eqz(), () => this.fault());
        store(host);
        this.commit(host);
      },
    );
  }
  #requireAligned(linear: Expr, size: number): void {
    this.f.if(linear.wrap().and(size - 1), () => this.raise(VECTOR.gp, 0));
  }
}

/** The value with the bits above `size` cleared (i32 operands only). */
export const narrowTo = (value: Expr, size: number): Expr =>
  size === 1 ? value.and(0xff) : size === 2 ? value.and(0xffff) : value;

/** The page of the last byte: equals the entry's tag only if the access does not cross into another page. */
const lastPage = (at: Expr, size: number): Expr => (size === 1 ? at : at.add(size - 1)).and(-4096);
