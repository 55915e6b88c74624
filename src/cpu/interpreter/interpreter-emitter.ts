// Semantics over "fields of the decoded record": the emitter that turns each variant into one handler of the interpreter.
import { type Expr, i32, i64, type Local, VectorConst } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import type { Emitter, FlagEmitter, OperandSize, Variant } from '../emit/emitter.ts';
import { stateFlagStore, WordFlags } from '../emit/flag-emitter.ts';
import type { Semantics } from '../emit/semantics.ts';
import { SEG, SEGMENT, STATE, TLB } from '../state.ts';
import { EA, REC } from './record.ts';

/** What handlers call. */
export interface Runtime {
  /** (linear i64, size i32) → host address, 0 on a fault. Reading; writing. */
  readonly readSlow: FunctionRef;
  readonly writeSlow: FunctionRef;
  /** Writes the bounce buffer to where it belongs; not 0 on a fault. */
  readonly commit: FunctionRef;
  /** (record, size | write << 8) → linear address of the memory operand, −1 on a fault. */
  readonly addressSlow: FunctionRef;
  /** (segment, offset i64, size | write << 8) → linear address outside 64-bit mode, −1 on a fault. */
  readonly segmentSlow: FunctionRef;
  /** (record, helper number) → STATUS. */
  readonly helper: FunctionRef;
  /** (number, argument) → not 0 on a fault. */
  readonly compute: FunctionRef;
  /** Numbers of helpers and computes by name; asking registers the name. */
  helperNumber(name: string): number;
  computeNumber(name: string): number;
}

/** How a handler ends; differs between handlers inside the loop and those in functions of their own. */
export interface Ends {
  fault(): void;
  /** RIP is the expression; the instruction is complete. */
  jump(rip: Expr): void;
  /** Continue at a record of the same page; the instruction is complete. */
  take(record: Expr): void;
  /** A STATUS value from a helper. */
  status(status: Expr): void;
}

/** What a helper, or a handler in a function of its own, answers. */
export const STATUS = {
  next: 0,
  /** The fault slots are set; nothing of the instruction has happened. */
  fault: 1,
  /** The instruction is complete and `STATE.rip` is set. */
  jump: 2,
  /** As jump, and the exit slots are set. */
  exit: 3,
} as const;

const BOUNCE_BYTES = 64;

export class InterpreterEmitter implements Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly state: Expr;
  readonly flags: FlagEmitter;
  readonly #semantics: Semantics;
  readonly #rec: Expr;
  readonly #base: number;
  readonly #runtime: Runtime;
  readonly #ends: Ends;
  /** Host address of a memory operand probed by `get`, for `set`. */
  readonly #hosts = new Map<number, Expr>();
  #retry: { label: Label; old: Expr } | undefined;

  constructor(
    f: FunctionBuilder,
    rec: Expr,
    base: number,
    semantics: Semantics,
    variant: Variant,
    runtime: Runtime,
    ends: Ends,
  ) {
    this.f = f;
    this.#rec = rec;
    this.#base = base;
    this.state = i32(base);
    this.#semantics = semantics;
    this.variant = variant;
    this.#runtime = runtime;
    this.#ends = ends;
    this.flags = new WordFlags(f, stateFlagStore(f, this.state));
  }

  size(n: number): OperandSize {
    return this.#operand(n).size as OperandSize;
  }

  get(n: number): Expr {
    const { kind } = this.#operand(n);
    const size = this.size(n);
    switch (kind) {
      case 'imm':
      case 'rel': {
        const value = this.#rec.load('i64', 8, REC.immediate);
        if (this.#isSecondImmediate(n)) return this.#wide(this.#rec.load('i32', 4, REC.displacement), size);
        return this.f.let(size === 8 ? value : this.#narrow(this.#rec.load('i32', 4, REC.immediate), size));
      }
      case 'mem': {
        const writes = this.#semantics.access[n] === 'rw';
        const host = this.hostAddress(this.linear(n), size, writes ? 'w' : 'r');
        this.#hosts.set(n, host);
        if (writes && this.variant.lock) {
          const label = this.f.beginLoop();
          const old = this.f.let(host.load(size === 8 ? 'i64' : 'i32', size, 0));
          this.#retry = { label, old };
          return old;
        }
        return this.f.let(host.load(size === 8 ? 'i64' : 'i32', size, 0));
      }
      case 'gpr':
        return this.f.let(this.#register(n).load(size === 8 ? 'i64' : 'i32', size, this.#registerBase(n)));
      default:
        throw new Error(`${this.#semantics.name}: operand ${n} is ${kind}, which helpers read`);
    }
  }

  set(n: number, value: Expr): void {
    const { kind } = this.#operand(n);
    const size = this.size(n);
    if (kind === 'gpr') {
      const register = this.#register(n);
      // A 32-bit result clears the upper half: SDM vol. 1, 3.4.1.1.
      if (size === 4) this.f.store(register, 8, value.extendU(), this.#registerBase(n));
      else this.f.store(register, size, value, this.#registerBase(n));
      return;
    }
    if (kind !== 'mem') throw new Error(`${this.#semantics.name}: operand ${n} is ${kind}`);
    const host = this.#hosts.get(n);
    if (host === undefined) {
      const kept = this.f.let(value);
      this.#storeTo(this.linear(n), size, (at) => this.f.store(at, size, kept, 0));
      return;
    }
    if (this.#retry !== undefined) {
      const { label, old } = this.#retry;
      this.#retry = undefined;
      const replacement = this.f.let(this.#narrow(value, size));
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

  getVector(n: number, options: { aligned?: boolean } = {}): Expr {
    const { kind, size } = this.#operand(n);
    if (kind === 'xmm' || kind === 'mmx') {
      const register = this.#register(n);
      if (kind === 'mmx' || size === 8) return this.f.let(register.loadZero(8, this.#registerBase(n)));
      if (size === 4) return this.f.let(register.loadZero(4, this.#registerBase(n)));
      return this.f.let(register.loadV(this.#registerBase(n)));
    }
    const linear = this.linear(n);
    if (options.aligned === true) this.#requireAligned(linear);
    const host = this.hostAddress(linear, size, this.#semantics.access[n] === 'rw' ? 'w' : 'r');
    this.#hosts.set(n, host);
    if (size === 16) return this.f.let(host.loadV(0));
    if (size === 8 || size === 4) return this.f.let(host.loadZero(size, 0));
    const zero = new VectorConst(new Array<number>(16).fill(0));
    return this.f.let(zero.simd(0x1c, 'v128', [host.load('i32', size as 1 | 2, 0)], 0));
  }

  setVector(n: number, value: Expr, options: { aligned?: boolean } = {}): void {
    const { kind, size } = this.#operand(n);
    if (kind === 'xmm') {
      this.f.storeV(this.#register(n), value, this.#registerBase(n));
      return;
    }
    if (kind === 'mmx') {
      const register = this.f.let(this.#register(n));
      this.f.store(register, 8, value.simd(0x1d, 'i64', [], 0), this.#registerBase(n));
      this.f.store(register, 2, i32(0xffff), this.#registerBase(n) + 8);
      return;
    }
    const v = this.f.let(value);
    const linear = this.linear(n);
    if (options.aligned === true) this.#requireAligned(linear);
    this.#storeTo(linear, size, (at) => {
      if (size === 16) this.f.storeV(at, v, 0);
      else if (size === 8) this.f.store(at, 8, v.simd(0x1d, 'i64', [], 0), 0);
      else this.f.store(at, size as 1 | 2 | 4, v.simd(0x1b, 'i32', [], 0), 0);
    });
  }

  linear(n: number): Expr {
    const { f } = this;
    const size = this.#operand(n).size;
    const write = this.#semantics.access[n] !== 'r' && this.#semantics.access[n] !== 'a';
    const linear = f.local('i64');
    f.block((done) => {
      f.block((slow) => {
        f.block((full) => {
          const kind = f.let(this.#rec.load('i32', 1, REC.addressing));
          f.brIf(full, kind);
          f.set(linear, this.#stateAt(REC.base).add(this.#rec.loadS('i64', 4, REC.displacement)));
          f.br(done);
        });
        f.brIf(slow, this.#rec.load('i32', 1, REC.addressing).gtU(EA.full));
        const index = this.#stateAt(REC.index).shl(this.#rec.load('i64', 1, REC.scale));
        f.set(
          linear,
          this.#stateAt(REC.base).add(index).add(this.#rec.loadS('i64', 4, REC.displacement)).add(this.#stateAt(REC.segmentBase)),
        );
        f.br(done);
      });
      const found = f.callValue(this.#runtime.addressSlow, this.#rec, i32(size | (write ? 0x100 : 0)));
      f.set(linear, found);
      if (this.#semantics.access[n] !== 'a') f.if(found.eq(-1), () => this.#ends.fault());
    });
    return linear;
  }

  offset(_n: number): Expr {
    const { f } = this;
    // Register numbers are the same in every mode; only the truncation differs.
    const offset = f.local('i64');
    f.set(
      offset,
      this.#stateAt(REC.base)
        .add(this.#stateAt(REC.index).shl(this.#rec.load('i64', 1, REC.scale)))
        .add(this.#rec.loadS('i64', 4, REC.displacement)),
    );
    const kind = f.let(this.#rec.load('i32', 1, REC.addressing));
    f.if(kind.gtU(EA.full), () => {
      const inPage = this.#rec.load('i64', 2, REC.offset).add(this.#rec.load('i64', 1, REC.length));
      f.if(
        kind.eq(EA.ripWide),
        () => f.set(offset, offset.add(inPage)),
        () => f.set(offset, offset.and(i64(0xffff).select(kind.eq(EA.slow16), i64(0xffff_ffff)))),
      );
    });
    return offset;
  }

  gpr(register: number, size: OperandSize): Expr {
    return this.f.let(this.state.load(size === 8 ? 'i64' : 'i32', size, STATE.gpr + register * 8));
  }
  setGpr(register: number, size: OperandSize, value: Expr): void {
    if (size === 4) this.f.store(this.state, 8, value.extendU(), STATE.gpr + register * 8);
    else this.f.store(this.state, size, value, STATE.gpr + register * 8);
  }
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

  loadAt(segment: number | 'operand', offset: Expr, size: OperandSize): Expr {
    const host = this.hostAddress(this.linearAt(segment, offset, size, false), size, 'r');
    return this.f.let(host.load(size === 8 ? 'i64' : 'i32', size, 0));
  }
  storeAt(segment: number | 'operand', offset: Expr, size: OperandSize, value: Expr): void {
    const kept = this.f.let(value);
    this.#storeTo(this.linearAt(segment, offset, size, true), size, (at) => this.f.store(at, size, kept, 0));
  }
  linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr {
    const { f } = this;
    if (this.variant.long) {
      if (segment === 'operand') return f.let(offset.add(this.#stateAt(REC.segmentBase)));
      const based = segment === SEGMENT.fs || segment === SEGMENT.gs;
      return f.let(based ? offset.add(this.slot64(STATE.seg + segment * SEG.sizeof + SEG.base)) : offset);
    }
    const which = segment === 'operand' ? this.#rec.load('i32', 1, REC.segment) : i32(segment);
    const linear = f.callValue(this.#runtime.segmentSlow, which, offset, i32(size | (write ? 0x100 : 0)));
    f.if(linear.eq(-1), () => this.#ends.fault());
    return linear;
  }

  hostAddress(linear: Expr, size: number, access: 'r' | 'w'): Expr {
    const { f } = this;
    const at = f.let(linear);
    const host = f.local('i32');
    const entry = this.#tlbEntry(at, access);
    f.block((hit) => {
      f.set(host, entry.load('i32', 4, 8).add(at.wrap()));
      f.brIf(hit, entry.load('i64', 8, 0).eq(lastPage(at, size)));
      // A write that starts with a read wants the old contents in the bounce buffer: bit 8.
      const slow = access === 'r' ? this.#runtime.readSlow : this.#runtime.writeSlow;
      f.set(host, f.callValue(slow, at, i32(access === 'r' ? size : size | 0x100)));
      f.brIf(hit, host);
      this.#ends.fault();
    });
    return host;
  }

  commit(host: Expr): void {
    const bounce = this.#base + STATE.bounce;
    this.f.if(host.sub(bounce).ltU(BOUNCE_BYTES), () => {
      this.f.if(this.f.callValue(this.#runtime.commit), () => this.#ends.fault());
    });
  }

  push(value: Expr, size: 2 | 4 | 8): void {
    const kept = this.f.let(value);
    const pointer = this.f.let(this.#truncateStack(this.state.load('i64', 8, STATE.gpr + 32).sub(size)));
    this.#storeTo(this.linearAt(SEGMENT.ss, pointer, size, true), size, (at) => this.f.store(at, size, kept, 0));
    this.setStackPointer(pointer);
  }
  peek(depth: number, size: 2 | 4 | 8): Expr {
    const pointer = this.f.let(this.#truncateStack(this.state.load('i64', 8, STATE.gpr + 32).add(depth)));
    return this.loadAt(SEGMENT.ss, pointer, size);
  }
  stackPointer(): Expr {
    return this.f.let(this.#truncateStack(this.state.load('i64', 8, STATE.gpr + 32)));
  }
  setStackPointer(value: Expr): void {
    if (this.variant.long) {
      this.f.store(this.state, 8, value, STATE.gpr + 32);
      return;
    }
    const mask = this.f.let(this.slot64(STATE.stackMask));
    const old = this.state.load('i64', 8, STATE.gpr + 32);
    // A 32-bit stack pointer is zero-extended, a 16-bit one leaves the rest of ESP alone.
    const kept = old.and(mask.not()).and(0xffff_ffff);
    this.f.store(this.state, 8, kept.or(value.and(mask)), STATE.gpr + 32);
  }

  ripNext(): Expr {
    const next = this.slot64(STATE.ripBase)
      .add(this.#rec.load('i64', 2, REC.offset))
      .add(this.#rec.load('i64', 1, REC.length));
    return this.f.let(this.variant.long ? next : next.and(0xffff_ffff));
  }

  jump(rip: Expr): void {
    this.#ends.jump(rip);
  }
  jumpRelative(): void {
    const { f } = this;
    const target = f.let(this.#rec.load('i32', 4, REC.immediate).load('i32', 4, 0));
    f.if(target, () => this.#ends.take(target));
    const rip = f.let(
      this.slot64(STATE.ripBase)
        .add(this.#rec.load('i64', 2, REC.offset))
        .add(this.#rec.load('i64', 1, REC.length))
        .add(this.#rec.loadS('i64', 4, REC.displacement)),
    );
    const width = this.#rec.load('i32', 1, REC.segment);
    const narrow = f.let(rip.and(i64(0xffff).select(width.eq(2), i64(0xffff_ffff))));
    this.#ends.jump(f.let(narrow.select(width, rip)));
  }
  endAndPoll(): void {
    this.#ends.jump(this.ripNext());
  }
  raise(vector: number, errorCode?: number): void {
    this.setSlot32(STATE.faultVector, i32(vector));
    this.setSlot32(STATE.faultError, i32(errorCode ?? -1));
    this.#ends.fault();
  }
  fault(): void {
    this.#ends.fault();
  }
  helper(name: string): void {
    this.#ends.status(this.f.callValue(this.#runtime.helper, this.#rec, i32(this.#runtime.helperNumber(name))));
  }
  compute(name: string, argument = 0): void {
    const failed = this.f.callValue(this.#runtime.compute, i32(this.#runtime.computeNumber(name)), i32(argument));
    this.f.if(failed, () => this.#ends.fault());
  }
  local(type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128'): Local {
    return this.f.local(type);
  }

  #operand(n: number): Variant['operands'][number] {
    const operand = this.variant.operands[n];
    if (operand === undefined) throw new Error(`${this.#semantics.name} has no operand ${n}`);
    return operand;
  }

  /** Which of reg0, reg1, reg2 holds operand `n`: register operands are numbered in order of appearance. */
  #register(n: number): Expr {
    if (this.#operand(n).fixed !== undefined) return this.state;
    let nth = 0;
    for (let i = 0; i < n; i++) {
      const { kind, fixed } = this.#operand(i);
      if (kind !== 'mem' && kind !== 'imm' && kind !== 'rel' && fixed === undefined) nth++;
    }
    return this.f.let(this.#rec.load('i32', 2, REC.reg0 + nth * 2));
  }
  #registerBase(n: number): number {
    const { fixed } = this.#operand(n);
    return fixed === undefined ? this.#base : STATE.gpr + fixed * 8;
  }
  #isSecondImmediate(n: number): boolean {
    return this.variant.operands.slice(0, n).some((o) => o.kind === 'imm');
  }
  #wide(value: Expr, size: OperandSize): Expr {
    return this.f.let(size === 8 ? value.extendS() : this.#narrow(value, size));
  }
  /** The value with the bits above `size` cleared (i32 operands only). */
  #narrow(value: Expr, size: OperandSize): Expr {
    return size === 1 ? value.and(0xff) : size === 2 ? value.and(0xffff) : value;
  }
  /** The i64 in the state slot a record field names. */
  #stateAt(field: number): Expr {
    return this.#rec.load('i32', 2, field).load('i64', 8, this.#base);
  }
  #truncateStack(pointer: Expr): Expr {
    return this.variant.long ? pointer : pointer.and(this.slot64(STATE.stackMask));
  }
  #tlbEntry(linear: Expr, access: 'r' | 'w'): Expr {
    const array = this.state.load('i32', 4, access === 'r' ? STATE.tlbRead : STATE.tlbWrite);
    return this.f.let(array.add(linear.shrU(8).wrap().and((TLB.entries - 1) * TLB.entrySize)));
  }
  /** A store that needs no read before: the fast path writes straight to RAM. */
  #storeTo(linear: Expr, size: number, store: (host: Expr) => void): void {
    const { f } = this;
    const at = f.let(linear);
    const entry = this.#tlbEntry(at, 'w');
    f.if(
      entry.load('i64', 8, 0).eq(lastPage(at, size)),
      () => store(entry.load('i32', 4, 8).add(at.wrap())),
      () => {
        const host = f.callValue(this.#runtime.writeSlow, at, i32(size));
        f.if(host.eqz(), () => this.#ends.fault());
        store(host);
        this.commit(host);
      },
    );
  }
  #requireAligned(linear: Expr): void {
    this.f.if(linear.wrap().and(15), () => this.raise(13, 0));
  }
}

/** The page of the last byte: equals the entry's tag only if the access does not cross into another page. */
const lastPage = (at: Expr, size: number): Expr => (size === 1 ? at : at.add(size - 1)).and(-4096);

