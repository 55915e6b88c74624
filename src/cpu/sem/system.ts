// System instructions whose work is done in line or by a quick compute. SDM vol. 2; vol. 3, 2.8.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { CR0, CR4, FLAG, SEG, SEGMENT, STATE, TIME_GATE, VECTOR } from '../state.ts';
import { loadDataSegment } from './load-segment.ts';
import { SCRATCH } from './scratch.ts';
import { narrow, zeroExtend } from './value.ts';

const [RAX, RCX, RDX, RBX] = [0, 1, 2, 3];

const requireCpl0 = (e: Emitter): void => e.f.if(e.slot32(STATE.cpl), () => e.raise(VECTOR.gp, 0));
/** #UD in real-address and virtual-8086 mode. */
const requireProtected = (e: Emitter): void => {
  const outside = e.slot32(STATE.cr0).and(CR0.pe).eqz().or(e.slot32(STATE.eflags).and(FLAG.vm));
  e.f.if(outside, () => e.raise(VECTOR.ud));
};

/** LAR and LSL. The compute takes a selector in SCRATCH.a and answers ZF in SCRATCH.a and the value in SCRATCH.b. */
const query = (name: string): Semantics =>
  semantics(name, 'rw,r', (e) => {
    requireProtected(e);
    e.setSlot32(SCRATCH.a, e.get(1));
    e.compute(name);
    const found = e.f.let(e.slot32(SCRATCH.a));
    const size = e.size(0);
    e.f.if(found, () => {
      const value = e.slot32(SCRATCH.b);
      e.set(0, size === 8 ? value.extendU() : value);
    });
    e.flags.setZero(found);
  });
export const lar = query('lar');
export const lsl = query('lsl');

/** VERR and VERW: selector in, ZF out, in SCRATCH.a. */
const verify = (name: string): Semantics =>
  semantics(name, 'r', (e) => {
    requireProtected(e);
    e.setSlot32(SCRATCH.a, e.get(0));
    e.compute(name);
    e.flags.setZero(e.slot32(SCRATCH.a));
  });
export const verr = verify('verr');
export const verw = verify('verw');

/** SLDT, STR, SMSW: the compute raises what forbids it, or leaves the value in SCRATCH.a. */
const store = (name: string): Semantics =>
  semantics(name, 'w', (e) => {
    e.compute(name);
    const value = e.slot32(SCRATCH.a);
    e.set(0, zeroExtend(value, 4, e.size(0)));
  });
export const sldt = store('sldt');
export const str = store('str');
export const smsw = store('smsw');

/** LLDT, LTR: the selector in SCRATCH.selector. */
const load = (name: string): Semantics =>
  semantics(name, 'r', (e) => {
    requireProtected(e);
    requireCpl0(e);
    e.setSlot32(SCRATCH.selector, e.get(0));
    e.compute(name);
  });
export const lldt = load('lldt');
export const ltr = load('ltr');

/** The operand is only written when its RPL is raised. */
export const arpl = semantics(
  'arpl',
  'r,r',
  (e) => {
    requireProtected(e);
    const b = e.f.let(e.get(1).and(3));
    const a = e.get(0);
    const lower = e.f.let(a.and(3).ltU(b));
    e.f.if(lower, () => {
      const raised = a.and(~3).or(b);
      if (e.variant.operands[0]?.kind === 'mem') e.storeAt('operand', e.f.let(e.offset(0)), 2, raised);
      else e.set(0, raised);
    });
    e.flags.setZero(lower);
  },
  { by: 'mode' },
);

/** The helper does the rest; privilege is checked before the operand is read. */
export const lmsw = semantics(
  'lmsw',
  'r',
  (e) => {
    requireCpl0(e);
    e.helper('lmsw');
  },
  { ends: true },
);

/** The compute takes the linear address in SCRATCH.offset. */
export const invlpg = semantics('invlpg', 'a', (e) => {
  requireCpl0(e);
  e.setSlot64(SCRATCH.offset, e.linear(0));
  e.compute('invlpg');
});

export const clts = semantics('clts', '', (e) => {
  requireCpl0(e);
  e.setSlot32(STATE.cr0, e.slot32(STATE.cr0).and(~CR0.ts));
  // SSE and MMX may run again.
  e.compute('updateMode');
});

/** INVD and WBINVD: memory is coherent without them. */
export const flushCaches = semantics('wbinvd', '', requireCpl0);
/** Faults as a byte load does. */
export const clflush = semantics('clflush', 'r', (e) => {
  e.get(0);
});

/** Leaf and subleaf in SCRATCH.a and b; EAX, EBX, ECX, EDX come back in a, b, c, d. */
export const cpuid = semantics('cpuid', '', (e) => {
  e.setSlot32(SCRATCH.a, e.gpr(RAX, 4));
  e.setSlot32(SCRATCH.b, e.gpr(RCX, 4));
  e.compute('cpuid');
  e.setGpr(RAX, 4, e.slot32(SCRATCH.a));
  e.setGpr(RBX, 4, e.slot32(SCRATCH.b));
  e.setGpr(RCX, 4, e.slot32(SCRATCH.c));
  e.setGpr(RDX, 4, e.slot32(SCRATCH.d));
});

/** SDM vol. 3, 18.17. A clock that counts instructions is read with all those before this one counted: see TIME_GATE. */
function readTimeStamp(e: Emitter): void {
  const forbidden = e.slot32(STATE.cpl).ne(0).and(e.slot32(STATE.cr4).and(CR4.tsd).ne(0));
  e.f.if(forbidden, () => e.raise(VECTOR.gp, 0));
  const gate = e.f.let(e.slot32(STATE.timeGate));
  e.f.if(gate.eq(TIME_GATE.shut), () => e.helper('countFirst'));
  const stamp = e.f.let(e.ticks().add(e.slot64(STATE.tscOffset)));
  e.f.if(gate, () => e.setSlot32(STATE.timeGate, i32(TIME_GATE.shut)));
  e.setGpr(RAX, 4, stamp.wrap());
  e.setGpr(RDX, 4, stamp.shrU(32).wrap());
}
export const rdtsc = semantics('rdtsc', '', readTimeStamp);
export const rdtscp = semantics('rdtscp', '', (e) => {
  readTimeStamp(e);
  e.setGpr(RCX, 4, e.slot32(STATE.tscAux));
});

/** There are no performance counters: every index is out of range. */
export const rdpmc = semantics('rdpmc', '', (e) => e.raise(VECTOR.gp, 0), { ends: true });

/** The compute leaves 64 random bits in SCRATCH.offset. It never runs dry. */
export const rdrand = semantics('rdrand', 'w', (e) => {
  e.compute('rdrand');
  const size = e.size(0);
  e.set(0, narrow(e.slot64(SCRATCH.offset), size));
  e.flags.setAll(i32(FLAG.cf));
});

export const swapgs = semantics(
  'swapgs',
  '',
  (e) => {
    requireCpl0(e);
    const at = STATE.seg + SEGMENT.gs * SEG.sizeof + SEG.base;
    const base = e.f.let(e.slot64(at));
    e.setSlot64(at, e.slot64(STATE.kernelGsBase));
    e.setSlot64(STATE.kernelGsBase, base);
  },
  { hot: true },
);

const requireFsGsBase = (e: Emitter): void => e.f.if(e.slot32(STATE.cr4).and(CR4.fsgsbase).eqz(), () => e.raise(VECTOR.ud));
const baseOf = (segment: number): number => STATE.seg + segment * SEG.sizeof + SEG.base;

export const readBase = (name: string, segment: number): Semantics =>
  semantics(name, 'w', (e) => {
    requireFsGsBase(e);
    e.set(0, narrow(e.slot64(baseOf(segment)), e.size(0)));
  });
export const writeBase = (name: string, segment: number): Semantics =>
  semantics(name, 'r', (e) => {
    requireFsGsBase(e);
    const value = e.get(0);
    const base = e.f.let(e.size(0) === 8 ? value : value.extendU());
    e.f.if(canonical(base).eqz(), () => e.raise(VECTOR.gp, 0));
    e.setSlot64(baseOf(segment), base);
  });
const canonical = (address: Expr): Expr => address.shl(16).shrS(16).eq(address);

/** BOUND: signed index against the two bounds in memory. */
export const bound = semantics(
  'bound',
  'r,r',
  (e) => {
    const size = e.size(0) as 2 | 4;
    const { asize } = e.variant;
    const signed = (x: Expr) => (size === 2 ? x.extend16S() : x);
    const index = e.f.let(signed(e.get(0)));
    const lower = e.get(1);
    // An index below the lower bound is enough: the upper one is not read.
    e.f.if(index.ltS(signed(lower)), () => e.raise(VECTOR.br));
    const next = e.f.let(
      e
        .offset(1)
        .add(i64(size))
        .and(asize === 2 ? 0xffff : 0xffff_ffff),
    );
    const upper = e.loadAt('operand', next, size);
    e.f.if(index.gtS(signed(upper)), () => e.raise(VECTOR.br));
  },
  { by: 'asize mode' },
);

/** UD0, UD1, UD2: #UD by definition. */
export const ud = semantics('ud', '', (e) => e.raise(VECTOR.ud), { ends: true });
export const udWithOperands = semantics('udWithOperands', 'a,a', (e) => e.raise(VECTOR.ud), { ends: true });

/** MOV of ES, CS, SS, DS, FS or GS: one for each. */
export const movFromSegment: readonly Semantics[] = ['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs'].map((name, which) =>
  semantics(`movFrom${name}`, 'w,r', (e) => {
    const selector = e.f.let(e.slot32(STATE.seg + which * SEG.sizeof + SEG.selector).and(0xffff));
    e.set(0, e.size(0) === 8 ? selector.extendU() : selector);
  }),
);

/**
 * MOV to ES, CS (#UD), SS, DS, FS or GS: one for each. What the stack segment brings with it (its width, the shadow), and whatever
 * is not as kernels have it, is the helper's, which finds the selector in SCRATCH.selector.
 */
export const movToSegment: readonly Semantics[] = ['Es', 'Cs', 'Ss', 'Ds', 'Fs', 'Gs'].map((name, which) =>
  semantics(
    `movTo${name}`,
    'w,r',
    (e) => {
      const selector = e.f.let(e.get(1).and(0xffff));
      const helper = () => {
        e.setSlot32(SCRATCH.selector, selector);
        e.helper('movSegment');
      };
      if (which === SEGMENT.cs || which === SEGMENT.ss) helper();
      else loadDataSegment(e, which, selector, helper);
    },
    { ends: true },
  ),
);

/** CR8, and registers that there are not, are the helper's. */
export const movFromControl = semantics('movFromControl', 'w,r', (e) => {
  const { f } = e;
  const which = f.let(e.registerNumber(1));
  const plain = which.eqz().or(which.geU(2).and(which.leU(4)));
  f.if(
    e.slot32(STATE.cpl).or(plain.eqz()),
    () => e.helper('movFromControl'),
    () => {
      // CR0, then CR2 to CR4.
      const at = f.let(which.sub(which.ne(0)).shl(3));
      const value = e.state.add(at).load('i64', 8, STATE.cr0);
      e.set(0, e.size(0) === 8 ? value : value.wrap());
    },
  );
});
