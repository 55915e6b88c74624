// Segment registers loaded from descriptors that are as kernels have them. SDM vol. 3, 3.4.5.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { ATTR, CODE_MODE, CR0, EFER, FLAG, SEG, SEGMENT, STATE } from '../state.ts';

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

/** A segment of 4 GiB from address 0, with the attributes of flat-segments.ts, of this level (i32). */
export const isFlatEntry = ({ low, high }: GdtEntry, attributes: number, level: Expr): Expr =>
  low.eq(0xffff).and(high.and(~(ATTR.avl << 8)).eq(level.shl(ATTR.dplShift + 8).or((attributes << 8) | 0xf0000)));

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

/** Reads what a selector (i32, 16 bits) names. Selectors that are null or of the LDT, or beyond the table, are `otherwise`'s. */
export function readGdt(e: Emitter, selector: Expr, otherwise: () => void): GdtEntry {
  const { f } = e;
  const index = f.let(selector.and(0xfff8));
  const limit = e.slot32(STATE.gdtr + 8).and(0xffff);
  f.if(index.eqz().or(selector.and(4)).or(index.add(7).gtU(limit)), otherwise);
  const at = f.let(e.slot64(STATE.gdtr).add(index.extendU()).and(e.slot64(STATE.linearMask)));
  const host = e.hostAddress(at, 8, 'r');
  return { low: f.let(host.load('i32', 4, 0)), high: f.let(host.load('i32', 4, 4)) };
}

/** Data segments that level 3 may not hold: SDM vol. 3, 5.8.6, step 4. Bases stay. */
export function dropInnerSegments(e: Emitter): void {
  for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) {
    const attributes = e.f.let(e.slot32(segmentAt(which)).shrU(16));
    const conforming = attributes.and(ATTR.code | ATTR.dc).eq(ATTR.code | ATTR.dc);
    const inner = attributes.and(3 << ATTR.dplShift).ne(3 << ATTR.dplShift);
    const present = attributes.and(ATTR.present).ne(0);
    e.f.if(present.and(inner).and(conforming.eqz()), () => e.setSlot32(segmentAt(which), i32(0)));
  }
}

const DATA = ATTR.present | ATTR.s | ATTR.code | ATTR.accessed;

/**
 * Loads ES, DS, FS or GS with a selector (i32, 16 bits) as kernels do: at level 0 in protected mode, with a null selector or one
 * of a data segment that was loaded before. `otherwise` does whatever is not that, with nothing changed, and must go elsewhere.
 * The tables are read with the rights of level 0 without AC: SDM vol. 3, 4.6.1.
 */
export function loadDataSegment(e: Emitter, which: number, selector: Expr, otherwise: () => void): void {
  const { f } = e;
  const compatible = e.slot32(STATE.efer).and(EFER.lma).ne(0).and(e.slot32(STATE.codeMode).ne(CODE_MODE.code64));
  const real = e.slot32(STATE.cr0).and(CR0.pe).eqz();
  const flags = e.slot32(STATE.eflags).and(FLAG.ac | FLAG.vm);
  f.if(e.slot32(STATE.cpl).or(flags).or(compatible).or(real), otherwise);
  f.if(
    selector.and(0xfffc).eqz(),
    () => loadSegment(e, which, { selector, attributes: i32(0), limit: i32(0), base: i64(0) }),
    () => {
      const entry = readGdt(e, selector, otherwise);
      const attributes = attributesOf(entry);
      const weaker = selector.and(3).gtU(attributes.shrU(ATTR.dplShift).and(3));
      f.if(weaker.or(attributes.and(DATA).ne(DATA & ~ATTR.code)), otherwise);
      loadFrom(e, which, selector, entry);
    },
  );
}
