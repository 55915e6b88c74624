// The flag words of the state, as two instructions in one handler see them: what the first stores, the second finds in locals.
import type { Expr } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { FlagStore } from '../emit/flag-emitter.ts';

type Word = 'z' | 's' | 'c';

export class ForwardedFlags implements FlagStore {
  readonly #f: FunctionBuilder;
  readonly #store: FlagStore;
  readonly #depth: number;
  readonly #known = new Map<Word, Expr>();

  /** What is emitted at the nesting of now always runs. */
  constructor(f: FunctionBuilder, store: FlagStore) {
    this.#f = f;
    this.#store = store;
    this.#depth = f.depth;
  }

  get z(): Expr {
    return this.#known.get('z') ?? this.#store.z;
  }
  get s(): Expr {
    return this.#known.get('s') ?? this.#store.s;
  }
  get c(): Expr {
    return this.#known.get('c') ?? this.#store.c;
  }
  setZ(value: Expr): void {
    this.#store.setZ(this.#keep('z', value));
  }
  setS(value: Expr): void {
    this.#store.setS(this.#keep('s', value));
  }
  setC(value: Expr): void {
    this.#store.setC(this.#keep('c', value));
  }

  #keep(word: Word, value: Expr): Expr {
    const kept = this.#f.let(value);
    if (this.#f.depth === this.#depth) this.#known.set(word, kept);
    else this.#known.delete(word);
    return kept;
  }
}
