// Page tables in a machine's memory, of every paging mode. SDM vol. 3, 4.3 to 4.5.

/** Entry bits. SDM vol. 3, tables 4-5 to 4-20. */
export const PTE = { p: 1n, w: 2n, u: 4n, a: 0x20n, d: 0x40n, large: 0x80n, g: 0x100n, nx: 1n << 63n } as const;
/** legacy: 10 + 10 bits of 4-byte entries. pae: 2 + 9 + 9. long: 9 + 9 + 9 + 9. */
export type PagingMode = 'legacy' | 'pae' | 'long';

const PAGE = 0x1000;
const ADDRESS = 0x000f_ffff_ffff_f000n;

export class PageTables {
  readonly #view: DataView;
  readonly #mode: PagingMode;
  readonly root: number;
  #next: number;

  /** Tables are taken from `at` upwards, a page each; that memory must hold zeros. */
  constructor(view: DataView, mode: PagingMode, at: number) {
    this.#view = view;
    this.#mode = mode;
    this.root = at;
    this.#next = at + PAGE;
    if (mode === 'pae') for (let i = 0; i < 4; i++) this.#write(this.root + i * 8, BigInt(this.#table()) | PTE.p);
  }

  /**
   * Maps the page of `linear` with the leaf entry `physical | bits`; the tables above it allow everything but what `above` says.
   * @param level of the leaf: 1 for 4 KiB, 2 for 2 or 4 MiB (sets PS itself), 3 for 1 GiB
   */
  map(linear: bigint, physical: number, bits: bigint, level = 1, above: bigint = PTE.p | PTE.w | PTE.u): void {
    this.#write(this.entryAt(linear, level, above), BigInt(physical) | bits | (level > 1 ? PTE.large : 0n));
  }

  /** Physical address of the entry for `linear` at `level`, tables made on the way. */
  entryAt(linear: bigint, level = 1, above: bigint = PTE.p | PTE.w | PTE.u): number {
    const top = { legacy: 2, pae: 3, long: 4 }[this.#mode];
    let table = this.root;
    for (let n = top; ; n--) {
      const at = table + this.#index(linear, n) * this.#entryBytes;
      if (n === level) return at;
      let entry = this.read(at);
      if ((entry & PTE.p) === 0n) {
        entry = BigInt(this.#table()) | above;
        this.#write(at, entry);
      }
      table = Number(entry & ADDRESS);
    }
  }
  /** The entry for `linear` at `level`. */
  entry(linear: bigint, level = 1): bigint {
    return this.read(this.entryAt(linear, level));
  }
  setEntry(linear: bigint, value: bigint, level = 1): void {
    this.#write(this.entryAt(linear, level), value);
  }

  read(at: number): bigint {
    return this.#entryBytes === 8 ? this.#view.getBigUint64(at, true) : BigInt(this.#view.getUint32(at, true));
  }
  #write(at: number, value: bigint): void {
    if (this.#entryBytes === 8) this.#view.setBigUint64(at, value, true);
    else this.#view.setUint32(at, Number(value), true);
  }
  get #entryBytes(): number {
    return this.#mode === 'legacy' ? 4 : 8;
  }
  #index(linear: bigint, level: number): number {
    const bits = this.#mode === 'legacy' ? 10n : 9n;
    const index = (linear >> (12n + bits * BigInt(level - 1))) & ((1n << bits) - 1n);
    return Number(this.#mode === 'pae' && level === 3 ? index & 3n : index);
  }
  #table(): number {
    const at = this.#next;
    this.#next += PAGE;
    return at;
  }
}
