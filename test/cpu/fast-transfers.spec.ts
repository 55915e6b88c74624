// SYSCALL, SYSRET, IRETQ and delivery from 64-bit code: the short way and the long one.
import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { ATTR, CR0, CR4, FLAG, SEGMENT, STATE } from '../../src/cpu/state.ts';
import { SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, SELECTOR as S } from './bench-machine.ts';
import { bothWays, flags, holdAt, mostly, oneOf, warmUp } from './both-ways.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

const address = mostly(
  oneOf(BigInt(AT.code) + 0x100n, BigInt(AT.data) + 0x10n),
  oneOf(0n, 0x7fff_ffff_ffffn, 0x8000_0000_0000n, 0xffff_8000_0000_0000n, 0x1_0000_0000n + BigInt(AT.code)),
);
const cr4 = oneOf(0, CR4.smap, CR4.smap | CR4.smep);
const cr0 = oneOf(0, CR0.am | CR0.wp);
const interruptPending = mostly(fc.constant(false), fc.constant(true));
const codeSelector = mostly(
  oneOf<number>(S.userCode64, S.userCode64, S.code64),
  oneOf<number>(
    0,
    3,
    S.data,
    S.userData,
    S.userCode,
    S.code64 | 1,
    S.userCode64 & ~3,
    S.conforming,
    S.free,
    S.tss,
    S.ldt | 4,
    0xfff8,
  ),
);
const stackSelector = mostly(
  oneOf<number>(S.userData, S.userData, S.data, 0),
  oneOf<number>(3, S.code64, S.userCode64, S.userData & ~3, S.data | 3, S.free, S.tss, 0xfff8),
);

interface Start {
  readonly level: 0 | 3;
  readonly flags: number;
  readonly cr0: number;
  readonly cr4: number;
  readonly accessed: boolean;
  readonly interruptPending: boolean;
  readonly nmiBlocked: boolean;
}
const start: fc.Arbitrary<Start> = fc.record({
  level: oneOf<0 | 3>(0, 0, 0, 3),
  flags,
  cr0,
  cr4,
  accessed: mostly(fc.constant(true), fc.constant(false)),
  interruptPending,
  nmiBlocked: mostly(fc.constant(false), fc.constant(true)),
});

/** The machine in 64-bit mode with user pages, at level 0 or 3, and RIP at AT.code. */
function begin({ level, flags: image, cr0: more0, cr4: more4, accessed, interruptPending: waits, nmiBlocked }: Start): void {
  m.start('long', { level: 3, cr0: more0, cr4: more4 });
  const { cpu } = m;
  const { g, l, d } = SIZE;
  const bit = accessed ? 1 : 0;
  for (const [selector, access, size] of [
    [S.code64, 0x9a, g | l],
    [S.userCode64, 0xfa, g | l],
    [S.data, 0x92, g | d],
    [S.userData, 0xf2, g | d],
  ] as const)
    m.describe(selector, segment(0, 0xfffff, access | bit, size));
  if (level === 0) {
    // Code pages are the user's, which SMEP would refuse.
    for (let page = AT.code; page < AT.code + 0x4000; page += 0x1000) m.tables.map(BigInt(page), page, PTE.p | PTE.w);
    m.engine.flushTlb();
    cpu.setSegment(SEGMENT.cs, S.code64, 0xa09b, 0xffff_ffff, 0n);
    cpu.setSegment(SEGMENT.ss, S.data, 0xc093, 0xffff_ffff, 0n);
    cpu.set32(STATE.cpl, 0);
    m.set([GPR.rsp, BigInt(AT.kernelStack - 0x80)]);
  }
  holdAt(m, image, nmiBlocked, waits);
}

describe('the short way and the long way', () => {
  it('SYSCALL', () => {
    const state = fc.record({
      start,
      star: oneOf(0x0023_0010n, 0x1b_fff8n, 0x33_002bn),
      lstar: address,
      fmask: flags,
      sce: mostly(oneOf(true), oneOf(false)),
    });
    fc.assert(
      fc.property(state, ({ start: s, star, lstar, fmask, sce }) => {
        bothWays(m, () => {
          begin(s);
          m.code('0f05');
          m.cpu.set64(STATE.star, star << 32n);
          m.cpu.set64(STATE.lstar, lstar);
          m.cpu.set32(STATE.fmask, fmask);
          if (!sce) m.cpu.set32(STATE.efer, m.cpu.efer & ~1);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('SYSRET', () => {
    const state = fc.record({
      start,
      star: oneOf(0x0023_0010n, 0x1b_fff8n),
      rcx: address,
      r11: flags,
      wide: mostly(oneOf(true), oneOf(false)),
    });
    fc.assert(
      fc.property(state, ({ start: s, star, rcx, r11, wide }) => {
        bothWays(m, () => {
          begin(s);
          m.code(wide ? '480f07' : '0f07');
          m.cpu.set64(STATE.star, star << 32n);
          m.set([GPR.rcx, rcx], [11, BigInt(r11)]);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('IRETQ', () => {
    const state = fc.record({
      start,
      cs: codeSelector,
      ss: stackSelector,
      rip: address,
      rsp: address,
      image: flags,
      at: mostly(
        oneOf(AT.kernelStack - 0x80),
        oneOf(AT.kernelStack - 0x20, AT.kernelStack - 0x1010, AT.userStack - 0x40, 0x8000_0000),
      ),
      data: oneOf<number>(0, ATTR.present | ATTR.s | ATTR.rw, 0xf3, 0x9e),
    });
    fc.assert(
      fc.property(state, ({ start: s, cs, ss, rip, rsp, image, at, data }) => {
        bothWays(m, () => {
          begin(s);
          m.code('48cf');
          // The frame of a double fault, as one for want of a stack under SMAP, would show RF.
          const kept = s.cr4 & CR4.smap ? image & ~FLAG.rf : image;
          [rip, BigInt(cs), BigInt(kept), rsp, BigInt(ss)].forEach((word, n) => {
            if (at + n * 8 < AT.end) m.put64(at + n * 8, word);
          });
          m.load(SEGMENT.ds, 0x10, data, 0xffff_ffff, 0n).load(SEGMENT.fs, 0x10, data, 7, 0x1234n);
          m.set([GPR.rsp, BigInt(at)]);
        });
      }),
      { numRuns: 150 },
    );
  });

  it('exceptions and interrupts', () => {
    const state = fc.record({
      start,
      // mov [rsi],eax; ud2; div ecx; mov eax,[rsi] of a non-canonical address; int3; hlt
      code: oneOf('8906', '8906', '8906', '0f0b', 'f7f1', '8b06', 'cc', 'f4'),
      rsi: oneOf(0x40_0000n, BigInt(AT.handlers), 0x8000_0000_0000n),
      gate: mostly(oneOf(0x8e, 0x8f, 0xee), oneOf(0x0e, 0x85, 0x8c)),
      selector: mostly(oneOf<number>(S.code64, S.code64 | 3), oneOf<number>(0, S.code, S.data, S.userCode64, S.free)),
      target: mostly(oneOf(AT.handlers), oneOf(0x40_0000)),
      ist: mostly(oneOf(0), oneOf(1, 2)),
      stack: mostly(
        oneOf(BigInt(AT.kernelStack), BigInt(AT.kernelStack) - 8n),
        oneOf(0x8000_0000_0010n, 0x40_0000n, BigInt(AT.otherStack - 0xff0)),
      ),
      rsp: mostly(oneOf(0n), oneOf(-3n, 0x18n - 0xf80n, 0x8000_0000_0000n)),
      idtLimit: mostly(oneOf(0xfff), oneOf(0x5f, 0xe8)),
      tr: mostly(oneOf(0x8b), oneOf(0)),
      interrupt: oneOf(undefined, undefined, 6),
    });
    fc.assert(
      fc.property(state, ({ start: s, code, rsi, gate, selector, target, ist, stack, rsp, idtLimit, tr, interrupt }) => {
        bothWays(
          m,
          () => {
            begin(s);
            m.code(code);
            for (const vector of [0, 3, 6, 13, 14]) m.vector(vector, { access: gate, selector, target, ist });
            m.put64(AT.tss + 4, stack);
            m.cpu.u16[(STATE.idtr + 8) >> 1] = idtLimit;
            m.load(SEGMENT.tr, S.tss, tr, 0x67, BigInt(AT.tss));
            m.set(
              [GPR.rsi, rsi === BigInt(AT.handlers) && s.level === 0 ? 0x40_0000n : rsi],
              [GPR.rcx, 0n],
              [GPR.rsp, BigInt.asUintN(64, m.gpr(GPR.rsp) + rsp)],
            );
          },
          interrupt,
        );
      }),
      { numRuns: 200 },
    );
  });

  const plain: Start = { level: 0, flags: 2, cr0: 0, cr4: CR4.smap, accessed: true, interruptPending: false, nmiBlocked: false };
  it.each([
    { name: 'a page fault', code: '8906', level: 0 },
    { name: 'a page fault of level 3', code: '8906', level: 3 },
    { name: 'IRETQ', code: '48cf', level: 0 },
  ] as const)('$name takes the short way', ({ code, level }) => {
    begin({ ...plain, level });
    m.code(code).set([GPR.rsi, 0x40_0000n]);
    const at = AT.kernelStack - 0x80;
    [AT.data + 0x10, S.userCode64, 2, AT.data, S.userData].forEach((word, n) => {
      m.put64(at + n * 8, BigInt(word));
    });
    warmUp(m);
    const long = [vi.spyOn(m.engine.mmu, 'read'), vi.spyOn(m.engine.mmu, 'readBytes')];
    m.engine.run(1);
    expect(m.cpu.cpl).toBe(code === '48cf' ? 3 : 0);
    for (const spy of long) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });
});
