// What a region of 16- or 32-bit code takes for granted of the segment registers: their types, whether they begin at 0 and
// reach to 4 GiB. It is looked at once, at the region's head; instructions that load a segment register end regions.
// SDM vol. 3, 3.4.5 and 5.3 to 5.5.
import { type Expr, i64 } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Cpu } from '../cpu.ts';
import { ATTR, CODE_MODE, SEG, SEGMENT, STATE } from '../state.ts';
import type { Region } from './region.ts';

const SEGMENTS = 6;
const NO_LIMIT = 0xffff_ffff;
const TYPE = ATTR.present | ATTR.s | ATTR.code | ATTR.dc | ATTR.rw;

/** A segment register as a translation may rely on it. */
export interface SegmentForm {
  /** Descriptor bits as SEG.attributes has them. */
  readonly attributes: number;
  /** The limit lets every offset through. */
  readonly unlimited: boolean;
  /** The base is 0. */
  readonly atZero: boolean;
}

export function segmentForms(cpu: Cpu): SegmentForm[] {
  return Array.from({ length: SEGMENTS }, (_, which) => ({
    attributes: cpu.attributes(which),
    unlimited: cpu.limit(which) === NO_LIMIT,
    atZero: cpu.segBase(which) === 0n,
  }));
}

const FLAT: SegmentForm = { attributes: ATTR.present | ATTR.s | ATTR.rw | ATTR.db, unlimited: true, atZero: true };
/** Data segments of 4 GiB from address 0. */
export const FLAT_FORMS: readonly SegmentForm[] = Array.from({ length: SEGMENTS }, () => FLAT);

/** State offset of a segment register. */
const at = (which: number): number => STATE.seg + which * SEG.sizeof;

export class AssumedSegments {
  /** One of CODE_MODE. */
  readonly mode: number;
  readonly #state: Expr;
  readonly #forms: readonly SegmentForm[];
  readonly #used = new Set<number>();

  constructor(state: Expr, mode: number, forms: readonly SegmentForm[]) {
    this.#state = state;
    this.mode = mode;
    this.#forms = forms;
    // Where code lies is part of every address of code.
    if (mode !== CODE_MODE.code64) this.#used.add(SEGMENT.cs);
  }

  /** SP, ESP or RSP: the bits of the register that address the stack. */
  get stackMask(): bigint {
    if (this.mode === CODE_MODE.code64) return 0xffff_ffff_ffff_ffffn;
    return this.#form(SEGMENT.ss).attributes & ATTR.db ? 0xffff_ffffn : 0xffffn;
  }

  /** Whether CS has a limit that a jump may go beyond. */
  get codeIsLimited(): boolean {
    return this.mode !== CODE_MODE.code64 && !this.#form(SEGMENT.cs).unlimited;
  }

  /** Linear address of code at `rip`, an i64. */
  code(rip: Expr): Expr {
    if (this.mode === CODE_MODE.code64) return rip;
    const based = this.#form(SEGMENT.cs).atZero ? rip : rip.add(this.#state.load('i64', 8, STATE.codeBase));
    return based.and(0xffff_ffff);
  }

  /** Whether the segment's type lets data be read or written; what else it may be (expand-down, no data) counts as not. */
  allows(which: number, write: boolean): boolean {
    const { attributes } = this.#form(which);
    if ((attributes & (ATTR.present | ATTR.s)) !== (ATTR.present | ATTR.s)) return false;
    if (attributes & ATTR.code) return !write && (attributes & ATTR.rw) !== 0;
    return (attributes & ATTR.dc) === 0 && (!write || (attributes & ATTR.rw) !== 0);
  }

  isUnlimited(which: number): boolean {
    return this.#form(which).unlimited;
  }

  isAtZero(which: number): boolean {
    return this.#form(which).atZero;
  }

  /**
   * i32, not 0 when the segments that were asked about are not as they were, or the code from `first` to `last` (i64: IP of the
   * first and the last byte) does not lie within CS; undefined when nothing was assumed.
   */
  differ(f: FunctionBuilder, first: Expr, last: Expr): Expr | undefined {
    if (this.mode === CODE_MODE.code64) return undefined;
    // Bits that are not as they were; all registers together make one comparison.
    let odd: Expr = i64(0);
    for (const which of [...this.#used].sort()) {
      const { attributes, unlimited, atZero } = this.#form(which);
      const type = which === SEGMENT.ss ? TYPE | ATTR.db : TYPE;
      // Attributes and limit lie in one word, behind the selector.
      const limit = unlimited ? BigInt(NO_LIMIT) << 32n : 0n;
      const word = this.#state.load('i64', 8, at(which)).xor(i64((BigInt(attributes & type) << 16n) | limit));
      odd = odd.or(word.and(i64((BigInt(type) << 16n) | limit)));
      if (atZero) odd = odd.or(this.#state.load('i64', 8, at(which) + SEG.base));
    }
    // An IP below 0 is a very large one.
    const limit = this.codeIsLimited ? this.#state.load('i32', 4, at(SEGMENT.cs) + SEG.limit).extendU() : i64(NO_LIMIT);
    const end = f.let(last);
    const differ = odd.ne(0).or(first.gtU(end)).or(end.gtU(limit));
    return this.mode === CODE_MODE.code16 ? differ.or(end.gtU(0xffff)) : differ;
  }

  #form(which: number): SegmentForm {
    this.#used.add(which);
    return this.#forms[which] as SegmentForm;
  }
}

/** Places of the first and the last byte. */
export function extent({ blocks }: Region): { first: number; last: number } {
  return {
    first: Math.min(...blocks.map(({ place }) => place)),
    last: Math.max(...blocks.map(({ end }) => end - 1)),
  };
}
