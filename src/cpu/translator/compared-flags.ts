// Flags in a region. The three words are kept as everywhere, and where it is known which instruction made them, a condition looks
// at its operands or its result instead: one comparison, which V8 makes one with the branch, in place of a carry vector.
import type { Expr } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import { WordFlags } from '../emit/flag-emitter.ts';
import { signedAt, unsignedAt, wide } from '../sem/value.ts';
import type { CarryOperation } from './deferred-carry.ts';
import { NOTHING_KNOWN, type RegisterLocals } from './register-locals.ts';

/** What the flags are of. Those of `difference` are as after a − b; of `logical` as after AND, CF = OF = 0; `result` says ZF and SF. */
export type FlagSource =
  | { readonly kind: 'difference'; readonly size: OperandSize; readonly a: Expr; readonly b: Expr }
  | { readonly kind: 'logical' | 'result'; readonly r: Expr };

/** Semantics that add or subtract CF, too. */
const WITH_CARRY: ReadonlySet<string> = new Set(['adc', 'sbb']);

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
    if (WITH_CARRY.has(this.#name)) {
      super.add(a, b, r, size);
      this.#knowWord();
    } else this.#defer('add', r, size, { x: wide(r, size), y: wide(a, size) });
    this.#result('result', r, size);
  }
  override sub(a: Expr, b: Expr, r: Expr, size: OperandSize): void {
    if (WITH_CARRY.has(this.#name)) {
      super.sub(a, b, r, size);
      this.#knowWord();
      this.#result('result', r, size);
      return;
    }
    this.#defer('sub', r, size, { x: wide(a, size), y: wide(b, size) });
    if (!this.#isWanted) return;
    const { keep } = this.#registers;
    this.#know({ kind: 'difference', size, a: keep('a', unsignedAt(a, size)), b: keep('b', unsignedAt(b, size)) });
  }
  override logic(r: Expr, size: OperandSize): void {
    super.logic(r, size);
    this.#knowWord();
    this.#result('logical', r, size);
  }
  override inc(_a: Expr, r: Expr, size: OperandSize): void {
    this.#defer('inc', r, size);
    this.#result('result', r, size);
  }
  override dec(_a: Expr, r: Expr, size: OperandSize): void {
    this.#defer('dec', r, size);
    this.#result('result', r, size);
  }
  override result(r: Expr, size: OperandSize, cf: Expr, of: Expr): void {
    super.result(r, size, cf, of);
    this.#knowWord();
  }
  override carryOverflow(cf: Expr, of: Expr): void {
    super.carryOverflow(cf, of);
    this.#knowWord();
  }
  override setCarry(cf: Expr): void {
    super.setCarry(cf);
    this.#knowWord();
  }
  override carry(): Expr {
    return this.#registers.carry;
  }

  override condition(code: number): Expr {
    const { source } = this.#registers.knownFlags;
    const positive = (source && comparison(source, code >> 1)) ?? this.#ofCarry(code >> 1);
    if (positive === undefined) return super.condition(code);
    return code & 1 ? positive.eqz() : positive;
  }

  /** Of a condition that is CF, or CF or ZF. */
  #ofCarry(pair: number): Expr | undefined {
    if (pair === 1) return this.carry();
    return pair === 3 ? this.carry().or(this.#registers.z.eqz()) : undefined;
  }

  /** What is known holds for what comes after only if what is emitted here always runs. */
  get #isSure(): boolean {
    return this.#f.depth === this.#depth;
  }
  get #isWanted(): boolean {
    return this.#registers.conditionFollows && this.#isSure;
  }
  #knowWord(): void {
    if (this.#isSure) this.#registers.knownFlags = { carry: 'word' };
  }
  #know(source: FlagSource): void {
    this.#registers.knownFlags = { ...this.#registers.knownFlags, source };
  }
  #defer(operation: CarryOperation, r: Expr, size: OperandSize, operands?: { readonly x: Expr; readonly y: Expr }): void {
    const source = { operation, size };
    this.#registers.deferCarry(source, operands);
    this.signZero(r, size);
    this.#registers.knownFlags = this.#isSure ? { carry: source } : NOTHING_KNOWN;
  }
  #result(kind: 'logical' | 'result', r: Expr, size: OperandSize): void {
    if (size >= 4 && this.#isWanted) this.#know({ kind, r: this.#registers.keep('a', r) });
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
