// Moves between XMM registers, general registers and memory. SDM vol. 2, under each name.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import { semantics } from '../emit/semantics.ts';
import { STATE } from '../state.ts';
import { lane, laneBytes, test, withLane, ZERO } from './simd-ops.ts';
import { checkMmx, checkSse, enterMmx, mmx, simd, sse } from './sse-access.ts';

const hot = { hot: true } as const;

/** Loads and stores of whole registers; the alignment is the only difference between the many names. */
export const movAligned = sse(
  'mov.aligned',
  'w,r',
  (e) => e.setVector(0, e.getVector(1, { aligned: true }), { aligned: true }),
  hot,
);
export const movUnaligned = sse('mov.unaligned', 'w,r', (e) => e.setVector(0, e.getVector(1)), hot);

/** MOVQ, MOVSS and MOVSD from memory: the rest of the register becomes zero. */
export const movLoadLow = sse('mov.load.low', 'w,r', (e) => e.setVector(0, e.getVector(1)), hot);
/** MOVQ, MOVSS, MOVSD, MOVLPS to memory. */
export const movStoreLow = sse('mov.store.low', 'w,r', (e) => e.setVector(0, e.getVector(1)), hot);

export const movssRegister = sse('movss.register', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, [16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
});
export const movsdRegister = sse('movsd.register', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, laneBytes(8, [2, 1])));
});

/** MOVLPS, MOVLPD from memory. */
export const movLoadLowKeep = sse('mov.load.low.keep', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, laneBytes(8, [2, 1])));
});
export const movLoadHigh = sse('mov.load.high', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, laneBytes(8, [0, 2])));
});
export const movStoreHigh = sse('mov.store.high', 'w,r', (e) => {
  const a = e.getVector(1);
  e.setVector(0, a.shuffle(a, laneBytes(8, [1, 1])));
});
export const movhlps = sse('movhlps', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, laneBytes(8, [3, 1])));
});
export const movlhps = sse('movlhps', 'rw,r', (e) => {
  const b = e.getVector(1);
  e.setVector(0, e.getVector(0).shuffle(b, laneBytes(8, [0, 2])));
});

export const movddup = sse('movddup', 'w,r', (e) => {
  const a = e.getVector(1);
  e.setVector(0, a.shuffle(a, laneBytes(8, [0, 0])));
});
const duplicate = (name: string, lanes: readonly number[]) =>
  sse(name, 'w,r', (e) => {
    const a = e.getVector(1, { aligned: true });
    e.setVector(0, a.shuffle(a, laneBytes(4, lanes)));
  });
export const movsldup = duplicate('movsldup', [0, 0, 2, 2]);
export const movshdup = duplicate('movshdup', [1, 1, 3, 3]);

/** MOVD and MOVQ from a general register or memory; zero-extends into XMM. */
const fromGeneral = (isHot: boolean) =>
  simd(
    'mov.from.general',
    'w,r',
    (e) => {
      const value = e.get(1);
      e.setVector(0, withLane(e.size(1) === 8 ? 'i64x2' : 'i32x4', ZERO, 0, value));
    },
    { hot: isHot },
  );
const toGeneral = (isHot: boolean) =>
  simd('mov.to.general', 'w,r', (e) => e.set(0, lane(e.size(0) === 8 ? 'i64x2' : 'i32x4', e.getVector(1), 0)), { hot: isHot });
export const movFromGeneral = fromGeneral(true);
export const movToGeneral = toGeneral(true);
export const movFromGeneralMmx = fromGeneral(false);
export const movToGeneralMmx = toGeneral(false);

/** MOVQ between MMX registers and memory. */
export const movqMmx = mmx('movq.mmx', 'w,r', (e) => e.setVector(0, e.getVector(1)));

/** Both name an MMX and an XMM register. */
const bothUnits = (name: string) =>
  semantics(name, 'w,r', (e) => {
    checkSse(e);
    checkMmx(e);
    e.setVector(0, e.getVector(1));
    enterMmx(e);
  });
export const movq2dq = bothUnits('movq2dq');
export const movdq2q = bothUnits('movdq2q');

export const movmskps = sse('movmskps', 'w,r', (e) => e.set(0, test('i32x4.bitmask', e.getVector(1))));
export const movmskpd = sse('movmskpd', 'w,r', (e) => e.set(0, test('i64x2.bitmask', e.getVector(1))));
const byteMask = (isHot: boolean) =>
  simd('pmovmskb', 'w,r', (e) => e.set(0, test('i8x16.bitmask', e.getVector(1))), { hot: isHot });
export const pmovmskb = byteMask(true);
export const pmovmskbMmx = byteMask(false);

/** MOVNTI needs neither SSE nor MMX to be enabled. */
export const movnti = semantics('movnti', 'w,r', (e) => e.set(0, e.get(1)));

/**
 * MASKMOVDQU, MASKMOVQ: the bytes whose mask byte is negative, to DS:rDI or its override. Like Intel's CPUs, each half of
 * 8 bytes must be writable whatever the mask says, the high one first.
 */
export const maskmov = simd(
  'maskmov',
  'r,r',
  (e, width) => {
    const { f } = e;
    if (width === 8) enterMmx(e);
    f.storeV(e.state, e.getVector(0), STATE.vectorScratch);
    const mask = e.local('i32');
    f.set(mask, test('i8x16.bitmask', e.getVector(1)));
    const { asize } = e.variant;
    const base = asize === 8 ? e.gpr(7, 8) : f.let(e.gpr(7, asize).extendU());
    const offset = (index: Expr): Expr => {
      const sum = base.add(index);
      return f.let(asize === 8 ? sum : sum.and(asize === 4 ? 0xffff_ffff : 0xffff));
    };
    for (const half of width === 16 ? [8, 0] : [0]) e.hostAddress(e.linearAt('operand', offset(i64(half)), 8, true), 8, 'w');
    f.block((done) => {
      f.loop((next) => {
        f.brIf(done, mask.eqz());
        const index = f.let(mask.ctz());
        e.storeAt('operand', offset(index.extendU()), 1, e.state.add(index).load('i32', 1, STATE.vectorScratch));
        f.set(mask, mask.and(mask.sub(1)));
        f.br(next);
      });
    });
  },
  { by: 'asize mode' },
);

/** LDMXCSR: reserved bits are a #GP(0). SDM vol. 1, 10.2.3. */
export const ldmxcsr = sse('ldmxcsr', 'r', (e) => {
  const value = e.get(0);
  e.f.if(value.and(i32(~0xffff)), () => e.raise(13, 0));
  e.setSlot32(STATE.mxcsr, value);
});
export const stmxcsr = sse('stmxcsr', 'w', (e) => e.set(0, e.slot32(STATE.mxcsr)));

/** EMMS: TOP = 0 like the others, but all tags empty. */
export const emms = semantics('emms', '', (e) => {
  checkMmx(e);
  enterMmx(e);
  e.f.store(e.state, 2, i32(0), STATE.ftw);
});
