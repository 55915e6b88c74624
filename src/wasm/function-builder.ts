// One WebAssembly function body: statements, structured control flow and locals.
import { ByteWriter } from './byte-writer.ts';
import { Const, type Expr, Local } from './expr.ts';
import { ATOMIC, STORE, TYPE_CODE, type ValueType } from './opcodes.ts';

/** A branch target: the end of a block or the head of a loop. */
export interface Label {
  readonly depth: number;
}

/** A function of the module being built, by index. */
export interface FunctionRef {
  readonly index: number;
  readonly results: readonly ValueType[];
}

/** Which way a branch goes nearly always: of an `if` or a `br_if`, by the place of its opcode. */
export interface BranchHint {
  at: number;
  readonly taken: boolean;
}

export class FunctionBuilder {
  readonly params: readonly Local[];
  readonly results: readonly ValueType[];
  readonly code: ByteWriter = new ByteWriter(256);
  readonly #locals: ValueType[] = [];
  readonly #parameterCount: number;
  /** Locals that nobody has now, the one that is longest free first. */
  readonly #free: Partial<Record<ValueType, Local[]>> = {};
  #scope: Local[] | undefined;
  /** Variables made by `let`, until they are given back. */
  readonly #kept = new Set<Expr>();
  #depth = 0;
  readonly #hints: BranchHint[] = [];
  /** Depth of the innermost open body that hardly ever runs. */
  #rareAt = -1;

  constructor(params: readonly ValueType[], results: readonly ValueType[]) {
    this.params = params.map((type, index) => new Local(type, index));
    this.#parameterCount = params.length;
    this.results = results;
  }

  /** Emits `body` in front of what was emitted since the code had `at` bytes. */
  insert(at: number, body: () => void): void {
    const tail = this.code.cut(at);
    const moved = this.#hints.filter((hint) => hint.at >= at);
    body();
    const by = this.code.length - at;
    for (const hint of moved) hint.at += by;
    this.code.bytes(tail);
  }

  /** What is emitted here hardly ever runs: a hint for the innermost open `if` whose body it is. */
  rare(): void {
    this.#rareAt = this.#depth;
  }

  /** A new variable, given back at the end of the enclosing `scope`. Its value is whatever was there before. */
  local(type: ValueType): Local {
    let local = this.#free[type]?.shift();
    if (local === undefined) {
      local = new Local(type, this.#parameterCount + this.#locals.length);
      this.#locals.push(type);
    }
    this.#scope?.push(local);
    return local;
  }

  /** How many blocks, loops and ifs are open. */
  get depth(): number {
    return this.#depth;
  }

  /** A new variable that is never given back. */
  variable(type: ValueType): Local {
    this.#locals.push(type);
    return new Local(type, this.#parameterCount + this.#locals.length - 1);
  }

  /** Locals taken inside `body` are free again after it. */
  scope(body: () => void): void {
    const outer = this.#scope;
    this.#scope = [];
    body();
    for (const local of this.#scope) {
      this.#kept.delete(local);
      const free = this.#free[local.type];
      if (free === undefined) this.#free[local.type] = [local];
      else free.push(local);
    }
    this.#scope = outer;
  }

  /** Evaluates now and keeps the value, which nothing may `set`; constants, and what is kept already, stay what they are. */
  let(value: Expr): Expr {
    if (value instanceof Const || this.#kept.has(value)) return value;
    const local = this.local(value.type);
    this.set(local, value);
    this.#kept.add(local);
    return local;
  }

  set(local: Local, value: Expr): void {
    if (this.#kept.has(local)) throw new Error('a value that is kept is set');
    if (value.type !== local.type) throw new TypeError(`local is ${local.type}, value ${value.type}`);
    value.emit(this.code);
    this.code.u8(0x21);
    this.code.uleb(local.index);
  }

  store(address: Expr, size: 1 | 2 | 4 | 8, value: Expr, offset: number): void {
    address.emit(this.code);
    value.emit(this.code);
    this.code.u8((STORE[value.type as 'i32' | 'i64'] as Record<number, number>)[size] as number);
    this.code.u8(0);
    this.code.uleb(offset);
  }
  storeF(address: Expr, value: Expr, offset: number): void {
    address.emit(this.code);
    value.emit(this.code);
    this.code.u8(value.type === 'f32' ? 0x38 : 0x39);
    this.code.u8(0);
    this.code.uleb(offset);
  }
  storeV(address: Expr, value: Expr, offset: number): void {
    address.emit(this.code);
    value.emit(this.code);
    this.code.u8(0xfd);
    this.code.uleb(0x0b);
    this.code.u8(0);
    this.code.uleb(offset);
  }

  /** Compare-exchange; the result is the value found. The address must be aligned to `size`. */
  cmpxchg(address: Expr, size: 1 | 2 | 4 | 8, expected: Expr, replacement: Expr): Expr {
    const type = expected.type as 'i32' | 'i64';
    address.emit(this.code);
    expected.emit(this.code);
    replacement.emit(this.code);
    this.code.u8(0xfe);
    this.code.u8((ATOMIC.cmpxchg[type] as Record<number, number>)[size] as number);
    this.code.u8(Math.log2(size));
    this.code.uleb(0);
    return this.#take(type);
  }
  /** Atomic exchange; the result is the value found. */
  xchg(address: Expr, size: 1 | 2 | 4 | 8, value: Expr): Expr {
    const type = value.type as 'i32' | 'i64';
    address.emit(this.code);
    value.emit(this.code);
    this.code.u8(0xfe);
    this.code.u8((ATOMIC.xchg[type] as Record<number, number>)[size] as number);
    this.code.u8(Math.log2(size));
    this.code.uleb(0);
    return this.#take(type);
  }
  /** memory.copy: like memmove. All i32. */
  memoryCopy(to: Expr, from: Expr, count: Expr): void {
    for (const operand of [to, from, count]) operand.emit(this.code);
    for (const byte of [0xfc, 0x0a, 0, 0]) this.code.u8(byte);
  }
  memoryFill(at: Expr, value: Expr, count: Expr): void {
    for (const operand of [at, value, count]) operand.emit(this.code);
    for (const byte of [0xfc, 0x0b, 0]) this.code.u8(byte);
  }

  block(body: (end: Label) => void): void {
    this.code.u8(0x02);
    this.#structured(body);
  }
  loop(body: (head: Label) => void): void {
    this.code.u8(0x03);
    this.#structured(body);
  }
  /** A loop whose end comes with `endLoop`, for code that is emitted piece by piece. */
  beginLoop(): Label {
    this.code.u8(0x03);
    this.code.u8(0x40);
    return { depth: ++this.#depth };
  }
  endLoop(): void {
    this.#depth--;
    this.code.u8(0x0b);
  }
  if(condition: Expr, then: () => void, otherwise?: () => void): void {
    if (condition instanceof Const) {
      if (condition.small !== 0) then();
      else otherwise?.();
      return;
    }
    condition.emit(this.code);
    const at = this.code.length;
    this.code.u8(0x04);
    this.code.u8(0x40);
    this.#depth++;
    const thenIsRare = this.#isRare(then);
    let otherwiseIsRare = false;
    if (otherwise !== undefined) {
      this.code.u8(0x05);
      otherwiseIsRare = this.#isRare(otherwise);
    }
    this.#depth--;
    this.code.u8(0x0b);
    if (thenIsRare !== otherwiseIsRare) this.#hints.push({ at, taken: otherwiseIsRare });
  }
  #isRare(body: () => void): boolean {
    const outer = this.#rareAt;
    this.#rareAt = -1;
    body();
    const rare = this.#rareAt === this.#depth;
    this.#rareAt = outer;
    return rare;
  }
  br(label: Label): void {
    this.code.u8(0x0c);
    this.code.uleb(this.#depth - label.depth);
  }
  /** `taken`: which way it goes nearly always. */
  brIf(label: Label, condition: Expr, taken?: boolean): void {
    condition.emit(this.code);
    if (taken !== undefined) this.#hints.push({ at: this.code.length, taken });
    this.code.u8(0x0d);
    this.code.uleb(this.#depth - label.depth);
  }
  brTable(labels: readonly Label[], otherwise: Label, index: Expr): void {
    index.emit(this.code);
    this.code.u8(0x0e);
    this.code.uleb(labels.length);
    for (const label of [...labels, otherwise]) this.code.uleb(this.#depth - label.depth);
  }
  return(...values: Expr[]): void {
    for (const value of values) value.emit(this.code);
    this.code.u8(0x0f);
  }
  unreachable(): void {
    this.code.u8(0x00);
  }

  /** Calls for effect; results, if any, are dropped. */
  call(target: FunctionRef, ...args: Expr[]): void {
    for (const arg of args) arg.emit(this.code);
    this.code.u8(0x10);
    this.code.uleb(target.index);
    for (const _ of target.results) this.code.u8(0x1a);
  }
  /** Calls now and keeps the one result. */
  callValue(target: FunctionRef, ...args: Expr[]): Local {
    for (const arg of args) arg.emit(this.code);
    this.code.u8(0x10);
    this.code.uleb(target.index);
    return this.#take(target.results[0] as ValueType);
  }
  callIndirect(typeIndex: number, result: ValueType, index: Expr, ...args: Expr[]): Local {
    return this.callTable(0, typeIndex, result, index, ...args);
  }
  callTable(table: 0 | 1, typeIndex: number, result: ValueType, index: Expr, ...args: Expr[]): Local {
    for (const arg of args) arg.emit(this.code);
    index.emit(this.code);
    this.code.u8(0x11);
    this.code.uleb(typeIndex);
    this.code.u8(table);
    return this.#take(result);
  }

  /** The body with its local declarations, as the code section wants it (without the size prefix), and hints by places in that. */
  finish(): { readonly body: Uint8Array; readonly hints: readonly BranchHint[] } {
    const out = new ByteWriter(this.code.length + 32);
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    out.uleb(runs.length);
    for (const { type, count } of runs) {
      out.uleb(count);
      out.u8(TYPE_CODE[type]);
    }
    const first = out.length;
    out.bytes(this.code.toUint8Array());
    out.u8(0x0b);
    const hints = this.#hints.map(({ at, taken }) => ({ at: at + first, taken })).sort((a, b) => a.at - b.at);
    return { body: out.toUint8Array(), hints };
  }

  #structured(body: (label: Label) => void): void {
    this.code.u8(0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#depth--;
    this.code.u8(0x0b);
  }
  #take(type: ValueType): Local {
    const local = this.local(type);
    this.code.u8(0x21);
    this.code.uleb(local.index);
    return local;
  }
}
