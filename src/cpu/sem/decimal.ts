// Decimal arithmetic, outside 64-bit mode only. SDM vol. 2: AAA, AAS, AAM, AAD, DAA, DAS.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { semantics } from '../emit/semantics.ts';
import { VECTOR } from '../state.ts';

const RAX = 0;

/** AF as i32 0 or 1. */
const auxiliary = (e: Emitter): Expr => e.flags.image().shrU(4).and(1);

/** The flags of AL with CF and AF given as 0/1 and OF cleared. */
function setDecimalFlags(e: Emitter, al: Expr, cf: Expr, af: Expr): void {
  e.flags.logic(al, 1);
  e.flags.setAll(e.f.let(e.flags.image().or(cf).or(af.shl(4))));
}

/** The low digit of AL is above 9, or AF is set. */
const needsAdjust = (e: Emitter, al: Expr): Expr => e.f.let(al.and(15).gtU(9).or(auxiliary(e)));

function unpacked(e: Emitter, subtract: boolean): void {
  const ax = e.gpr(RAX, 2);
  const adjust = needsAdjust(e, ax.and(0xff));
  const by = adjust.mul(0x106);
  const r = e.f.let((subtract ? ax.sub(by) : ax.add(by)).and(0xff0f));
  e.setGpr(RAX, 2, r);
  setDecimalFlags(e, r, adjust, adjust);
}
export const aaa = semantics('aaa', '', (e) => unpacked(e, false));
export const aas = semantics('aas', '', (e) => unpacked(e, true));

function packed(e: Emitter, subtract: boolean): void {
  const { f } = e;
  const al = e.gpr(RAX, 1);
  const carry = f.let(e.flags.carry());
  const low = needsAdjust(e, al);
  const high = f.let(al.gtU(0x99).or(carry));
  const by = low.mul(6).add(high.mul(0x60));
  const r = f.let((subtract ? al.sub(by) : al.add(by)).and(0xff));
  // DAS also carries out when the low digit's adjustment borrows from nothing.
  const cf = subtract ? f.let(high.or(low.and(al.ltU(6)))) : high;
  e.setGpr(RAX, 1, r);
  setDecimalFlags(e, r, cf, low);
}
export const daa = semantics('daa', '', (e) => packed(e, false));
export const das = semantics('das', '', (e) => packed(e, true));

export const aam = semantics('aam', 'r', (e) => {
  const base = e.get(0);
  e.f.if(base.eqz(), () => e.raise(VECTOR.de));
  const al = e.gpr(RAX, 1);
  const digit = e.f.let(al.remU(base));
  e.setGpr(RAX, 2, al.divU(base).shl(8).or(digit));
  e.flags.logic(digit, 1);
});

export const aad = semantics('aad', 'r', (e) => {
  const ax = e.gpr(RAX, 2);
  const product = e.f.let(ax.shrU(8).mul(e.get(0)).and(0xff));
  const al = e.f.let(ax.and(0xff));
  const r = e.f.let(al.add(product).and(0xff));
  e.setGpr(RAX, 2, r);
  // CF, OF and AF are undefined: processors leave those of the addition.
  e.flags.add(al, product, r, 1);
});
