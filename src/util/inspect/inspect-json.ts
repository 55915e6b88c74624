// The inspection tree as plain JSON.
import { type InspectNode, isTree, settle } from './inspect-node.ts';

export type InspectJson = string | number | boolean | null | { readonly [name: string]: InspectJson };

/** A register or an address as text. */
export const hexText = (value: bigint): string => (value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`);

/**
 * The whole tree below a node. A bigint becomes a string such as "0x1f", whatever its size, so that a field has one type;
 * a number that JSON cannot hold (NaN, an infinity) becomes null.
 */
export function inspectJson(node: InspectNode): InspectJson {
  const here = settle(node);
  if (isTree(here)) return Object.fromEntries(Object.entries(here).map(([name, child]) => [name, inspectJson(child)]));
  if (typeof here === 'bigint') return hexText(here);
  return typeof here === 'number' && !Number.isFinite(here) ? null : here;
}
