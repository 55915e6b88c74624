// The handlers the interpreter needs: one for each row, operand size, form … that generates different code.
import type { OperandKind, Variant, VariantOperand } from '../emit/emitter.ts';
import type { Semantics } from '../emit/semantics.ts';
import { type Instruction, sizeOf } from '../x86/decoder.ts';
import type { OperandSource, Row } from '../x86/row.ts';
import { followers, fusible, pairKey } from './pairs.ts';
import { SPECIAL_COUNT } from './record.ts';

export interface Handler {
  /** The number records carry. */
  readonly index: number;
  readonly key: string;
  readonly mnemonic: string;
  readonly semantics: Semantics;
  readonly variant: Variant;
  /** Generated when it is first decoded: there are many of these, and a guest needs few. */
  readonly late: boolean;
  /** Does this handler's instruction and then the one in the next record: all else here is the first one's. */
  readonly pair?: { readonly first: number; readonly second: Handler };
}

const KIND: Readonly<Record<OperandSource, readonly [OperandKind, OperandKind]>> = {
  // [register form, memory form]
  E: ['gpr', 'mem'],
  G: ['gpr', 'gpr'],
  M: ['mem', 'mem'],
  R: ['gpr', 'gpr'],
  Z: ['gpr', 'gpr'],
  I: ['imm', 'imm'],
  J: ['rel', 'rel'],
  O: ['mem', 'mem'],
  S: ['seg', 'seg'],
  C: ['control', 'control'],
  D: ['debug', 'debug'],
  V: ['xmm', 'xmm'],
  W: ['xmm', 'mem'],
  U: ['xmm', 'xmm'],
  P: ['mmx', 'mmx'],
  Q: ['mmx', 'mem'],
  N: ['mmx', 'mmx'],
  B: ['gpr', 'gpr'],
  H: ['xmm', 'xmm'],
  L: ['xmm', 'xmm'],
  K: ['xmm', 'xmm'],
  fixed: ['gpr', 'gpr'],
  one: ['imm', 'imm'],
};
const SIZES = [2, 4, 8] as const;
const REPS = ['none', 'rep', 'repne'] as const;
/** osize × asize × rep × form × lock × long. */
const SLOTS = 3 * 3 * 3 * 2 * 2 * 2;
const slot = (osize: number, asize: number, rep: number, memory: boolean, lock: boolean, long: boolean): number =>
  ((((osize >> 2) * 3 + (asize >> 2)) * 3 + rep) * 2 + (memory ? 1 : 0)) * 4 + (lock ? 2 : 0) + (long ? 1 : 0);

export class Variants {
  readonly handlers: readonly Handler[];
  readonly #slots: readonly Int16Array[];
  /** By first << 16 | second. */
  readonly #pairs = new Map<number, number>();
  /** Not 0 for handlers that are second in some pair. */
  readonly #seconds: Uint8Array;

  constructor(rows: readonly Row[]) {
    const handlers: Handler[] = [];
    const byKey = new Map<string, number>();
    this.#slots = rows.map((row) => {
      const slots = new Int16Array(SLOTS).fill(-1);
      for (const combination of combinations(row)) {
        const { variant, key } = combination;
        let index = byKey.get(key);
        if (index === undefined) {
          index = SPECIAL_COUNT + handlers.length;
          byKey.set(key, index);
          const late = row.vex !== undefined && !row.semantics.hot;
          handlers.push({ index, key, mnemonic: row.mnemonic, semantics: row.semantics, variant, late });
        }
        slots[slot(combination.osize, combination.asize, combination.rep, combination.memory, variant.lock, combination.long)] =
          index;
      }
      return slots;
    });
    this.#seconds = new Uint8Array(SPECIAL_COUNT + handlers.length);
    const candidates = handlers.filter(fusible);
    const keys = candidates.map(pairKey);
    for (const first of candidates) {
      const after = followers(first);
      if (after.size === 0) continue;
      for (const [i, second] of candidates.entries()) {
        if (!after.has(keys[i] as string)) continue;
        const index = SPECIAL_COUNT + handlers.length;
        handlers.push({ ...first, index, key: `${first.key} ${second.key}`, pair: { first: first.index, second } });
        this.#pairs.set((first.index << 16) | second.index, index);
        this.#seconds[second.index] = 1;
      }
    }
    this.handlers = handlers;
  }

  /** Number of the handler that does only the first instruction of what handler `op` does. */
  single(op: number): number {
    return this.handlers[op - SPECIAL_COUNT]?.pair?.first ?? op;
  }

  /** The handler that does two instructions at once, or −1. */
  pair(first: number, second: number): number {
    return this.#seconds[second] === 1 ? (this.#pairs.get((first << 16) | second) ?? -1) : -1;
  }

  /** Handler of a decoded instruction. */
  find(row: Row, insn: Instruction, long: boolean): number {
    const { by } = row.semantics;
    const at = slot(
      usesOsize(row) ? insn.osize : 4,
      by.asize ? insn.asize : 4,
      by.rep ? insn.rep : 0,
      insn.memory,
      (insn.lock || row.mnemonic === 'xchg') && insn.memory && row.lock,
      by.mode ? long : true,
    );
    return this.#slots[row.index]?.[at] ?? -1;
  }
}

/** Branch distances do not count: records have them all in one form. */
const usesOsize = (row: Row): boolean =>
  row.semantics.by.osize === true ||
  row.operands.some((o) => o.source !== 'J' && (o.size === 'v' || o.size === 'z' || o.size === 'y' || o.signExtended));

/** False for sizes that the mode cannot have: 64-bit ones outside 64-bit mode, 16-bit addresses inside. */
function occurs(row: Row, osize: number, asize: number, long: boolean, byMode: boolean): boolean {
  if (row.modes === 'i64' && (osize === 8 || asize === 8)) return false;
  if (!byMode) return true;
  if (long) return row.modes !== 'i64' && asize !== 2;
  return row.modes !== 'o64' && osize !== 8 && asize !== 8;
}

interface Combination {
  readonly osize: 2 | 4 | 8;
  readonly asize: 2 | 4 | 8;
  readonly rep: number;
  readonly memory: boolean;
  readonly long: boolean;
  readonly variant: Variant;
  readonly key: string;
}

function* combinations(row: Row): Generator<Combination> {
  const { by, name } = row.semantics;
  const memoryOnly = row.operands.some((o) => o.source === 'M' || o.source === 'O');
  const either = row.operands.some((o) => o.source === 'E' || o.source === 'W' || o.source === 'Q');
  // A row without operands may still be reached with a memory ModRM (x87 escapes, hint NOPs): it has one handler.
  const forms = memoryOnly ? [true] : either ? [false, true] : row.hasModrm ? [false, true] : [false];
  for (const osize of usesOsize(row) ? SIZES : ([4] as const))
    for (const asize of by.asize ? SIZES : ([4] as const))
      for (const rep of by.rep ? [0, 1, 2] : [0])
        for (const memory of forms)
          for (const long of by.mode ? [true, false] : [true])
            for (const lock of !occurs(row, osize, asize, long, by.mode === true)
              ? []
              : row.lock && memory
                ? row.mnemonic === 'xchg'
                  ? [true]
                  : [false, true]
                : [false]) {
              const operands = row.operands.map((spec): VariantOperand => {
                const kind = KIND[spec.source][memory ? 1 : 0];
                // A sign-extended byte immediate is as wide as the operand it meets.
                const size = spec.signExtended ? osize : sizeOf(spec, osize);
                return { kind, size, fixed: spec.source === 'fixed' ? spec.register : undefined };
              });
              const variant: Variant = { operands, osize, asize, rep: REPS[rep] ?? 'none', lock, long };
              const shape = operands.map((o) => (o.kind === 'rel' ? o.kind : `${o.kind}${o.size}${o.fixed ?? ''}`)).join();
              const key = [
                name,
                shape,
                usesOsize(row) ? osize : '',
                by.asize ? asize : '',
                variant.rep,
                lock ? 'lock' : '',
                by.mode ? long : '',
              ].join('|');
              yield { osize, asize, rep, memory, long, variant, key };
            }
}
