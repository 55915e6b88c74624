// Segment registers loaded from descriptors that are as kernels have them. SDM vol. 3, 3.4.5.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { ATTR, SEG, STATE } from '../state.ts';

/** What is needed to work on the state. */
export type Slots = Pick<Emitter, 'f' | 'state' | 'slot32' | 'setSlot32' | 'slot64' | 'setSlot64'>;

/** All parts of a segment register, as i32, the base as i64. */
export interface Loaded {
  readonly selector: Expr;
  readonly attributes: Expr;
  readonly limit: Expr;
  readonly base: Expr;
}
/** The two halves of a descriptor, as i32. */
export interface GdtEntry {
  readonly low: Expr;
  readonly high: Expr;
}

const RING = 3 << ATTR.dplShift;
/** The accessed bit too, so that nothing is written. */
const CODE_MASK = ATTR.present | ATTR.s | ATTR.code | ATTR.dc | ATTR.accessed | ATTR.long | ATTR.db | RING;
const CODE_BITS = ATTR.present | ATTR.s | ATTR.code | ATTR.accessed | ATTR.long;
const DATA_MASK = ATTR.present | ATTR.s | ATTR.code | ATTR.rw | ATTR.accessed | RING;
const DATA_BITS = ATTR.present | ATTR.s | ATTR.rw | ATTR.accessed;

const attributesOf = ({ high }: GdtEntry): Expr => high.shrU(8).and(0xf0ff);
/** 64-bit code of this level (i32), not conforming, that was loaded before. */
export const isPlainCode = (entry: GdtEntry, level: Expr): Expr =>
  attributesOf(entry).and(CODE_MASK).eq(level.shl(ATTR.dplShift).or(CODE_BITS));
/** Writable data of this level, that was loaded before. */
export const isPlainStack = (entry: GdtEntry, level: Expr): Expr =>
  attributesOf(entry).and(DATA_MASK).eq(level.shl(ATTR.dplShift).or(DATA_BITS));

export const canonical = (address: Expr): Expr => address.shl(16).shrS(16).eq(address);
export const segmentAt = (which: number): number => STATE.seg + which * SEG.sizeof;

export function loadSegment(e: Slots, which: number, { selector, attributes, limit, base }: Loaded): void {
  const at = segmentAt(which);
  e.setSlot32(at + SEG.selector, selector.or(attributes.shl(16)));
  e.setSlot32(at + SEG.limit, limit);
  e.setSlot64(at + SEG.base, base);
}

export function loadFrom(e: Slots, which: number, selector: Expr, entry: GdtEntry): void {
  const { low, high } = entry;
  const raw = e.f.let(low.and(0xffff).or(high.and(0xf0000)));
  const limit = raw
    .shl(12)
    .or(0xfff)
    .select(high.and(ATTR.g << 8), raw);
  const base = low.shrU(16).or(high.and(0xff).shl(16)).or(high.and(0xff00_0000));
  loadSegment(e, which, { selector, attributes: attributesOf(entry), limit, base: base.extendU() });
}
