// What a piece of guest code did to memory, so that it can be taken back: pages as they were before the first write to
// them, and the TLB entries that it replaced. Nothing is asked of generated code: it finds the write TLB empty, so that
// its first write to each page comes through the MMU.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { TLB } from '../state.ts';

const PAGE = 4096;
const SLOT_WORDS = 4;

/** Who else may touch guest memory. `begin` answers true when something was shared since the last time. */
export interface SharedPages {
  isPrivate(host: HostAddress): boolean;
  begin(): boolean;
  end(): void;
}

/** Thrown through generated code that was about to touch a page which cannot be taken back. */
export class NotRepeatable {}

/** A page that was written to. */
export interface WrittenPage {
  readonly host: number;
  /** −1 where only page walks wrote. */
  readonly gfn: number;
  readonly before: Uint32Array;
}

export class AccessJournal {
  readonly #memory: GuestMemory;
  readonly #shared: SharedPages;
  readonly #firstTlb: number;
  /** By host address of the page. */
  #pages = new Map<number, WrittenPage>();
  #spare: Uint32Array[] = [];
  /** Addresses of page-table words that walks set accessed and dirty bits in. */
  readonly marks = new Set<number>();
  /** Address of the slot and its four words, for each fill. */
  #fills: number[] = [];
  /** Slots of write TLBs that were filled since they were emptied last. */
  #writeSlots: number[] = [];
  #active = false;
  #flushed = false;

  /** `firstTlb`: address of the vCPU's first TLB. */
  constructor(memory: GuestMemory, shared: SharedPages, firstTlb: number) {
    this.#memory = memory;
    this.#shared = shared;
    this.#firstTlb = firstTlb;
  }

  // ---- told by the MMU -------------------------------------------------------------------------------------------------

  /** Whether the TLB may lead to a page. @throws NotRepeatable when code that is to be run twice is about to touch a page that it may not */
  mayTouch(host: number): boolean {
    if (this.isPrivate(host)) return true;
    if (this.#active) throw new NotRepeatable();
    return false;
  }
  isPrivate(host: number): boolean {
    return this.#shared.isPrivate(host as HostAddress);
  }

  /** The page at `host` is about to be written to. */
  written(host: number, gfn = -1): void {
    if (!this.#active) return;
    const page = host - (host % PAGE);
    const known = this.#pages.get(page);
    if (known !== undefined && (known.gfn >= 0 || gfn < 0)) return;
    const before = known?.before ?? this.#copy(page);
    this.#pages.set(page, { host: page, gfn, before });
  }

  /** A walk sets bits of the page-table word at this index of 32-bit words. */
  marked(word: number): void {
    if (!this.#active) return;
    this.written(word * 4);
    this.marks.add(word * 4);
  }

  /** A TLB entry is about to be replaced. */
  filling(slot: number): void {
    const { u32 } = this.#memory;
    if (this.#active) {
      this.#fills.push(slot);
      for (let i = 0; i < SLOT_WORDS; i++) this.#fills.push(u32[(slot >>> 2) + i] as number);
    }
    if (Math.floor((slot - this.#firstTlb) / TLB.bytes) % 3 === 1) this.#writeSlots.push(slot);
  }

  /** TLB entries are dropped: what was there before them must not come back. */
  flushed(): void {
    this.#flushed = this.#active;
  }

  // ---- for who runs code twice -------------------------------------------------------------------------------------------

  get pages(): ReadonlyMap<number, WrittenPage> {
    return this.#pages;
  }

  /** Notes everything from now on. The write TLB is empty. */
  begin(): void {
    this.#pages.clear();
    this.marks.clear();
    this.#fills.length = 0;
    this.#flushed = false;
    this.#emptyWrites();
    this.#active = true;
  }

  end(): void {
    this.#active = false;
  }

  /** Memory and TLBs are as at `begin`; if there was a flush, the TLBs are empty. Returns the pages' contents until now, by host address. */
  takeBack(flush: () => void): Map<number, Uint32Array> {
    const { u32 } = this.#memory;
    this.#active = false;
    const after = new Map<number, Uint32Array>();
    for (const { host, before } of this.#pages.values()) {
      after.set(host, this.#copy(host));
      u32.set(before, host >>> 2);
    }
    // Entries may be good for accessed bits that are not set any more.
    if (this.#flushed) {
      flush();
      return after;
    }
    for (let i = this.#fills.length - 1 - SLOT_WORDS; i >= 0; i -= 1 + SLOT_WORDS) {
      const word = (this.#fills[i] as number) >>> 2;
      for (let k = 0; k < SLOT_WORDS; k++) u32[word + k] = this.#fills[i + 1 + k] as number;
    }
    return after;
  }

  /** Copies that are not looked at any more may be used again. */
  recycle(copies: Iterable<Uint32Array>): void {
    for (const copy of copies) if (this.#spare.length < 64) this.#spare.push(copy);
  }

  #copy(host: number): Uint32Array {
    const copy = this.#spare.pop() ?? new Uint32Array(PAGE / 4);
    copy.set(this.#memory.u32.subarray(host >>> 2, (host + PAGE) >>> 2));
    return copy;
  }

  #emptyWrites(): void {
    const { u32 } = this.#memory;
    for (const slot of this.#writeSlots) {
      u32[slot >>> 2] = 0xffff_ffff;
      u32[(slot >>> 2) + 1] = 0xffff_ffff;
    }
    this.#writeSlots.length = 0;
  }

  /** The gfns of pages that were written to, for what was decoded from them. */
  *gfns(): Iterable<Gfn> {
    for (const { gfn } of this.#pages.values()) if (gfn >= 0) yield gfn as Gfn;
  }
}
