// Comparison, minimum and maximum.

import type { FpEnv } from './env.ts';
import { FLAG } from './env.ts';
import type { Num } from './num.ts';
import { KIND } from './num.ts';

export const ORDER = { less: -1, equal: 0, greater: 1, unordered: 2 } as const;
export type Order = (typeof ORDER)[keyof typeof ORDER];

/**
 * Relation of a to b. Flags IE for a signaling NaN or an unsupported encoding, for a quiet NaN unless `quiet`, and DE
 * for a denormal operand of an ordered pair.
 */
export function compare(env: FpEnv, a: Num, b: Num, quiet: boolean): Order {
  if (a.kind >= KIND.quiet || b.kind >= KIND.quiet) {
    if (!quiet || a.kind > KIND.quiet || b.kind > KIND.quiet) env.flags |= FLAG.IE;
    return ORDER.unordered;
  }
  if (a.denormal || b.denormal) env.flags |= FLAG.DE;
  return order(a, b);
}

function order(a: Num, b: Num): Order {
  if (a.kind === KIND.zero && b.kind === KIND.zero) return ORDER.equal;
  const signA = a.kind === KIND.zero ? 0 : a.sign === 1 ? -1 : 1;
  const signB = b.kind === KIND.zero ? 0 : b.sign === 1 ? -1 : 1;
  if (signA !== signB) return signA < signB ? ORDER.less : ORDER.greater;
  const magnitude = compareMagnitude(a, b);
  return (magnitude === 0 ? 0 : magnitude * signA) as Order;
}

/** Both are finite or infinite and not zero. */
function compareMagnitude(a: Num, b: Num): number {
  if (a.kind !== b.kind) return a.kind === KIND.infinity ? 1 : -1;
  if (a.kind === KIND.infinity) return 0;
  if (a.exp !== b.exp) return a.exp > b.exp ? 1 : -1;
  return a.sig === b.sig ? 0 : a.sig > b.sig ? 1 : -1;
}

/** MINSS: the second operand unless the first is smaller; any NaN is invalid (SDM vol. 2, MINSS). */
export const min = (env: FpEnv, a: Num, b: Num): Num => (compare(env, a, b, false) === ORDER.less ? a : b);
/** MAXSS: the second operand unless the first is greater. */
export const max = (env: FpEnv, a: Num, b: Num): Num => (compare(env, a, b, false) === ORDER.greater ? a : b);
