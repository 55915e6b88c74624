// Segments in which no access can fail: present, writable, expand-up data whose limit is 4 GiB − 1. SDM vol. 3, 5.3 to 5.5.
import { type Expr, i64 } from '../../wasm/expr.ts';
import { ATTR, SEG } from '../state.ts';

const LOOKED_AT = ATTR.present | ATTR.s | ATTR.code | ATTR.dc | ATTR.rw;
const PLAIN = ATTR.present | ATTR.s | ATTR.rw;
/** Of the i64 that a segment register begins with: attributes behind the selector, then the limit. */
const MASK = (0xffff_ffffn << 32n) | (BigInt(LOOKED_AT) << 16n);
const VALUE = (0xffff_ffffn << 32n) | (BigInt(PLAIN) << 16n);

/** i32, 1 when the segment register whose base lies at an address plus `offset` is such a segment. */
export const isFlat = (baseAt: Expr, offset: number): Expr =>
  baseAt
    .load('i64', 8, offset - SEG.base)
    .and(i64(MASK))
    .eq(i64(VALUE));
