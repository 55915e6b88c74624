// Single bits and bit scans. SDM vol. 2: BT, BTS, BTR, BTC, BSF, BSR, POPCNT, CRC32.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { FLAG } from '../state.ts';
import { dwords, lane, laneBytes, vector } from './simd-ops.ts';
import { bit, bitsOf, signExtend, sized, truncated } from './value.ts';

/** The new value of the word, given a mask with the selected bit set; undefined for BT. */
type Change = ((word: Expr, mask: Expr) => Expr) | undefined;

/** An operand and a bit number within it. */
function withinOperand(e: Emitter, change: Change): void {
  const size = e.size(0);
  const number = e.get(1);
  const asWord = e.size(1) === size ? number : size === 8 ? number.extendU() : number;
  const n = e.f.let(asWord.and(bitsOf(size) - 1));
  const word = e.get(0);
  const old = e.f.let(bit(word, n));
  if (change !== undefined) e.set(0, change(word, sized(size, 1).shl(n)));
  e.flags.setCarry(old);
}

/**
 * A bit string in memory: the register is a signed distance in bits from the operand's first byte. Locked forms are atomic
 * on the byte that holds the bit, which is always aligned.
 */
function inBitString(e: Emitter, change: Change): void {
  const { f } = e;
  const { asize, lock } = e.variant;
  const size = e.size(1);
  const type = size === 8 ? 'i64' : 'i32';
  const number = e.get(1);
  const unit = Math.log2(bitsOf(size));
  const distance = signExtend(number, size, 8)
    .shrS(unit)
    .shl(unit - 3);
  const offset = f.let(truncated(e.offset(0).add(distance), asize));
  const n = f.let(number.and(bitsOf(size) - 1));
  if (change === undefined) {
    e.flags.setCarry(f.let(bit(e.loadAt('operand', offset, size), n)));
    return;
  }
  const host = e.hostAddress(e.linearAt('operand', offset, size, true), size, 'w');
  if (lock) {
    const at = f.let(host.add((size === 8 ? n.wrap() : n).shrU(3)));
    const inByte = f.let((size === 8 ? n.wrap() : n).and(7));
    const mask = f.let(i32(1).shl(inByte));
    const old = f.local('i32');
    f.loop((retry) => {
      f.set(old, at.load('i32', 1, 0));
      f.brIf(retry, f.cmpxchg(at, 1, old, f.let(change(old, mask).and(0xff))).ne(old));
    });
    e.commit(host);
    e.flags.setCarry(f.let(bit(old, inByte)));
    return;
  }
  const old = f.let(host.load(type, size, 0));
  f.store(host, size, change(old, sized(size, 1).shl(n)), 0);
  e.commit(host);
  e.flags.setCarry(f.let(bit(old, n)));
}

/** `byRegister` takes bit strings in memory, `byImmediate` wraps the number into the operand. */
function family(name: string, change: Change): { readonly byRegister: Semantics; readonly byImmediate: Semantics } {
  const access = change === undefined ? 'r,r' : 'rw,r';
  const byRegister = (e: Emitter) => (e.variant.operands[0]?.kind === 'mem' ? inBitString(e, change) : withinOperand(e, change));
  return {
    byRegister: semantics(name, access, byRegister, { by: 'asize mode' }),
    byImmediate: semantics(`${name}Immediate`, access, (e) => withinOperand(e, change), { hot: change === undefined }),
  };
}

export const bt = family('bt', undefined);
export const bts = family('bts', (word, mask) => word.or(mask));
export const btr = family('btr', (word, mask) => word.and(mask.not()));
export const btc = family('btc', (word, mask) => word.xor(mask));

/** A zero source leaves the destination as it was, although the SDM calls it undefined, and the other flags as those of 0. */
const scan = (name: string, find: (x: Expr, size: OperandSize) => Expr): Semantics =>
  semantics(
    name,
    'rw,r',
    (e) => {
      const size = e.size(0);
      const value = e.get(1);
      const some = e.f.let(value.ne(0));
      const found = e.f.let(find(value, size).select(some, 0));
      e.f.if(some, () => e.set(0, found));
      e.flags.logic(found, size);
      e.flags.setZero(some.eqz());
    },
    { hot: true },
  );

export const bsf = scan('bsf', (x) => x.ctz());
export const bsr = scan('bsr', (x, size) => sized(size, size === 8 ? 63 : 31).sub(x.clz()));

export const popcnt = semantics('popcnt', 'w,r', (e) => {
  const value = e.get(1);
  e.set(0, value.popcnt());
  e.flags.setAll(i32(FLAG.zf).select(value.eqz(), 0));
});

/** The Castagnoli polynomial, bit-reversed. */
const CRC32C = 0x82f63b78;

/** What a bit of the register becomes after as many steps of one bit. */
function afterSteps(bit: number, steps: number): number {
  let crc = (1 << bit) >>> 0;
  for (let i = 0; i < steps; i++) crc = (crc >>> 1) ^ (crc & 1 ? CRC32C : 0);
  return crc;
}

/** Sums over GF(2) what each bit of `word` becomes, four bits at a time, into four lanes. The last step is `steps` away. */
function spread(word: Expr, bits: number, steps: number): Expr {
  const all = vector('i32x4.splat', word);
  const terms = Array.from({ length: bits / 4 }, (_, group) => {
    const numbers = [0, 1, 2, 3].map((lane) => group * 4 + lane);
    const each = dwords(...numbers.map((bit) => (1 << bit) >>> 0));
    const set = vector('i32x4.eq', vector('v128.and', all, each), each);
    return vector('v128.and', set, dwords(...numbers.map((bit) => afterSteps(bit, steps))));
  });
  return terms.reduce((sum, term) => vector('v128.xor', sum, term));
}

/** CRC-32C is linear: each bit that goes in changes the answer by a constant. */
export const crc32 = semantics('crc32', 'rw,r', (e) => {
  const { f } = e;
  const size = e.size(1);
  const data = e.get(1);
  const start = e.get(0);
  const crc = e.size(0) === 8 ? start.wrap() : start;
  const first = f.let(crc.xor(size === 8 ? data.wrap() : data));
  let four: Expr;
  if (size === 8) {
    const second = f.let(data.shrU(32).wrap());
    four = f.let(vector('v128.xor', spread(first, 32, 64), spread(second, 32, 32)));
  } else four = f.let(spread(first, size * 8, size * 8));
  const two = f.let(vector('v128.xor', four, four.shuffle(four, laneBytes(4, [2, 3, 2, 3]))));
  const sum = lane('i32x4', two, 0).xor(lane('i32x4', two, 1));
  const result = size >= 4 ? sum : sum.xor(crc.shrU(size * 8));
  e.set(0, e.size(0) === 8 ? result.extendU() : result);
});
