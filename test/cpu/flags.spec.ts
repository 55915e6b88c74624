// POPF, PUSHF, CLI, STI: which flags each privilege may change. SDM vol. 2B, POPF, table 4-16; STI, CLI; vol. 3, 20.4.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, VECTOR } from '../../src/cpu/state.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, DONE } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax } = GPR;
const ALL = 0x3f_7fd5;
const TF = FLAG.tf;
const UPPER = FLAG.rf | FLAG.vm | FLAG.ac | FLAG.vif | FLAG.vip | FLAG.id;
const ALWAYS = FLAG.arithmetic | FLAG.df | FLAG.nt;

/** The flags after a POPF of `image` with `before` in force; TF is left out, it would only disturb. */
function popf(mode: BenchMode, level: 0 | 3, code: string, before: number, image: number): number {
  m.start(mode, { level, flags: before }).code(`${code} cd80`);
  const at = mode === 'real' || level === 0 ? AT.kernelStack - 8 : AT.userStack - 8;
  m.put64(at, BigInt(image & ~TF));
  m.set([GPR.rsp, BigInt(at)]);
  const stop = m.run();
  expect(stop.vector).toBe(DONE);
  return stop.flags & ~2;
}

describe('POPF', () => {
  it.each<readonly [string, BenchMode, 0 | 3, string, number, number, number]>([
    // name, mode, level, code, flags before, those that follow the image, those that stay
    ['real-address mode, 16 bits', 'real', 0, '9d', 0, ALWAYS | FLAG.if | FLAG.iopl, 0],
    ['level 0, 32 bits', 'flat', 0, '9d', 0, ALWAYS | FLAG.if | FLAG.iopl | FLAG.ac | FLAG.id, FLAG.vif | FLAG.vip],
    ['level 0, 16 bits', 'flat', 0, '669d', 0, ALWAYS | FLAG.if | FLAG.iopl, UPPER & ~(FLAG.rf | FLAG.vm)],
    ['level 0, 64 bits', 'long', 0, '9d', 0, ALWAYS | FLAG.if | FLAG.iopl | FLAG.ac | FLAG.id, FLAG.vif | FLAG.vip],
    ['level 3, IOPL 0', 'flat', 3, '9d', 0, ALWAYS | FLAG.ac | FLAG.id, FLAG.if | FLAG.vif | FLAG.vip],
    ['level 3, IOPL 3', 'flat', 3, '9d', FLAG.iopl, ALWAYS | FLAG.if | FLAG.ac | FLAG.id, FLAG.iopl | FLAG.vif | FLAG.vip],
    ['level 3, IOPL 0, 64 bits', 'long', 3, '9d', 0, ALWAYS | FLAG.ac | FLAG.id, FLAG.if | FLAG.vif | FLAG.vip],
    [
      'level 3, IOPL 3, 16 bits of 64',
      'long',
      3,
      '669d',
      FLAG.iopl,
      ALWAYS | FLAG.if,
      FLAG.iopl | (UPPER & ~(FLAG.rf | FLAG.vm)),
    ],
  ])('%s', (_name, mode, level, code, before, follow, stay) => {
    expect(popf(mode, level, code, before, ALL)).toBe((ALL & follow & ~TF) | (before & stay));
    const set = before | (stay & ~FLAG.iopl);
    // Flags that may stay do so with an image of ones and with one of zeros.
    expect(popf(mode, level, code, set, 0) & stay).toBe(set & stay);
    expect(popf(mode, level, code, set, ALL) & stay & ~follow).toBe(set & stay & ~follow);
  });
  it('clears RF', () => {
    expect(popf('flat', 0, '9d', FLAG.rf, FLAG.rf) & FLAG.rf).toBe(0);
  });
});

describe('PUSHF', () => {
  it('shows everything but RF and VM', () => {
    m.start('long', { flags: (ALL & ~TF & ~FLAG.vm) | FLAG.rf }).code('9c 58 f4');
    m.run();
    expect(m.gpr(rax)).toBe(BigInt((ALL & ~(TF | FLAG.vm | FLAG.rf)) | 2));
  });
});

describe('CLI and STI', () => {
  it.each([
    [0, false],
    [FLAG.iopl, true],
  ] as const)('at level 3 with IOPL bits %i: %s', (iopl, allowed) => {
    for (const [code, before, after] of [
      ['fa', FLAG.if, 0],
      ['fb', 0, FLAG.if],
    ] as const) {
      for (const mode of ['flat', 'long'] as const) {
        m.start(mode, { level: 3, flags: iopl | before }).code(`${code} 90 cd80`);
        const stop = m.run();
        if (allowed) expect([stop.vector, stop.flags & FLAG.if]).toEqual([DONE, after]);
        else expect(stop).toMatchObject({ vector: VECTOR.gp, error: 0, rip: BigInt(AT.code) });
      }
    }
  });
  it('with CR4.PVI they change VIF in the place of IF, unless VIP waits', () => {
    m.start('flat', { level: 3, cr4: CR4.pvi, flags: FLAG.if }).code('fb cd80');
    expect(m.run().flags & (FLAG.if | FLAG.vif)).toBe(FLAG.if | FLAG.vif);
    m.start('flat', { level: 3, cr4: CR4.pvi, flags: FLAG.if | FLAG.vif }).code('fa cd80');
    expect(m.run().flags & (FLAG.if | FLAG.vif)).toBe(FLAG.if);
    m.start('flat', { level: 3, cr4: CR4.pvi, flags: FLAG.vip }).code('fb');
    expect(m.run()).toMatchObject({ vector: VECTOR.gp, error: 0 });
  });
  it('STAC and CLAC are #UD above level 0', () => {
    for (const code of ['0f01ca', '0f01cb']) {
      m.start('long', { level: 3, cr4: CR4.smap }).code(code);
      expect(m.run().vector).toBe(VECTOR.ud);
    }
  });
});
