// Data movement between registers and memory. SDM vol. 2: MOV, MOVZX, MOVSX, MOVSXD, CMOVcc, SETcc, LEA, XCHG, BSWAP, MOVBE,
// XLAT, CBW and its kin, CWD and its kin.
import { type Expr, i64 } from '../../wasm/expr.ts';
import type { OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { SCRATCH } from './scratch.ts';
import { narrow, signExtend, signedAt, sized, source, truncated, zeroExtend } from './value.ts';

export const mov = semantics('mov', 'w,r', (e) => e.set(0, source(e)), { hot: true });

export const movzx = semantics(
  'movzx',
  'w,r',
  (e) => {
    e.set(0, zeroExtend(e.get(1), e.size(1), e.size(0)));
  },
  { hot: true },
);

export const movsx = semantics(
  'movsx',
  'w,r',
  (e) => {
    e.set(0, signExtend(e.get(1), e.size(1), e.size(0)));
  },
  { hot: true },
);

/** With an operand size of 16 or 32 bits it is a plain MOV. */
export const movsxd = semantics(
  'movsxd',
  'w,r',
  (e) => {
    const value = e.get(1);
    e.set(0, e.size(0) === 8 ? value.extendS() : value);
  },
  { hot: true },
);

/** Condition names by code: SDM vol. 1, appendix B. */
export const CONDITIONS = ['o', 'no', 'b', 'ae', 'z', 'nz', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const;

/** Memory is read, and a 32-bit destination zero-extended, whether the condition holds or not. */
export const cmov: readonly Semantics[] = CONDITIONS.map((name, code) =>
  semantics(
    `cmov${name}`,
    'rw,r',
    (e) => {
      const value = e.get(1);
      const old = e.get(0);
      e.set(0, value.select(e.flags.condition(code), old));
    },
    { hot: true },
  ),
);

export const setcc: readonly Semantics[] = CONDITIONS.map((name, code) =>
  semantics(`set${name}`, 'w', (e) => e.set(0, e.flags.condition(code).ne(0)), { hot: true }),
);

export const lea = semantics('lea', 'w,a', (e) => e.set(0, narrow(e.offset(1), e.size(0))), { hot: true });

export const xchg = semantics('xchg', 'rw,rw', (e) => {
  const b = e.get(1);
  const a = e.get(0);
  e.set(0, b);
  e.set(1, a);
});

/**
 * Opcode 90: a NOP, unless REX.B makes its register R8. XCHG EAX,EAX would clear the upper half of RAX, so the register is
 * told from RAX by whether it changes with it.
 */
export const nopOrXchg = semantics('nop90', 'rw,rw', (e) => {
  const { f } = e;
  const size = e.size(0);
  const rax = e.gpr(0, 8);
  const a = e.get(0);
  e.setGpr(0, 8, rax.not());
  const seen = e.get(0);
  e.setGpr(0, 8, rax);
  f.if(seen.eq(a), () => {
    e.set(0, narrow(rax, size));
    e.setGpr(0, size, a);
  });
});

/** The bytes of a value in reverse order. */
export function byteSwapped(x: Expr, size: OperandSize): Expr {
  if (size === 2) return x.and(0xff).shl(8).or(x.shrU(8).and(0xff));
  const swap32 = (v: Expr) => v.and(0x00ff00ff).rotr(8).or(v.and(0xff00ff00).rotl(8));
  if (size === 4) return swap32(x);
  const pairs = x.and(0x00ff00ff_00ff00ffn).shl(8).or(x.shrU(8).and(0x00ff00ff_00ff00ffn));
  const words = pairs.and(0x0000ffff_0000ffffn).shl(16).or(pairs.shrU(16).and(0x0000ffff_0000ffffn));
  return words.rotl(32);
}

/** The result for a 16-bit register is undefined; processors clear it. */
export const bswap = semantics('bswap', 'rw', (e) => {
  const size = e.size(0);
  const value = e.get(0);
  e.set(0, size === 2 ? sized(2, 0) : byteSwapped(value, size));
});

export const movbe = semantics('movbe', 'w,r', (e) => e.set(0, byteSwapped(e.get(1), e.size(0))));

export const xlat = semantics(
  'xlat',
  '',
  (e) => {
    const { asize } = e.variant;
    const offset = e.f.let(truncated(e.gpr(3, 8).add(e.gpr(0, 1).extendU()), asize));
    e.setGpr(0, 1, e.loadAt('operand', offset, 1));
  },
  { by: 'asize mode' },
);

/** CBW, CWDE, CDQE: the lower half of the accumulator, sign-extended into all of it. */
export const cbw = semantics(
  'cbw',
  '',
  (e) => {
    const { osize } = e.variant;
    const half = (osize / 2) as 1 | 2 | 4;
    e.setGpr(0, osize, signExtend(e.gpr(0, half), half, osize));
  },
  { hot: true, by: 'osize' },
);

/** CWD, CDQ, CQO: the accumulator's sign fills the data register. */
export const cwd = semantics(
  'cwd',
  '',
  (e) => {
    const { osize } = e.variant;
    e.setGpr(2, osize, signedAt(e.gpr(0, osize), osize).shrS(osize === 8 ? 63 : 31));
  },
  { hot: true, by: 'osize' },
);

/** A hint, or nothing at all. */
export const nop = semantics('nop', '', () => {}, { hot: true });
/** The same with a ModRM operand that is not accessed. */
export const hintNop = semantics('hintNop', 'a', () => {}, { hot: true });

/** LES, LDS, LSS, LFS, LGS. The selector is loaded first: it may fault. */
export const loadFarPointer = (name: string, segment: number): Semantics =>
  semantics(
    name,
    'w,a',
    (e) => {
      const size = e.size(0);
      const at = e.f.let(e.offset(1));
      const offset = e.loadAt('operand', at, size);
      const selector = e.loadAt('operand', e.f.let(nextOffset(at, size, e.variant.asize)), 2);
      e.setSlot32(SCRATCH.selector, selector);
      e.compute('loadSegment', segment);
      e.set(0, offset);
    },
    { ends: true, by: 'asize mode' },
  );

/** The offset `by` bytes on, wrapped to the address size. */
export const nextOffset = (at: Expr, by: number, asize: 2 | 4 | 8): Expr => truncated(at.add(i64(by)), asize);
