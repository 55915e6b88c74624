// What an instruction means, written once: a function that emits WebAssembly over abstract operands.
import type { Emitter } from './emitter.ts';

/** How an instruction uses an operand. Memory is probed for writing at the first `get` of an `rw` operand. */
export type OperandAccess = 'r' | 'w' | 'rw' | 'a';

export interface Semantics {
  /** Unique: instructions with equal names, sizes and operand kinds share code. */
  readonly name: string;
  /** One per operand, in the row's order; `a`: only the address is taken (LEA, INVLPG, helpers that access it themselves). */
  readonly access: readonly OperandAccess[];
  emit(e: Emitter): void;
  /**
   * Nothing after it in a block is known to run: it goes elsewhere, or its helper changes the mode. What only sometimes jumps
   * does not end a block.
   */
  readonly endsBlock: boolean;
  /** Worth a place inside the interpreter's loop instead of a function of its own. */
  readonly hot: boolean;
  /** The code differs by: effective operand size (when no operand shows it), address size, REP prefix, 64-bit or legacy mode. */
  readonly by: {
    readonly osize?: boolean;
    readonly asize?: boolean;
    readonly rep?: boolean;
    readonly mode?: boolean;
    /** By the ModRM byte, which the interpreter finds in the record: no variant of its own. */
    readonly modrm?: boolean;
  };
}

interface Options {
  ends?: boolean;
  hot?: boolean;
  by?: string;
}

/** Declares semantics. `access` is like `'rw,r'`; `by` lists what else decides: osize asize rep mode modrm. */
export function semantics(name: string, access: string, emit: (e: Emitter) => void, options: Options = {}): Semantics {
  const by = (options.by ?? '').split(' ');
  return {
    name,
    access: access === '' ? [] : (access.split(',') as OperandAccess[]),
    emit,
    endsBlock: options.ends ?? false,
    hot: options.hot ?? false,
    by: {
      osize: by.includes('osize'),
      asize: by.includes('asize'),
      rep: by.includes('rep'),
      mode: by.includes('mode'),
      modrm: by.includes('modrm'),
    },
  };
}
