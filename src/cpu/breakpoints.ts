// DR0..DR3 against what an instruction does: its own address, the data it touches, the ports it uses.
// SDM vol. 3, 17.2.4, 17.2.5 and 17.3.1.
import type { Cpu } from './cpu.ts';
import { CR4, STATE } from './state.ts';

/** DR7.R/Wn. */
const KIND = { execute: 0, write: 1, io: 2, readWrite: 3 } as const;
/** DR7.LENn in bytes. */
const BYTES = [1, 2, 8, 4] as const;
const COUNT = 4;
const ENABLES = 0xff;
const MASK64 = 0xffff_ffff_ffff_ffffn;
const PAGE_SHIFT = 12n;

export class Breakpoints {
  readonly #cpu: Cpu;
  /** DR0..DR3 and DR7 as `changed` saw them last. */
  readonly #seen = new BigUint64Array(COUNT + 1);
  #hits = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Some breakpoint is enabled, locally or globally. */
  get armed(): boolean {
    return (this.#control & ENABLES) !== 0;
  }

  /** True when a debug register has changed since the last call. */
  changed(): boolean {
    let changed = false;
    for (let i = 0; i <= COUNT; i++) {
      const value = this.#cpu.get64(STATE.dr + (i === COUNT ? 7 : i) * 8);
      if (this.#seen[i] === value) continue;
      this.#seen[i] = value;
      changed = true;
    }
    return changed;
  }

  /** Pages (linear address >> 12, low 20 bits) that enabled data breakpoints lie in. */
  watchedPages(): number[] {
    const pages: number[] = [];
    for (let n = 0; n < COUNT; n++) {
      if (this.#enabled(n) && (this.#kind(n) & KIND.write) !== 0) pages.push(Number((this.#address(n) >> PAGE_SHIFT) & 0xfffffn));
    }
    return pages;
  }

  /** DR6 bits for the instruction at a linear address; 0 unless an enabled breakpoint is among them. */
  atInstruction(linear: bigint): number {
    return this.#match((n) => this.#kind(n) === KIND.execute && this.#address(n) === linear);
  }

  /** An access of the current instruction to watched pages; the address in two halves. */
  data(low: number, high: number, size: number, write: boolean): void {
    const at = BigInt(low >>> 0) | (BigInt(high >>> 0) << 32n);
    this.#hits |= this.#match((n) => {
      const kind = this.#kind(n);
      return (kind === KIND.readWrite || (kind === KIND.write && write)) && this.#overlaps(n, at, size);
    });
  }

  /** A port access of the current instruction. Breaks only with CR4.DE set. */
  port(port: number, size: number): void {
    if ((this.#cpu.cr4 & CR4.de) === 0) return;
    this.#hits |= this.#match((n) => this.#kind(n) === KIND.io && this.#overlaps(n, BigInt(port), size));
  }

  /** DR6 bits of the data and ports touched since the last call. */
  take(): number {
    const hits = this.#hits;
    this.#hits = 0;
    return hits;
  }

  get #control(): number {
    return this.#cpu.get32(STATE.dr + 7 * 8);
  }
  #enabled(n: number): boolean {
    return (this.#control & (3 << (2 * n))) !== 0;
  }
  #kind(n: number): number {
    return (this.#control >>> (16 + 4 * n)) & 3;
  }
  #length(n: number): number {
    return BYTES[(this.#control >>> (18 + 4 * n)) & 3] as number;
  }
  #address(n: number): bigint {
    return this.#cpu.get64(STATE.dr + n * 8);
  }

  /** The low bits of the address that the length covers do not count. */
  #overlaps(n: number, at: bigint, size: number): boolean {
    const length = BigInt(this.#length(n));
    const start = this.#address(n) & ~(length - 1n) & MASK64;
    return at < start + length && start < at + BigInt(size);
  }

  /** SDM vol. 3, 17.2.3: with one enabled match, DR6 shows the matches of disabled registers as well. */
  #match(matches: (n: number) => boolean): number {
    let bits = 0;
    let enabled = false;
    for (let n = 0; n < COUNT; n++) {
      if (!matches(n)) continue;
      bits |= 1 << n;
      enabled ||= this.#enabled(n);
    }
    return enabled ? bits : 0;
  }
}
