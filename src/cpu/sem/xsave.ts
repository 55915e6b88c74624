// XSAVE, XSAVEOPT and XRSTOR the way kernels switch processes: of SSE and AVX state, while the x87 is as FNINIT leaves it, in an area of
// plain memory. Whatever is not that is the helper's (system/xsave.ts). SDM vol. 1, chapter 13.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Label } from '../../wasm/function-builder.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { CR0, CR4, STATE, STATE_COMPONENTS } from '../state.ts';
import { AVX_AREA, FCW_DEFAULT, FXSAVE_IMAGE, HEADER_AT, MXCSR_DEFAULT, MXCSR_MASK, xsaveAreaBytes } from '../system/xsave.ts';
import { test, vector, ZERO } from './simd-ops.ts';

const RAX = 0;
const { x87: X87, sse: SSE, avx: AVX } = STATE_COMPONENTS;
const REGISTERS = 16;
/** XMM8..XMM15 exist in 64-bit mode only: elsewhere they are neither saved nor loaded. */
const registersOf = (e: Emitter): number => (e.variant.long ? REGISTERS : REGISTERS / 2);
const XCOMP_BV = HEADER_AT + 8;
const HEADER_RESERVED = HEADER_AT + 16;

/** What to add to an offset in the area for the address of what is there. The area is aligned to 64 bytes: no field is in two pages. */
type Area = (offset: number) => Expr;

/** Tries `fast` with the area and the components that are asked for; where that branches to `slow`, nothing has changed. */
function unlessUnusual(
  e: Emitter,
  name: string,
  access: 'r' | 'w',
  fast: (area: Area, requested: Expr, slow: Label) => void,
): void {
  const { f } = e;
  f.block((done) => {
    f.block((slow) => {
      f.brIf(slow, e.slot32(STATE.cr0).and(CR0.ts).or(e.slot32(STATE.cr4).and(CR4.osxsave).eqz()));
      const area = e.plainArea(xsaveAreaBytes(AVX), access, () => f.br(slow));
      // Pages lie where the host has pages.
      f.brIf(slow, area(0).and(63));
      fast(area, f.let(e.gpr(RAX, 4).and(e.slot32(STATE.xcr0))), slow);
      f.br(done);
    });
    e.helper(name);
  });
}

/** i32, 1 when any bit of `count` vectors of the state is set. */
function isAnySet(e: Emitter, at: number, count: number): Expr {
  let all: Expr = e.state.loadV(at);
  for (let i = 1; i < count; i++) all = vector('v128.or', all, e.state.loadV(at + i * 16));
  return test('v128.any_true', all);
}

/** i32, 1 when the x87 differs from its initial configuration: SDM vol. 1, 13.6. FSW, FTW and FOP lie behind FCW. */
const isX87InUse = (e: Emitter): Expr =>
  e
    .slot64(STATE.fcw)
    .ne(i64(FCW_DEFAULT))
    .or(e.slot64(STATE.fip).or(e.slot64(STATE.fdp)).ne(0))
    .or(e.slot32(STATE.fcs).ne(0))
    .or(isAnySet(e, STATE.x87, 8));

function saveRegisters(e: Emitter, at: number, area: Area, to: number): void {
  for (let i = 0; i < registersOf(e) * 16; i += 16) e.f.storeV(area(to + i), e.state.loadV(at + i), to + i);
}
function loadRegisters(e: Emitter, at: number, area: Area, from: number): void {
  for (let i = 0; i < registersOf(e) * 16; i += 16) e.f.storeV(e.state, area(from + i).loadV(from + i), at + i);
}
function clearRegisters(e: Emitter, at: number, count: number): void {
  for (let i = 0; i < count; i++) e.f.storeV(e.state, ZERO, at + i * 16);
}

const save = (name: string, optimized: boolean): Semantics =>
  semantics(
    name,
    'a',
    (e) => {
      const { f } = e;
      unlessUnusual(e, name, 'w', (area, requested, slow) => {
        const sse = isAnySet(e, STATE.xmm, REGISTERS).or(e.slot32(STATE.mxcsr).ne(MXCSR_DEFAULT));
        const avx = isAnySet(e, STATE.ymmHigh, REGISTERS);
        const inUse = f.let(isX87InUse(e).mul(X87).or(sse.mul(SSE)).or(avx.mul(AVX)).and(requested));
        const written = optimized ? inUse : requested;
        f.brIf(slow, written.and(X87));
        f.if(requested.and(SSE | AVX), () => {
          f.store(area(FXSAVE_IMAGE.mxcsr), 4, e.slot32(STATE.mxcsr), FXSAVE_IMAGE.mxcsr);
          f.store(area(FXSAVE_IMAGE.mxcsrMask), 4, i32(MXCSR_MASK), FXSAVE_IMAGE.mxcsrMask);
        });
        f.if(written.and(SSE), () => saveRegisters(e, STATE.xmm, area, FXSAVE_IMAGE.xmm));
        f.if(written.and(AVX), () => saveRegisters(e, STATE.ymmHigh, area, AVX_AREA.at));
        const header = area(HEADER_AT);
        const others = header.load('i64', 8, HEADER_AT).and(requested.extendU().xor(-1));
        f.store(header, 8, others.or(inUse.extendU()), HEADER_AT);
      });
    },
    { by: 'osize mode' },
  );
export const xsave = save('xsave', false);
export const xsaveopt = save('xsaveopt', true);

export const xrstor = semantics(
  'xrstor',
  'a',
  (e) => {
    const { f } = e;
    unlessUnusual(e, 'xrstor', 'r', (area, requested, slow) => {
      const header = f.let(area(HEADER_AT));
      const present = f.let(header.load('i64', 8, HEADER_AT));
      const unknown = present.and(e.slot64(STATE.xcr0).xor(-1));
      const format = header.load('i64', 8, XCOMP_BV).or(header.load('i64', 8, HEADER_RESERVED));
      f.brIf(slow, unknown.or(format).ne(0));
      const loaded = f.let(present.wrap().and(requested));
      f.brIf(slow, loaded.and(X87));
      const mxcsr = f.let(area(FXSAVE_IMAGE.mxcsr).load('i32', 4, FXSAVE_IMAGE.mxcsr));
      // MXCSR comes with either, whatever the header says: SDM vol. 1, 13.8.1.
      const withMxcsr = f.let(requested.and(SSE | AVX));
      f.brIf(slow, withMxcsr.ne(0).and(mxcsr.and(~MXCSR_MASK).ne(0)));
      f.if(requested.and(X87), () => {
        e.setSlot64(STATE.fcw, i64(FCW_DEFAULT));
        e.setSlot64(STATE.fip, i64(0));
        e.setSlot64(STATE.fdp, i64(0));
        e.setSlot32(STATE.fcs, i32(0));
        clearRegisters(e, STATE.x87, 8);
      });
      f.if(withMxcsr, () => e.setSlot32(STATE.mxcsr, mxcsr));
      const component = (bit: number, at: number, from: number) =>
        f.if(requested.and(bit), () =>
          f.if(
            loaded.and(bit),
            () => loadRegisters(e, at, area, from),
            () => clearRegisters(e, at, registersOf(e)),
          ),
        );
      component(SSE, STATE.xmm, FXSAVE_IMAGE.xmm);
      component(AVX, STATE.ymmHigh, AVX_AREA.at);
    });
  },
  { by: 'osize mode' },
);
