// Bit manipulation of later processors: LZCNT, BMI1, BMI2, ADX. SDM vol. 2, under each name. Flags that it leaves undefined are
// those of the result, or clear.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import type { Routine } from '../emit/routine.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { FLAG, STATE, VECTOR } from '../state.ts';
import { highUnsigned } from './muldiv.ts';
import { bit, bitsOf, sized } from './value.ts';

/** LZCNT, TZCNT: CF when the source is zero, ZF when the result is. */
const count = (name: string, of: (x: Expr, size: OperandSize) => Expr): Semantics =>
  semantics(
    name,
    'w,r',
    (e) => {
      const { f } = e;
      const size = e.size(0);
      const value = e.get(1);
      const result = f.let(of(value, size));
      e.set(0, result);
      e.flags.setAll(i32(FLAG.cf).select(value.eqz(), 0).or(i32(FLAG.zf).select(result.eqz(), 0)));
    },
    { hot: true },
  );
/** A word is looked at with a bit set above it. */
export const tzcnt = count('tzcnt', (x, size) => (size === 2 ? x.or(0x1_0000) : x).ctz());
export const lzcnt = count('lzcnt', (x, size) => (size === 2 ? x.clz().sub(16) : x.clz()));

const NO = i32(0);

/** An instruction with a VEX prefix on general registers: real-address and virtual-8086 mode have none. SDM vol. 2, table 2-29. */
const vexed = (name: string, access: string, body: (e: Emitter) => void): Semantics =>
  semantics(
    name,
    access,
    (e) => {
      if (!e.variant.long) e.f.if(e.slot32(STATE.vexBlocked), () => e.raise(VECTOR.ud));
      body(e);
    },
    { by: 'mode' },
  );

export const andn = vexed('andn', 'w,r,r', (e) => {
  const b = e.get(2);
  const result = e.f.let(e.get(1).not().and(b));
  e.set(0, result);
  e.flags.logic(result, e.size(0));
});

/** BLSR, BLSMSK, BLSI. `carry` is CF when the source is zero. */
const lowestBit = (name: string, of: (x: Expr) => Expr, carry: (x: Expr) => Expr): Semantics =>
  vexed(name, 'w,r', (e) => {
    const { f } = e;
    const x = e.get(1);
    const result = f.let(of(x));
    e.set(0, result);
    e.flags.result(result, e.size(0), f.let(carry(x)), NO);
  });
export const blsr = lowestBit(
  'blsr',
  (x) => x.and(x.sub(1)),
  (x) => x.eqz(),
);
export const blsmsk = lowestBit(
  'blsmsk',
  (x) => x.xor(x.sub(1)),
  (x) => x.eqz(),
);
export const blsi = lowestBit(
  'blsi',
  (x) => x.and(x.neg()),
  (x) => x.ne(0),
);

/** The low `count` bits of `x`; all of them when there are no more. `count` is below 256. */
function lowBits(x: Expr, count: Expr, size: OperandSize): Expr {
  const mask = sized(size, -1).shl(count).not();
  return x.and(mask.select(count.ltU(bitsOf(size)), -1));
}
const byteOf = (e: Emitter, x: Expr, at: number): Expr => e.f.let((at === 0 ? x : x.shrU(at)).and(0xff));

export const bextr = vexed('bextr', 'w,r,r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const x = e.get(1);
  const control = e.get(2);
  const start = byteOf(e, control, 0);
  const shifted = f.let(x.shrU(start).select(start.ltU(bitsOf(size)), 0));
  const result = f.let(lowBits(shifted, byteOf(e, control, 8), size));
  e.set(0, result);
  e.flags.logic(result, size);
});

export const bzhi = vexed('bzhi', 'w,r,r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const x = e.get(1);
  const index = byteOf(e, e.get(2), 0);
  const result = f.let(lowBits(x, index, size));
  e.set(0, result);
  e.flags.result(result, size, f.let(index.geU(bitsOf(size))), NO);
});

/** SARX, SHLX, SHRX: no flags. */
const shift = (name: string, by: (x: Expr, count: Expr) => Expr): Semantics =>
  vexed(name, 'w,r,r', (e) => {
    const x = e.get(1);
    const count = e.get(2);
    e.set(0, by(x, count)); // WebAssembly takes counts modulo the width, too
  });
export const sarx = shift('sarx', (x, n) => x.shrS(n));
export const shlx = shift('shlx', (x, n) => x.shl(n));
export const shrx = shift('shrx', (x, n) => x.shrU(n));

export const rorx = vexed('rorx', 'w,r,r', (e) => {
  const x = e.get(1);
  const n = e.get(2);
  e.set(0, x.rotr(e.size(0) === 8 ? n.extendU() : n));
});

const RDX = 2;
/** The high half is written last: it counts when both go to one register. */
export const mulx = vexed('mulx', 'w,w,r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const b = e.get(2);
  const a = e.gpr(RDX, size);
  if (size === 8) {
    const low = f.let(a.mul(b));
    const high = highUnsigned(e, a, b);
    e.set(1, low);
    e.set(0, high);
    return;
  }
  const product = f.let(a.extendU().mul(b.extendU()));
  e.set(1, product.wrap());
  e.set(0, product.shrU(32).wrap());
});

/** Steps through the bits of a mask, lowest first; `each` is given the mask's bit and the number's next one. */
const byBits = (name: string, each: (x: Expr, result: Expr, lowest: Expr, next: Expr) => Expr): Routine => ({
  name,
  params: ['i64', 'i64'],
  result: 'i64',
  emit(f) {
    const [x, mask] = f.params as [Local, Local];
    const result = f.variable('i64');
    const next = f.variable('i64');
    const lowest = f.variable('i64');
    f.set(next, i64(1));
    f.block((done) => {
      f.loop((again) => {
        f.brIf(done, mask.eqz());
        f.set(lowest, mask.and(mask.neg()));
        f.set(result, each(x, result, lowest, next));
        f.set(mask, mask.xor(lowest));
        f.set(next, next.shl(1));
        f.br(again);
      });
    });
    f.return(result);
  },
});
const DEPOSIT = byBits('pdep', (x, result, lowest, next) => result.or(lowest.select(x.and(next).ne(0), 0)));
const EXTRACT = byBits('pext', (x, result, lowest, next) => result.or(next.select(x.and(lowest).ne(0), 0)));

const throughMask = (name: string, routine: Routine): Semantics =>
  vexed(name, 'w,r,r', (e) => {
    const mask = e.get(2);
    const x = e.get(1);
    if (e.size(0) === 8) e.set(0, e.routine(routine, x, mask));
    else e.set(0, e.routine(routine, x.extendU(), mask.extendU()).wrap());
  });
export const pdep = throughMask('pdep', DEPOSIT);
export const pext = throughMask('pext', EXTRACT);

/** ADCX, ADOX: additions with a carry of their own each. */
const addWith = (name: string, flag: 'cf' | 'of'): Semantics =>
  semantics(name, 'rw,r', (e) => {
    const { f } = e;
    const size = e.size(0);
    const b = e.get(1);
    const a = e.get(0);
    const carry = f.let(flag === 'cf' ? e.flags.carry() : e.flags.condition(0));
    const result = f.let(a.add(b).add(size === 8 ? carry.extendU() : carry));
    const out = f.let(bit(a.and(b).or(a.or(b).and(result.not())), bitsOf(size) - 1));
    e.set(0, result);
    if (flag === 'cf') e.flags.setCarry(out);
    else e.flags.carryOverflow(f.let(e.flags.carry()), out);
  });
export const adcx = addWith('adcx', 'cf');
export const adox = addWith('adox', 'of');
