// Page walks: linear to physical in every paging mode, with the rights, and accessed and dirty bits. SDM vol. 3, chapter 4.
// Addresses travel as two 32-bit halves: BigInt would cost more than the walk.
import type { Gpa } from '../abi/types.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Cpu } from './cpu.ts';
import { CR0, CR4, EFER, MMU_INDEX, PF, STATE } from './state.ts';

/** Page-table entry bits, low half. */
const PTE = { p: 1, rw: 2, us: 4, a: 0x20, d: 0x40, ps: 0x80, g: 0x100 } as const;
const NX_HIGH = 0x8000_0000;
/** Physical address bits 40..51 are reserved: CPUID says 40. Bits 8..19 of the high half. */
const RESERVED_HIGH = 0x000f_ff00;
const TWO32 = 0x1_0000_0000;

export const READ = 0;
export const WRITE = 1;
export const EXECUTE = 2;
export type AccessKind = typeof READ | typeof WRITE | typeof EXECUTE;

/** Set in the answer of a walk that ends in a page fault; the low bits are its error code. */
export const FAILED: number = 0x8000_0000 | 0;
/** The answer for an address that no walk begins with. */
export const NOT_CANONICAL = 0x4000_0000;

/** Walks the page tables of one vCPU; the results of the last successful walk are its fields. */
export class PageWalk {
  readonly #cpu: Cpu;
  readonly #memory: GuestMemory;
  /** Physical address of the 4 KiB page. */
  physical = 0;
  /** The leaf has G set, and CR4.PGE is on. */
  global = false;
  /** log2 of the size of the page the walk ended in. */
  pageBits = 12;
  /** Walks so far. */
  walks = 0;
  /** Told of each word that is about to get its accessed or dirty bit, by its index in 32-bit words. */
  onMark: ((word: number) => void) | undefined;

  constructor(cpu: Cpu, memory: GuestMemory) {
    this.#cpu = cpu;
    this.#memory = memory;
  }

  /** 0 and the walk results, or a page-fault error code with bit 31 set, or NOT_CANONICAL. */
  walk(low: number, high: number, access: AccessKind, index: number, update: boolean): number {
    this.walks++;
    const cpu = this.#cpu;
    this.global = false;
    this.pageBits = 12;
    if ((cpu.cr0 & CR0.pg) === 0) {
      if (high !== 0) return NOT_CANONICAL;
      this.physical = (low & ~4095) >>> 0;
      return 0;
    }
    const { cr4 } = cpu;
    const { efer } = cpu;
    const user = index === MMU_INDEX.user;
    const nxe = (efer & EFER.nxe) !== 0;
    const code =
      (access === WRITE ? PF.write : 0) | (user ? PF.user : 0) | (access === EXECUTE && (nxe || cr4 & CR4.smep) ? PF.fetch : 0);
    const fail = (bits: number) => code | bits | FAILED;
    if (cpu.longMode) {
      const top = (high | 0) >> 15;
      if (top !== 0 && top !== -1) return NOT_CANONICAL;
    }
    const entries = this.#memory.u32;
    let rights = PTE.rw | PTE.us;
    let noExecute = false;
    let table: number;
    let level: number;
    const wide = (cr4 & CR4.pae) !== 0 || cpu.longMode;
    if (cpu.longMode) {
      table = cpu.get32(STATE.cr3) & ~4095;
      table = (table >>> 0) + (cpu.get32(STATE.cr3 + 4) & 0xff) * TWO32;
      level = 4;
    } else if (wide) {
      const slot = STATE.pdpte + (low >>> 30) * 8;
      if ((cpu.get32(slot) & PTE.p) === 0) return fail(0);
      table = ((cpu.get32(slot) & ~4095) >>> 0) + (cpu.get32(slot + 4) & 0xff) * TWO32;
      level = 2;
    } else {
      table = (cpu.get32(STATE.cr3) & ~4095) >>> 0;
      level = 2;
    }
    let leafWord = 0;
    let leaf = 0;
    for (; ; level--) {
      let word: number;
      let entryHigh = 0;
      if (wide) {
        const nth =
          level === 4
            ? (high >>> 7) & 511
            : level === 3
              ? ((low >>> 30) | (high << 2)) & 511
              : level === 2
                ? (low >>> 21) & 511
                : (low >>> 12) & 511;
        word = this.#memory.host((table + nth * 8) as Gpa) >>> 2;
        if (word === 0) return fail(0);
        entryHigh = entries[word + 1] as number;
      } else {
        const nth = level === 2 ? (low >>> 22) & 1023 : (low >>> 12) & 1023;
        word = this.#memory.host((table + nth * 4) as Gpa) >>> 2;
        if (word === 0) return fail(0);
      }
      const entry = entries[word] as number;
      if ((entry & PTE.p) === 0) return fail(0);
      if (wide) {
        if (entryHigh & RESERVED_HIGH || (entryHigh & NX_HIGH && !nxe)) return fail(PF.present | PF.reserved);
        if (entryHigh & NX_HIGH) noExecute = true;
        if (!cpu.longMode && entryHigh & 0x7ff0_0000) return fail(PF.present | PF.reserved);
      }
      rights &= entry;
      const pageSize = level > 1 && entry & PTE.ps && (wide || (cr4 & CR4.pse) !== 0);
      if (level === 4 && entry & PTE.ps) return fail(PF.present | PF.reserved);
      if (level === 1 || pageSize) {
        leafWord = word;
        leaf = entry;
        if (level === 1) {
          this.physical = ((entry & ~4095) >>> 0) + (entryHigh & 0xff) * TWO32;
        } else {
          this.pageBits = !wide ? 22 : level === 2 ? 21 : 30;
          if (!wide) {
            // 4 MiB page; bits 13..20 are address bits 32..39 (PSE-36). SDM vol. 3, table 4-4.
            if (entry & (1 << 21)) return fail(PF.present | PF.reserved);
            this.physical = ((entry & 0xffc0_0000) >>> 0) + ((entry >>> 13) & 0xff) * TWO32 + (low & 0x003f_f000);
          } else if (level === 2) {
            if (entry & 0x001f_e000) return fail(PF.present | PF.reserved);
            this.physical = ((entry & 0xffe0_0000) >>> 0) + (entryHigh & 0xff) * TWO32 + (low & 0x001f_f000);
          } else {
            if (entry & 0x3fff_e000) return fail(PF.present | PF.reserved);
            this.physical = ((entry & 0xc000_0000) >>> 0) + (entryHigh & 0xff) * TWO32 + (low & 0x3fff_f000);
          }
        }
        break;
      }
      // Entries above the leaf are marked once the walk is known to go on; a later fault leaves them marked, as allowed.
      if (update && (entry & PTE.a) === 0) {
        this.onMark?.(word);
        entries[word] = entry | PTE.a;
      }
      table = ((entry & ~4095) >>> 0) + (entryHigh & 0xff) * TWO32;
    }
    const userPage = (rights & PTE.us) !== 0;
    if (user) {
      if (!userPage) return fail(PF.present);
      if (access === WRITE && (rights & PTE.rw) === 0) return fail(PF.present);
    } else {
      if (access === WRITE && (rights & PTE.rw) === 0 && cpu.cr0 & CR0.wp) return fail(PF.present);
      if (userPage) {
        if (access === EXECUTE && cr4 & CR4.smep) return fail(PF.present);
        if (access !== EXECUTE && cr4 & CR4.smap && index === MMU_INDEX.supervisor) return fail(PF.present);
      }
    }
    if (access === EXECUTE && noExecute) return fail(PF.present);
    if (update) {
      const marked = leaf | PTE.a | (access === WRITE ? PTE.d : 0);
      if (marked !== leaf) {
        this.onMark?.(leafWord);
        entries[leafWord] = marked;
        // Page tables may themselves be mapped as code, however unlikely; their frames are ordinary memory.
      }
    }
    this.global = (leaf & PTE.g) !== 0 && (cr4 & CR4.pge) !== 0;
    return 0;
  }
}
