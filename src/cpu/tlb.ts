// The software TLBs: filling, dropping, changing address spaces. Generated code probes the arrays in line, and the second level
// behind them when that misses (interpreter/second-tlb.ts).
//
// A second-level entry is good while its key is the one of the current address space, or the global one. So what is flushed there
// is not cleared: its key is given up. An address space that comes back (MOV CR3 with bit 63, SDM vol. 3, 4.10.4.1) has its old key.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Cpu } from './cpu.ts';
import { EXECUTE, WRITE } from './page-walk.ts';
import { CR4, SECOND_TLB, STATE, TLB } from './state.ts';

/**
 * Flags of an entry: its page is global; its address is in the list of pages that are not; in the list of those that are. One whose
 * page changed may be in both.
 */
export const TLB_FLAG = { global: 1, listed: 2, listedGlobal: 4 } as const;
const { global: GLOBAL, listed: LISTED, listedGlobal: LISTED_GLOBAL } = TLB_FLAG;
/** An address of each kind of page is in a list of its own, so that a flush looks only at what it must drop. */
const LISTS = [
  { at: TLB.filledAt, count: STATE.tlbFilled, flag: LISTED },
  { at: TLB.filledGlobalAt, count: STATE.tlbFilledGlobal, flag: LISTED_GLOBAL },
] as const;
const [OWN, GLOBALS] = LISTS;
type List = (typeof LISTS)[number];
const EMPTY = 0xffff_ffff;
const PCID = 0xfff;
/** Address spaces whose keys are kept; with one more all but the current one are forgotten. */
const MOST_SPACES = 64;
/** Keys are not used twice; long before they run out the second level is cleared. */
const LAST_KEY = 0xffff_fff0;

/** Which set of the second level a page of an array (0..8) is in: as `emitSetOf` of interpreter/second-tlb.ts. */
export function setOf(low: number, high: number, array: number): number {
  const page = (low >>> 12) | (high << 20);
  return (page ^ (page >>> 11) ^ (page >>> 21) ^ (array * SET_STRIDE)) & (SECOND_TLB.sets - 1);
}
/** Keeps one page's entries of different arrays apart. */
export const SET_STRIDE = 0xe5;

export class Tlb {
  readonly #cpu: Cpu;
  readonly #u32: Uint32Array;
  readonly #base: number;
  readonly #lastKey: number;
  /** By PCID. */
  readonly #keys = new Map<number, number>();
  #space = 0;
  /** Told of each entry of the arrays that is about to be replaced, by its address. */
  onFill: ((entry: number) => void) | undefined;
  #nextKey = 1;

  /** `lastKey`: when keys begin anew. */
  constructor(cpu: Cpu, memory: GuestMemory, lastKey = LAST_KEY) {
    this.#lastKey = lastKey;
    this.#cpu = cpu;
    this.#u32 = memory.u32;
    this.#base = cpu.base;
    // What the arrays hold before the first flush is nobody's: too much for a list, so that it looks at all of them.
    for (const { count } of LISTS) cpu.set32(count, TLB.mostFilled + 1);
  }

  /** Puts a page into an array (0..8) and into the second level. `tagBits` are for the execute arrays: the mode of the code. */
  fill(array: number, low: number, high: number, tagBits: number, addend: number, global: boolean, secondLevel: boolean): void {
    const u32 = this.#u32;
    const at = this.#entry(array, low);
    this.onFill?.(at);
    const word = at >>> 2;
    u32[word] = (low & ~4095) | tagBits;
    u32[word + 1] = high;
    u32[word + 2] = addend;
    const listed = (u32[word + 3] as number) & ~GLOBAL;
    const list = global ? GLOBALS : OWN;
    if ((listed & list.flag) === 0) this.#list(at, list);
    u32[word + 3] = listed | list.flag | (global ? GLOBAL : 0);
    if (secondLevel) this.#fillSecond(array, low, high, addend, global);
  }

  #list(at: number, list: List): void {
    const cpu = this.#cpu;
    const count = cpu.get32(list.count);
    // One more than fit: all entries are looked at.
    if (count < TLB.mostFilled) this.#u32[((this.#base + list.at) >>> 2) + count] = at;
    if (count <= TLB.mostFilled) cpu.set32(list.count, count + 1);
  }

  #fillSecond(array: number, low: number, high: number, addend: number, global: boolean): void {
    const u32 = this.#u32;
    const word = (this.#base + SECOND_TLB.at + setOf(low, high, array) * SECOND_TLB.setBytes) >>> 2;
    const tag = ((low & ~4095) | array) >>> 0;
    const key = this.#cpu.get32(global ? STATE.tlbGlobalKey : STATE.tlbKey);
    // The newer of the two moves back, unless this is the same page of the same address space again.
    const same = u32[word] === tag && u32[word + 1] === high >>> 0 && u32[word + 2] === key;
    if (!same) u32.copyWithin(word + 4, word, word + 4);
    u32[word] = tag;
    u32[word + 1] = high;
    u32[word + 2] = key;
    u32[word + 3] = addend;
  }

  /** Drops the current address space's pages, with `includeGlobal` everything of every address space. */
  flush(includeGlobal: boolean): void {
    const cpu = this.#cpu;
    cpu.set32(STATE.codeDropped, 1);
    if (includeGlobal) {
      this.#dropAll();
      this.#keys.clear();
      this.#space = cpu.cr4 & CR4.pcide ? cpu.get32(STATE.cr3) & PCID : 0;
      cpu.set32(STATE.tlbGlobalKey, this.#freshKey());
    } else this.#dropOwn();
    this.#take(this.#freshKey());
  }

  /** MOV CR3: another address space begins, or the same one anew. With `keep` what was known of it still holds. */
  enterSpace(pcid: number, keep: boolean): void {
    if (keep && pcid === this.#space) return;
    this.#cpu.set32(STATE.codeDropped, 1);
    this.#dropOwn();
    this.#space = pcid;
    this.#take((keep ? this.#keys.get(pcid) : undefined) ?? this.#freshKey());
  }

  #take(key: number): void {
    if (this.#keys.size === MOST_SPACES && !this.#keys.has(this.#space)) this.#keys.clear();
    this.#keys.set(this.#space, key);
    this.#cpu.set32(STATE.tlbKey, key);
  }

  #freshKey(): number {
    if (this.#nextKey >= this.#lastKey) {
      this.#clearSecond();
      this.#keys.clear();
      this.#nextKey = 1;
      // Nothing has a key now, so this one is as good as any.
      this.#cpu.set32(STATE.tlbGlobalKey, this.#nextKey++);
    }
    return this.#nextKey++;
  }

  /** Takes the current address space's entries out of the arrays. */
  #dropOwn(): void {
    if (this.#cpu.get32(OWN.count) > TLB.mostFilled) this.#clear(TLB.arrays, false);
    else this.#dropListed(OWN, false);
  }

  /** Takes every entry out of the arrays. */
  #dropAll(): void {
    // The empty array is included: see Cpu.emptyTlb.
    if (LISTS.some(({ count }) => this.#cpu.get32(count) > TLB.mostFilled)) this.#clear(TLB.arrays + 1, true);
    else for (const list of LISTS) this.#dropListed(list, true);
  }

  #dropListed({ at, count, flag }: List, includeGlobal: boolean): void {
    const u32 = this.#u32;
    const list = (this.#base + at) >>> 2;
    const end = list + this.#cpu.get32(count);
    for (let i = list; i < end; i++) {
      const word = (u32[i] as number) >>> 2;
      const flags = u32[word + 3] as number;
      u32[word + 3] = flags & ~flag;
      if (!includeGlobal && flags & GLOBAL) continue;
      u32[word] = EMPTY;
      u32[word + 1] = EMPTY;
    }
    this.#cpu.set32(count, 0);
  }

  #clear(arrays: number, includeGlobal: boolean): void {
    const u32 = this.#u32;
    const first = (this.#base + TLB.at) >>> 2;
    const kept = includeGlobal ? 0 : LISTED_GLOBAL;
    for (let word = first; word < first + (arrays * TLB.bytes) / 4; word += 4) {
      const flags = u32[word + 3] as number;
      u32[word + 3] = flags & (kept | GLOBAL);
      if (!includeGlobal && flags & GLOBAL) continue;
      u32[word] = EMPTY;
      u32[word + 1] = EMPTY;
    }
    this.#cpu.set32(OWN.count, 0);
    if (includeGlobal) this.#cpu.set32(GLOBALS.count, 0);
  }

  #clearSecond(): void {
    const at = (this.#base + SECOND_TLB.at) >>> 2;
    this.#u32.fill(0, at, at + SECOND_TLB.bytes / 4);
  }

  /** INVLPG: drops one page of the current address space, and global ones, whatever they were filled for. */
  invalidatePage(low: number, high: number): void {
    this.#cpu.set32(STATE.codeDropped, 1);
    const u32 = this.#u32;
    const page = low & ~4095;
    const [own, global] = [this.#cpu.get32(STATE.tlbKey), this.#cpu.get32(STATE.tlbGlobalKey)];
    for (let array = 0; array < TLB.arrays; array++) {
      const at = this.#entry(array, low) >>> 2;
      u32[at] = EMPTY;
      u32[at + 1] = EMPTY;
      const set = (this.#base + SECOND_TLB.at + setOf(low, high, array) * SECOND_TLB.setBytes) >>> 2;
      for (const word of [set, set + 4]) {
        if (u32[word] !== (page | array) >>> 0 || u32[word + 1] !== high >>> 0) continue;
        if (u32[word + 2] === own || u32[word + 2] === global) u32[word + 2] = 0;
      }
    }
  }

  /** What an array has for a page, whose low bits are the tag's, 0 if it has nothing. */
  addend(array: number, low: number, high: number): number {
    return this.addendAt(this.#base + TLB.at + array * TLB.bytes, low, high);
  }
  /** The same of the array at an address. */
  addendAt(at: number, low: number, high: number): number {
    const u32 = this.#u32;
    const word = (at + ((low >>> 12) & (TLB.entries - 1)) * TLB.entrySize) >>> 2;
    return u32[word] === low >>> 0 && u32[word + 1] === high >>> 0 ? (u32[word + 2] as number) : 0;
  }

  /** Takes one page out of an array; the second level must not have it. */
  forget(array: number, low: number): void {
    const word = this.#entry(array, low) >>> 2;
    this.#u32[word] = EMPTY;
    this.#u32[word + 1] = EMPTY;
  }

  /** Takes everything out of the execute arrays, in every address space. */
  forgetAllCode(): void {
    for (let array = EXECUTE; array < TLB.arrays; array += 3) this.#drop(array, () => true);
    this.#dropSecond((array) => array % 3 === EXECUTE);
  }

  /** Takes out every write entry that leads to a page of host memory, in every address space. */
  forgetWrites(page: number): void {
    const leads = (low: number, addend: number): boolean => ((addend + low) | 0) === (page | 0);
    for (let array = WRITE; array < TLB.arrays; array += 3) this.#drop(array, leads);
    this.#dropSecond((array, low, addend) => array % 3 === WRITE && leads(low, addend));
  }

  #drop(array: number, which: (low: number, addend: number) => boolean): void {
    const u32 = this.#u32;
    const first = (this.#base + TLB.at + array * TLB.bytes) >>> 2;
    for (let word = first; word < first + TLB.bytes / 4; word += 4) {
      if (!which(u32[word] as number, u32[word + 2] as number)) continue;
      u32[word] = EMPTY;
      u32[word + 1] = EMPTY;
    }
  }

  #dropSecond(which: (array: number, low: number, addend: number) => boolean): void {
    const u32 = this.#u32;
    const first = (this.#base + SECOND_TLB.at) >>> 2;
    for (let word = first; word < first + SECOND_TLB.bytes / 4; word += 4) {
      const tag = u32[word] as number;
      if (which(tag & 0xf, tag & ~4095, u32[word + 3] as number)) u32[word + 2] = 0;
    }
  }

  #entry(array: number, low: number): number {
    return this.#base + TLB.at + array * TLB.bytes + ((low >>> 12) & (TLB.entries - 1)) * TLB.entrySize;
  }
}
