// Names for addresses of the guest's kernel.
import type { CodeSymbol } from '../../image/system-map.ts';

/** An address further from the symbol before it than this belongs to something that has no symbol. */
const REACH = 0x10_0000n;
/** Where Linux puts modules and BPF programs: Documentation/arch/x86/x86_64/mm.rst. */
const MODULES = { from: 0xffff_ffff_a000_0000n, to: 0xffff_ffff_ff00_0000n } as const;

export class SymbolTable {
  readonly #symbols: readonly CodeSymbol[];

  constructor(symbols: readonly CodeSymbol[]) {
    this.#symbols = symbols.toSorted((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  get size(): number {
    return this.#symbols.length;
  }

  /** The function that an address of the kernel is in: its name, or where it is. */
  name(address: bigint): string {
    let [low, high] = [0, this.#symbols.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#symbols[middle] as CodeSymbol).address <= address) low = middle + 1;
      else high = middle;
    }
    const symbol = this.#symbols[low - 1];
    const near = symbol !== undefined && address - symbol.address < REACH;
    const module = address >= MODULES.from && address < MODULES.to;
    if (near && !(module && low === this.#symbols.length)) return symbol.name;
    // Without a symbol neighbours are told apart by 256 bytes: most functions are that short.
    return `${module ? 'module ' : ''}0x${(address & ~0xffn).toString(16)}`;
  }
}

/** What a place of a profile is called. */
export function placeName(table: SymbolTable, space: string, address: bigint): string {
  if (space === 'kernel') return table.name(address);
  if (space === 'rest') return '(other places)';
  if (space === 'low') return `low 0x${address.toString(16)}`;
  return `user, cr3 0x${space.slice('user '.length)}000, 0x${address.toString(16)}`;
}
