// SYSENTER, SYSEXIT, IRETD and delivery from 32-bit code: the short way and the long one.
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

const address = mostly(oneOf(AT.code + 0x100, AT.data + 0x10), oneOf(0, 0x7fff_ffff, 0x8000_0000));

interface Start {
  readonly mode: 'flat' | 'paged' | 'pae' | 'compat';
  readonly level: 0 | 3;
  readonly flags: number;
  readonly cr0: number;
  readonly cr4: number;
  readonly accessed: boolean;
  /** Of all descriptors: neither a base nor a limit below 4 GiB. */
  readonly flat: boolean;
  readonly interruptPending: boolean;
  readonly nmiBlocked: boolean;
}
const start: fc.Arbitrary<Start> = fc.record({
  mode: mostly(oneOf<Start['mode']>('paged', 'pae', 'flat'), oneOf<Start['mode']>('compat')),
  level: oneOf<0 | 3>(0, 0, 0, 3),
  flags,
  cr0: oneOf(0, CR0.am | CR0.wp),
  cr4: oneOf(0, CR4.smap, CR4.smap | CR4.smep),
  accessed: mostly(oneOf(true), oneOf(false)),
  flat: mostly(oneOf(true), oneOf(false)),
  interruptPending: mostly(oneOf(false), oneOf(true)),
  nmiBlocked: mostly(oneOf(false), oneOf(true)),
});

/** 32-bit code with user pages, at level 0 or 3, and EIP at AT.code. */
function begin({ mode, level, flags: image, cr0, cr4, accessed, flat, interruptPending, nmiBlocked }: Start): void {
  m.start(mode, { level: 3, cr0, cr4 });
  const { cpu } = m;
  const { g, d } = SIZE;
  const bit = accessed ? 1 : 0;
  const limit = flat ? 0xfffff : 0xffffe;
  for (const [selector, access] of [
    [S.code, 0x9a],
    [S.userCode, 0xfa],
    [S.data, 0x92],
    [S.userData, 0xf2],
  ] as const)
    m.describe(selector, segment(0, limit, access | bit, g | d));
  if (level === 0) {
    // Code pages are the user's, which SMEP would refuse.
    if (mode !== 'flat')
      for (let page = AT.code; page < AT.code + 0x4000; page += 0x1000) m.tables.map(BigInt(page), page, PTE.p | PTE.w);
    m.engine.flushTlb();
    cpu.setSegment(SEGMENT.cs, S.code, 0xc09b, 0xffff_ffff, 0n);
    cpu.setSegment(SEGMENT.ss, S.data, 0xc093, 0xffff_ffff, 0n);
    cpu.set32(STATE.cpl, 0);
    m.set([GPR.rsp, BigInt(AT.kernelStack - 0x80)]);
  }
  holdAt(m, image, nmiBlocked, interruptPending);
}
const put32 = (at: number, value: number): void => {
  if (at >= 0 && at + 4 <= AT.end) m.view.setUint32(at, value, true);
};

describe('the short way and the long way', () => {
  it('SYSENTER and SYSEXIT', () => {
    const state = fc.record({
      start,
      code: oneOf('0f34', '0f35', '0f35'),
      cs: mostly(oneOf(S.code, 0x60), oneOf(0, 3, 0xfff8)),
      esp: oneOf(AT.kernelStack, 0xffff_fff0),
      eip: address,
    });
    fc.assert(
      fc.property(state, ({ start: s, code, cs, esp, eip }) => {
        bothWays(m, () => {
          begin(s);
          m.code(code);
          m.cpu.set64(STATE.sysenterCs, BigInt(cs));
          m.cpu.set64(STATE.sysenterEsp, BigInt(esp));
          m.cpu.set64(STATE.sysenterEip, BigInt(eip));
          m.set([GPR.rcx, BigInt(esp)], [GPR.rdx, BigInt(eip)]);
        });
      }),
      { numRuns: 120 },
    );
  });

  it('IRETD', () => {
    const state = fc.record({
      start,
      cs: mostly(
        oneOf<number>(S.userCode, S.userCode, S.code),
        oneOf<number>(0, 3, S.data, S.userData, S.code | 1, S.userCode & ~3, S.conforming, S.code16, S.userCode16, S.tss, 0xfff8),
      ),
      ss: mostly(
        oneOf<number>(S.userData),
        oneOf<number>(0, 3, S.userCode, S.data, S.userData & ~3, S.userData16, S.free, S.tss, 0xfff8),
      ),
      eip: address,
      esp: address,
      image: flags,
      at: mostly(oneOf(AT.kernelStack - 0x80), oneOf(AT.kernelStack - 0x10, AT.kernelStack - 0x100c, 0x40_0000)),
      data: oneOf<number>(0, ATTR.present | ATTR.s | ATTR.rw, 0xf3, 0x9e),
      stack: mostly(oneOf(0xc093), oneOf(0x8093, 0xc097)),
      stackBase: mostly(oneOf(0n), oneOf(0x10n)),
    });
    fc.assert(
      fc.property(state, ({ start: s, cs, ss, eip, esp, image, at, data, stack, stackBase }) => {
        bothWays(m, () => {
          begin(s);
          m.code('cf');
          const kept = s.cr4 & CR4.smap ? image & ~FLAG.rf : image;
          [eip, cs, kept & ~FLAG.vm, esp, ss].forEach((word, n) => put32(at + n * 4, word));
          m.load(SEGMENT.ds, 0x10, data, 0xffff_ffff, 0n).load(SEGMENT.fs, 0x10, data, 7, 0x1234n);
          if (s.level === 0) m.load(SEGMENT.ss, S.data, stack, 0xffff_ffff, stackBase);
          m.set([GPR.rsp, BigInt(at)]);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('exceptions and interrupts', () => {
    const state = fc.record({
      start,
      // mov [esi],eax; ud2; div ecx; int3; hlt
      code: oneOf('8906', '8906', '8906', '0f0b', 'f7f1', 'cc', 'f4'),
      gate: mostly(oneOf(0x8e, 0x8f, 0xee), oneOf(0x0e, 0x85, 0x86, 0x8c)),
      selector: mostly(oneOf<number>(S.code, S.code | 3), oneOf<number>(0, S.data, S.userCode, S.code16, S.conforming, S.free)),
      target: mostly(oneOf(AT.handlers), oneOf(0x40_0000)),
      esp0: mostly(oneOf(AT.kernelStack, AT.kernelStack - 4), oneOf(0x40_0000, AT.otherStack - 0xff8, 8, 0)),
      ss0: mostly(oneOf<number>(S.data), oneOf<number>(0, S.data | 3, S.code, S.userData, S.data16, S.free)),
      esp: mostly(oneOf(0n), oneOf(-2n, 0x18n - 0xf80n, 0x40_0000n)),
      stack: mostly(oneOf(0xc093), oneOf(0x8093, 0xc097)),
      idtLimit: mostly(oneOf(0x7ff), oneOf(0x2f, 0x74)),
      tr: mostly(oneOf(0x8b), oneOf(0, 0x83)),
      trLimit: mostly(oneOf(0x67), oneOf(8)),
      interrupt: oneOf(undefined, undefined, 6),
    });
    fc.assert(
      fc.property(state, (c) => {
        bothWays(
          m,
          () => {
            const { start: s } = c;
            begin(s);
            m.code(c.code);
            for (const vector of [0, 3, 6, 13, 14]) m.vector(vector, { access: c.gate, selector: c.selector, target: c.target });
            put32(AT.tss + 4, c.esp0);
            m.view.setUint16(AT.tss + 8, c.ss0, true);
            m.cpu.u16[(STATE.idtr + 8) >> 1] = c.idtLimit;
            m.load(SEGMENT.tr, S.tss, c.tr, c.trLimit, BigInt(AT.tss));
            if (s.level === 0) m.load(SEGMENT.ss, S.data, c.stack, 0xffff_ffff, 0n);
            const esp = BigInt.asUintN(32, m.gpr(GPR.rsp) + c.esp);
            m.set([GPR.rsi, s.mode === 'flat' ? 0x8000_0000n : 0x40_0000n], [GPR.rcx, 0n], [GPR.rsp, esp]);
          },
          c.interrupt,
        );
      }),
      { numRuns: 250 },
    );
  });

  const plain: Start = {
    mode: 'pae',
    level: 0,
    flags: 2,
    cr0: 0,
    cr4: CR4.smap,
    accessed: true,
    flat: true,
    interruptPending: false,
    nmiBlocked: false,
  };
  it.each([
    { name: 'a page fault', code: '8906', level: 0, to: 0 },
    { name: 'a page fault of level 3', code: '8906', level: 3, to: 0 },
    { name: 'IRETD', code: 'cf', level: 0, to: 3 },
    { name: 'SYSENTER', code: '0f34', level: 3, to: 0 },
    { name: 'SYSEXIT', code: '0f35', level: 0, to: 3 },
  ] as const)('$name takes the short way', ({ code, level, to }) => {
    begin({ ...plain, level });
    m.code(code).set([GPR.rsi, 0x40_0000n], [GPR.rdx, BigInt(AT.data + 0x10)]);
    const at = AT.kernelStack - 0x80;
    [AT.data + 0x10, S.userCode, 2, AT.data, S.userData].forEach((word, n) => put32(at + n * 4, word));
    m.cpu.set64(STATE.sysenterCs, BigInt(S.code));
    m.cpu.set64(STATE.sysenterEip, BigInt(AT.code + 0x100));
    warmUp(m);
    const long = [vi.spyOn(m.engine.mmu, 'read'), vi.spyOn(m.engine.mmu, 'readBytes'), vi.spyOn(m.cpu, 'updateMode')];
    m.engine.run(1);
    expect(m.cpu.cpl).toBe(to);
    for (const spy of long) {
      expect(spy).not.toHaveBeenCalled();
      spy.mockRestore();
    }
  });
});
