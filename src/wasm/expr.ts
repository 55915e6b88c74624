// Expressions: trees of WebAssembly operators, built by methods and written out where a statement consumes them.
// Constant operands fold, so one description of an instruction serves both tiers: the interpreter builds trees over
// loads from a record, the translator over constants.
import type { ByteWriter } from './byte-writer.ts';
import { CONVERT, FLOAT, INTEGER, LOAD, TYPE_CODE, type ValueType } from './opcodes.ts';

type IntegerOp = keyof typeof INTEGER;
type Operand = Expr | number | bigint;

const MASK64 = (1n << 64n) - 1n;

export abstract class Expr {
  readonly type: ValueType;
  constructor(type: ValueType) {
    this.type = type;
  }
  /** Writes the code that leaves the value on the stack. */
  abstract emit(out: ByteWriter): void;

  add(x: Operand): Expr {
    return binary(this, 'add', x);
  }
  sub(x: Operand): Expr {
    return binary(this, 'sub', x);
  }
  mul(x: Operand): Expr {
    return binary(this, 'mul', x);
  }
  divU(x: Operand): Expr {
    return binary(this, 'divU', x);
  }
  divS(x: Operand): Expr {
    return binary(this, 'divS', x);
  }
  remU(x: Operand): Expr {
    return binary(this, 'remU', x);
  }
  remS(x: Operand): Expr {
    return binary(this, 'remS', x);
  }
  and(x: Operand): Expr {
    return binary(this, 'and', x);
  }
  or(x: Operand): Expr {
    return binary(this, 'or', x);
  }
  xor(x: Operand): Expr {
    return binary(this, 'xor', x);
  }
  not(): Expr {
    return this.xor(-1);
  }
  neg(): Expr {
    return constant(this.type as 'i32' | 'i64', 0).sub(this);
  }
  shl(x: Operand): Expr {
    return binary(this, 'shl', x);
  }
  shrU(x: Operand): Expr {
    return binary(this, 'shrU', x);
  }
  shrS(x: Operand): Expr {
    return binary(this, 'shrS', x);
  }
  rotl(x: Operand): Expr {
    return binary(this, 'rotl', x);
  }
  rotr(x: Operand): Expr {
    return binary(this, 'rotr', x);
  }
  eq(x: Operand): Expr {
    return binary(this, 'eq', x, 'i32');
  }
  ne(x: Operand): Expr {
    return binary(this, 'ne', x, 'i32');
  }
  ltU(x: Operand): Expr {
    return binary(this, 'ltU', x, 'i32');
  }
  ltS(x: Operand): Expr {
    return binary(this, 'ltS', x, 'i32');
  }
  gtU(x: Operand): Expr {
    return binary(this, 'gtU', x, 'i32');
  }
  gtS(x: Operand): Expr {
    return binary(this, 'gtS', x, 'i32');
  }
  leU(x: Operand): Expr {
    return binary(this, 'leU', x, 'i32');
  }
  leS(x: Operand): Expr {
    return binary(this, 'leS', x, 'i32');
  }
  geU(x: Operand): Expr {
    return binary(this, 'geU', x, 'i32');
  }
  geS(x: Operand): Expr {
    return binary(this, 'geS', x, 'i32');
  }
  eqz(): Expr {
    if (this instanceof Const) return constant('i32', this.small === 0 ? 1 : 0);
    return unary(this, 'eqz', 'i32');
  }
  clz(): Expr {
    return unary(this, 'clz');
  }
  ctz(): Expr {
    return unary(this, 'ctz');
  }
  popcnt(): Expr {
    return unary(this, 'popcnt');
  }
  extend8S(): Expr {
    return unary(this, 'extend8S');
  }
  extend16S(): Expr {
    return unary(this, 'extend16S');
  }

  /** i64 → i32. */
  wrap(): Expr {
    if (this instanceof Const) return constant('i32', this.small ?? this.value);
    return this.convert('wrap');
  }
  /** i32 → i64. */
  extendU(): Expr {
    if (this instanceof Const) return constant('i64', this.value & 0xffff_ffffn);
    return this.convert('extendU');
  }
  extendS(): Expr {
    if (this instanceof Const) return constant('i64', BigInt.asIntN(32, this.value));
    return this.convert('extendS');
  }
  /** Sign-extends the low half of an i64. */
  extend32S(): Expr {
    return this.convert('extend32S');
  }
  convert(name: keyof typeof CONVERT): Expr {
    const [code, type, from] = CONVERT[name];
    if (this.type !== from) throw new TypeError(`${name} of ${this.type}`);
    return new Op(type, code, [this]);
  }

  float(op: keyof typeof FLOAT, ...rest: Expr[]): Expr {
    const comparison = FLOAT[op][0] < 0x67;
    return new Op(comparison ? 'i32' : this.type, FLOAT[op][this.type === 'f64' ? 1 : 0], [this, ...rest]);
  }

  /** `condition ? this : other`, both evaluated. */
  select(condition: Expr, other: Operand): Expr {
    const b = other instanceof Expr ? other : constant(this.type as 'i32' | 'i64', other);
    if (condition instanceof Const) return condition.small !== 0 ? this : b;
    return new Select(this, b, condition);
  }

  /** The value at the address this i32 holds, plus `offset`. Narrow loads zero-extend. */
  load(type: 'i32' | 'i64', size: 1 | 2 | 4 | 8, offset: number): Expr {
    return new Load(type, (LOAD[type] as Record<number, number>)[size] as number, this, offset);
  }
  loadS(type: 'i32' | 'i64', size: 1 | 2 | 4 | 8, offset: number): Expr {
    return new Load(type, (LOAD[`${type}S`] as Record<number, number>)[size] as number, this, offset);
  }
  loadF(type: 'f32' | 'f64', offset: number): Expr {
    return new Load(type, type === 'f32' ? 0x2a : 0x2b, this, offset);
  }
  loadV(offset: number): Expr {
    return new LoadVector(0x00, this, offset);
  }
  /** v128 with 4 or 8 bytes loaded into the low lane and zero elsewhere. */
  loadZero(bytes: 4 | 8, offset: number): Expr {
    return new LoadVector(bytes === 4 ? 0x5c : 0x5d, this, offset);
  }

  /** A SIMD operator by its opcode (core specification 5.4.7); `lane` is its immediate, if it has one. */
  simd(opcode: number, result: ValueType, operands: readonly Expr[] = [], lane?: number): Expr {
    return new Simd(result, opcode, [this, ...operands], lane === undefined ? [] : [lane]);
  }
  /** i8x16.shuffle of this and `other`. */
  shuffle(other: Expr, lanes: readonly number[]): Expr {
    if (lanes.length !== 16) throw new RangeError('a shuffle has 16 lanes');
    return new Simd('v128', 0x0d, [this, other], lanes);
  }
}

/** A number becomes a constant of `like`'s type. */
function operand(like: Expr, x: Operand): Expr {
  if (!(x instanceof Expr)) return constant(like.type as 'i32' | 'i64', x);
  if (x.type !== like.type) throw new TypeError(`operand is ${x.type}, expected ${like.type}`);
  return x;
}

// Functions, not private methods: those would cost every one of a hundred thousand nodes a brand.
function binary(a: Expr, op: IntegerOp, x: Operand, result: ValueType = a.type): Expr {
  const b = operand(a, x);
  if (b instanceof Const) {
    if (a instanceof Const) {
      const folded = fold(op, a, b);
      if (folded !== undefined) return folded;
    }
    if (b.small === 0 && IDENTITY_ZERO.has(op)) return a;
  }
  return new Op(result, INTEGER[op][a.type === 'i64' ? 1 : 0], [a, b]);
}

const unary = (a: Expr, op: IntegerOp, result: ValueType = a.type): Expr =>
  new Op(result, INTEGER[op][a.type === 'i64' ? 1 : 0], [a]);

const IDENTITY_ZERO: ReadonlySet<string> = new Set(['add', 'sub', 'or', 'xor', 'shl', 'shrU', 'shrS', 'rotl', 'rotr']);

export class Const extends Expr {
  /** The signed value where 32 bits hold it, as they do for every i32: most constants never need a BigInt. */
  readonly small: number | undefined;
  readonly #wide: bigint;
  constructor(type: 'i32' | 'i64', value: number | bigint) {
    super(type);
    const number = Number(value);
    const low = number | 0;
    if (low === number || (type === 'i32' && typeof value === 'number')) {
      this.small = low;
      this.#wide = 0n;
    } else {
      const wide = BigInt.asIntN(type === 'i32' ? 32 : 64, BigInt(value));
      this.small = type === 'i32' ? Number(wide) : undefined;
      this.#wide = wide;
    }
  }
  /** Unsigned, in the width of the type. */
  get value(): bigint {
    return BigInt.asUintN(this.type === 'i32' ? 32 : 64, this.small === undefined ? this.#wide : BigInt(this.small));
  }
  emit(out: ByteWriter): void {
    out.u8(this.type === 'i32' ? 0x41 : 0x42);
    if (this.small !== undefined) out.slebSmall(this.small);
    else out.sleb(this.#wide);
  }
}

export const constant = (type: 'i32' | 'i64', value: number | bigint): Const => new Const(type, value);
export const i32 = (value: number): Const => constant('i32', value);
export const i64 = (value: number | bigint): Const => constant('i64', value);

/** A local variable; reading it is an expression. */
export class Local extends Expr {
  readonly index: number;
  constructor(type: ValueType, index: number) {
    super(type);
    this.index = index;
  }
  emit(out: ByteWriter): void {
    out.u8(0x20);
    out.uleb(this.index);
  }
}

class Op extends Expr {
  readonly #code: number;
  readonly #operands: readonly Expr[];
  constructor(type: ValueType, code: number, operands: readonly Expr[]) {
    super(type);
    this.#code = code;
    this.#operands = operands;
  }
  emit(out: ByteWriter): void {
    for (const operand of this.#operands) operand.emit(out);
    out.u8(this.#code);
  }
}

class Select extends Expr {
  readonly #a: Expr;
  readonly #b: Expr;
  readonly #condition: Expr;
  constructor(a: Expr, b: Expr, condition: Expr) {
    super(a.type);
    this.#a = a;
    this.#b = b;
    this.#condition = condition;
  }
  emit(out: ByteWriter): void {
    this.#a.emit(out);
    this.#b.emit(out);
    this.#condition.emit(out);
    if (this.type === 'v128') {
      out.u8(0x1c);
      out.u8(1);
      out.u8(TYPE_CODE.v128);
    } else out.u8(0x1b);
  }
}

class Load extends Expr {
  readonly #code: number;
  readonly #address: Expr;
  readonly #offset: number;
  constructor(type: ValueType, code: number, address: Expr, offset: number) {
    super(type);
    this.#code = code;
    this.#address = address;
    this.#offset = offset;
  }
  emit(out: ByteWriter): void {
    this.#address.emit(out);
    out.u8(this.#code);
    out.u8(0);
    out.uleb(this.#offset);
  }
}

class LoadVector extends Expr {
  readonly #code: number;
  readonly #address: Expr;
  readonly #offset: number;
  constructor(code: number, address: Expr, offset: number) {
    super('v128');
    this.#code = code;
    this.#address = address;
    this.#offset = offset;
  }
  emit(out: ByteWriter): void {
    this.#address.emit(out);
    out.u8(0xfd);
    out.uleb(this.#code);
    out.u8(0);
    out.uleb(this.#offset);
  }
}

class Simd extends Expr {
  readonly #code: number;
  readonly #operands: readonly Expr[];
  readonly #immediates: readonly number[];
  constructor(type: ValueType, code: number, operands: readonly Expr[], immediates: readonly number[]) {
    super(type);
    this.#code = code;
    this.#operands = operands;
    this.#immediates = immediates;
  }
  emit(out: ByteWriter): void {
    for (const operand of this.#operands) operand.emit(out);
    out.u8(0xfd);
    out.uleb(this.#code);
    for (const byte of this.#immediates) out.u8(byte);
  }
}

/** A v128 constant from 16 bytes, lowest first. */
export class VectorConst extends Expr {
  readonly #bytes: readonly number[];
  constructor(bytes: readonly number[]) {
    super('v128');
    if (bytes.length !== 16) throw new RangeError('a v128 has 16 bytes');
    this.#bytes = bytes;
  }
  emit(out: ByteWriter): void {
    out.u8(0xfd);
    out.uleb(0x0c);
    for (const byte of this.#bytes) out.u8(byte);
  }
}

function fold(op: IntegerOp, a: Const, b: Const): Const | undefined {
  const type = a.type as 'i32' | 'i64';
  if (a.small !== undefined && b.small !== undefined) {
    // Neither sum can be rounded: both are of 32 bits.
    if (op === 'add') return constant(type, a.small + b.small);
    if (op === 'sub') return constant(type, a.small - b.small);
    if (op === 'and') return constant(type, a.small & b.small);
    if (op === 'or') return constant(type, a.small | b.small);
    if (op === 'xor') return constant(type, a.small ^ b.small);
  }
  const bits = type === 'i32' ? 32n : 64n;
  const x = a.value;
  const y = b.value;
  const sx = BigInt.asIntN(Number(bits), x);
  const bool = (value: boolean) => constant('i32', value ? 1 : 0);
  switch (op) {
    case 'add':
      return constant(type, x + y);
    case 'sub':
      return constant(type, x - y);
    case 'mul':
      return constant(type, x * y);
    case 'and':
      return constant(type, x & y);
    case 'or':
      return constant(type, x | y);
    case 'xor':
      return constant(type, x ^ y);
    case 'shl':
      return constant(type, (x << (y % bits)) & MASK64);
    case 'shrU':
      return constant(type, x >> (y % bits));
    case 'shrS':
      return constant(type, sx >> (y % bits));
    case 'eq':
      return bool(x === y);
    case 'ne':
      return bool(x !== y);
    case 'ltU':
      return bool(x < y);
    case 'gtU':
      return bool(x > y);
    default:
      return undefined;
  }
}
