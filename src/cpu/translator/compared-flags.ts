// Flags in a region. The three words are kept as everywhere, and where it is known which instruction made them, a condition looks
// at its operands or its result instead: one comparison, which V8 makes one with the branch, in place of a carry vector.
import type { Expr } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import { WordFlags } from '../emit/flag-emitter.ts';
import { signedAt, unsignedAt } from '../sem/value.ts';
import type { RegisterLocals } from './register-locals.ts';

/** What the flags are of. Those of `difference` are as after a − b; of `logical` as after AND, CF = OF = 0; `result` says ZF and SF. */
export type FlagSource =
  | { readonly kind: 'difference'; readonly size: OperandSize; readonly a: Expr; readonly b: Expr }
  | { readonly kind: 'logical' | 'result'; readonly r: Expr };

/** Semantics whose flags are those of a − b and no borrow. */
const SUBTRACT: ReadonlySet<string> = new Set(['sub', 'cmp', 'neg', 'cmpxchg']);

export class ComparedFlags extends WordFlags {
  readonly #f: FunctionBuilder;
  readonly #registers: RegisterLocals;
  readonly #name: string;
  readonly #depth: number;

  /** For an instruction of the semantics `name`; what is emitted at the nesting of now always runs. */
  constructor(f: FunctionBuilder, registers: RegisterLocals, name: string) {
    super(f, registers);
    this.#f = f;
    this.#registers = registers;
    this.#name = name;
    this.#depth = f.depth;
  }

  override add(a: Expr, b: Expr, r: Expr, size: OperandSize): void {
    super.add(a, b, r, size);
    this.#result('result', r, size);
  }
  override sub(a: Expr, b: Expr, r: Expr, size: OperandSize): void {
    super.sub(a, b, r, size);
    if (!SUBTRACT.has(this.#name)) this.#result('result', r, size);
    else if (this.#isWanted) {
      const { keep } = this.#registers;
      this.#registers.flagSource = {
        kind: 'difference',
        size,
        a: keep('a', unsignedAt(a, size)),
        b: keep('b', unsignedAt(b, size)),
      };
    }
  }
  override logic(r: Expr, size: OperandSize): void {
    super.logic(r, size);
    this.#result('logical', r, size);
  }
  override inc(a: Expr, r: Expr, size: OperandSize): void {
    super.inc(a, r, size);
    this.#result('result', r, size);
  }
  override dec(a: Expr, r: Expr, size: OperandSize): void {
    super.dec(a, r, size);
    this.#result('result', r, size);
  }

  override condition(code: number): Expr {
    const source = this.#registers.flagSource;
    const positive = source === undefined ? undefined : comparison(source, code >> 1);
    if (positive === undefined) return super.condition(code);
    return code & 1 ? positive.eqz() : positive;
  }

  get #isWanted(): boolean {
    return this.#registers.conditionFollows && this.#f.depth === this.#depth;
  }
  #result(kind: 'logical' | 'result', r: Expr, size: OperandSize): void {
    if (size >= 4 && this.#isWanted) this.#registers.flagSource = { kind, r: this.#registers.keep('a', r) };
  }
}

/** Condition 2 × `pair` (SDM vol. 1, appendix B), where that is one comparison. */
function comparison(source: FlagSource, pair: number): Expr | undefined {
  if (source.kind === 'difference') {
    const { a, b, size } = source;
    switch (pair) {
      case 1: // B
        return a.ltU(b);
      case 2: // Z
        return a.eq(b);
      case 3: // BE
        return a.leU(b);
      case 6: // L
        return signedAt(a, size).ltS(signedAt(b, size));
      case 7: // LE
        return signedAt(a, size).leS(signedAt(b, size));
      default:
        return undefined;
    }
  }
  const { kind, r } = source;
  if (pair === 2 || (pair === 3 && kind === 'logical')) return r.eqz();
  if (pair === 4 || (pair === 6 && kind === 'logical')) return r.ltS(0);
  return pair === 7 && kind === 'logical' ? r.leS(0) : undefined;
}
