// Single bits and bit scans. SDM vol. 2: BT, BTS, BTR, BTC, BSF, BSR, POPCNT, CRC32.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { FLAG } from '../state.ts';
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

export const crc32 = semantics('crc32', 'rw,r', (e) => {
  const { f } = e;
  const size = e.size(1);
  const data = e.get(1);
  const crc = f.local('i32');
  const start = e.get(0);
  f.set(crc, e.size(0) === 8 ? start.wrap() : start);
  const steps = f.local('i32');
  const feed = (word: Expr, bits: number) => {
    f.set(crc, crc.xor(word));
    f.set(steps, i32(bits));
    f.loop((next) => {
      f.set(crc, crc.shrU(1).xor(crc.and(1).neg().and(CRC32C)));
      f.set(steps, steps.sub(1));
      f.brIf(next, steps);
    });
  };
  if (size === 8) {
    feed(data.wrap(), 32);
    feed(data.shrU(32).wrap(), 32);
  } else feed(data, size * 8);
  e.set(0, e.size(0) === 8 ? crc.extendU() : crc);
});
