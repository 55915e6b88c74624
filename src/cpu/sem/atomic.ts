// Exchange and compare. SDM vol. 2: XADD, CMPXCHG, CMPXCHG8B/16B. Registers and flags are written after the memory operand:
// with a LOCK prefix the write is retried.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { semantics } from '../emit/semantics.ts';
import { VECTOR } from '../state.ts';

const [RAX, RCX, RDX, RBX] = [0, 1, 2, 3];

export const xadd = semantics('xadd', 'rw,rw', (e) => {
  const size = e.size(0);
  const b = e.get(1);
  const a = e.get(0);
  const r = e.f.let(a.add(b));
  if (e.variant.operands[0]?.kind === 'mem') {
    e.set(0, r);
    e.set(1, a);
  } else {
    // XADD of a register with itself keeps the sum.
    e.set(1, a);
    e.set(0, r);
  }
  e.flags.add(a, b, r, size);
});

export const cmpxchg = semantics('cmpxchg', 'rw,r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const replacement = e.get(1);
  const expected = e.gpr(RAX, size);
  const a = e.get(0);
  const equal = f.let(a.eq(expected));
  // Memory is always written; a register only when equal, which shows in the upper half of a 32-bit one.
  if (e.variant.operands[0]?.kind === 'mem') e.set(0, replacement.select(equal, a));
  else f.if(equal, () => e.set(0, replacement));
  f.if(equal.eqz(), () => e.setGpr(RAX, size, a));
  e.flags.sub(expected, a, f.let(expected.sub(a)), size);
});

/** 8 bytes, or 16 with REX.W. */
export const cmpxchg8b = semantics(
  'cmpxchg8b',
  'rw',
  (e) => {
    if (e.variant.osize === 8) {
      compareExchange16(e);
      return;
    }
    const { f } = e;
    const pair = (high: number, low: number): Expr => f.let(e.gpr(high, 4).extendU().shl(32).or(e.gpr(low, 4).extendU()));
    const expected = pair(RDX, RAX);
    const replacement = pair(RCX, RBX);
    const a = e.get(0);
    e.set(0, replacement.select(a.eq(expected), a));
    f.if(a.ne(expected), () => {
      e.setGpr(RAX, 4, a.wrap());
      e.setGpr(RDX, 4, a.shrU(32).wrap());
    });
    e.flags.setZero(a.eq(expected));
  },
  { by: 'osize' },
);

/** WebAssembly has no 128-bit atomic access: of two vCPUs doing this at once on one operand, one may see a half of each. */
function compareExchange16(e: Emitter): void {
  const { f } = e;
  const linear = e.linear(0);
  f.if(linear.wrap().and(15), () => e.raise(VECTOR.gp, 0));
  const host = e.hostAddress(linear, 16, 'w');
  const low = f.let(host.load('i64', 8, 0));
  const high = f.let(host.load('i64', 8, 8));
  const equal = f.let(low.eq(e.gpr(RAX, 8)).and(high.eq(e.gpr(RDX, 8))));
  f.store(host, 8, e.gpr(RBX, 8).select(equal, low), 0);
  f.store(host, 8, e.gpr(RCX, 8).select(equal, high), 8);
  e.commit(host);
  f.if(equal.eqz(), () => {
    e.setGpr(RAX, 8, low);
    e.setGpr(RDX, 8, high);
  });
  e.flags.setZero(equal);
}
