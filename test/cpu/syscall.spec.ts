// The fast ways into the kernel and out of it. SDM vol. 2B, SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, RDFSBASE; vol. 3, 5.8.7, 5.8.8.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, EFER, FLAG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE, SELECTOR as S } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rsp, r11 } = GPR;
const { gp, ud } = VECTOR;
const { cs, ss, fs, gs } = SEGMENT;
const HERE = BigInt(AT.code);
const THERE = AT.code + 0x100;
const hidden = (which: number) => [m.cpu.selector(which), m.cpu.attributes(which), m.cpu.limit(which), m.cpu.segBase(which)];

/** STAR as Linux has it: SYSCALL to 28, SYSRET from 18 on (compatibility code) or 28 on (64-bit code). */
function star(syscall: number = S.code64, sysret: number = 0x18): void {
  m.cpu.set64(STATE.star, (BigInt(syscall) << 32n) | (BigInt(sysret) << 48n));
  m.cpu.set64(STATE.lstar, BigInt(THERE));
  m.cpu.set64(STATE.fmask, BigInt(FLAG.if | FLAG.cf | FLAG.df));
}

describe('SYSCALL and SYSRET', () => {
  it('SYSCALL: RCX, R11, flat segments of level 0, masked flags; the stack stays', () => {
    m.start('long', { level: 3, flags: FLAG.if | FLAG.cf | FLAG.zf })
      .code('0f05')
      .code('f4', THERE);
    star();
    expect(m.run()).toMatchObject({ exit: 1, rip: BigInt(THERE + 1), flags: FLAG.zf | 2, rsp: BigInt(AT.userStack) });
    expect([m.gpr(rcx), m.gpr(r11)]).toEqual([HERE + 2n, BigInt(FLAG.if | FLAG.cf | FLAG.zf | 2)]);
    expect(hidden(cs)).toEqual([S.code64, 0xa09b, 0xffff_ffff, 0n]);
    expect(hidden(ss)).toEqual([S.code64 + 8, 0xc093, 0xffff_ffff, 0n]);
    expect(m.engine.cpl).toBe(0);
  });
  it('SYSRETQ: to 64-bit code, with CS = STAR + 16 and SS = STAR + 8', () => {
    m.start('long', { level: 3 });
    m.cpu.set32(STATE.cpl, 0);
    m.load(cs, S.code64, 0xa09b, 0xffff_ffff, 0n);
    m.code('480f07')
      .code('cd80', THERE)
      .set([rcx, BigInt(THERE)], [r11, BigInt(FLAG.if | FLAG.rf | FLAG.vm | FLAG.zf)]);
    star();
    expect(m.run()).toMatchObject({
      vector: DONE,
      rip: BigInt(THERE + 2),
      cs: 0x2b,
      ss: 0x23,
      flags: FLAG.if | FLAG.zf | 2,
      rsp: BigInt(AT.userStack),
    });
  });
  it('SYSRET without REX.W: to compatibility code', () => {
    m.start('long', { level: 3 });
    m.cpu.set32(STATE.cpl, 0);
    m.load(cs, S.code64, 0xa09b, 0xffff_ffff, 0n);
    m.code('0f07')
      .code('48 cd80', THERE)
      .set([rcx, 0xffff_0000_0000n | BigInt(THERE)], [r11, 2n], [rax, 8n]); // dec eax
    star();
    expect(m.run()).toMatchObject({ vector: DONE, cs: 0x1b, ss: 0x23 });
    expect(m.gpr(rax)).toBe(7n);
  });
  it('SYSRETQ to a non-canonical address is #GP(0) at level 0', () => {
    m.start('long')
      .code('480f07')
      .set([rcx, 1n << 47n]);
    star();
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE, cs: S.code64 });
  });
  it('SYSRET needs level 0', () => {
    m.start('long', { level: 3 }).code('480f07');
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
  });
  it('#UD without EFER.SCE, in compatibility and in legacy mode', () => {
    for (const code of ['0f05', '0f07']) {
      m.start('long').code(code);
      m.cpu.set64(STATE.efer, BigInt(EFER.lme | EFER.lma));
      expect(m.run()).toMatchObject({ vector: ud, rip: HERE });
      for (const mode of ['compat', 'flat'] as const) {
        m.start(mode).code(code);
        expect(m.run()).toMatchObject({ vector: ud, rip: HERE });
      }
    }
  });
});

describe('SYSENTER and SYSEXIT', () => {
  const enter = (selector: number): void => {
    m.cpu.set64(STATE.sysenterCs, BigInt(selector));
    m.cpu.set64(STATE.sysenterEsp, BigInt(AT.otherStack));
    m.cpu.set64(STATE.sysenterEip, BigInt(THERE));
  };
  it.each(['flat', 'paged', 'long', 'compat'] as const)('%s: SYSENTER', (mode) => {
    m.start(mode, { level: 3, flags: FLAG.if | FLAG.cf })
      .code('0f34')
      .code('f4', THERE);
    enter(S.code);
    expect(m.run()).toMatchObject({
      exit: 1,
      rip: BigInt(THERE + 1),
      rsp: BigInt(AT.otherStack),
      flags: FLAG.cf | 2,
      cs: S.code,
      ss: S.data,
    });
    expect(m.cpu.attributes(cs)).toBe(mode === 'long' || mode === 'compat' ? 0xa09b : 0xc09b);
  });
  it.each([
    ['flat', '0f35', 0x1b, 0x23],
    ['long', '480f35', 0x2b, 0x33],
    ['long', '0f35', 0x1b, 0x23],
  ] as const)('%s: SYSEXIT %s', (mode, code, codeSelector, stack) => {
    m.start(mode, { level: 3 });
    m.cpu.set32(STATE.cpl, 0);
    m.load(cs, mode === 'long' ? S.code64 : S.code, mode === 'long' ? 0xa09b : 0xc09b, 0xffff_ffff, 0n);
    m.code(code)
      .code('cd80', THERE)
      .set([rdx, BigInt(THERE)], [rcx, BigInt(AT.userStack)]);
    enter(S.code);
    expect(m.run()).toMatchObject({
      vector: DONE,
      rip: BigInt(THERE + 2),
      cs: codeSelector,
      ss: stack,
      rsp: BigInt(AT.userStack),
    });
  });
  it('a null IA32_SYSENTER_CS is #GP(0)', () => {
    for (const code of ['0f34', '0f35']) {
      m.start('long').code(code);
      enter(3);
      expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
    }
  });
  it('real-address mode: #GP', () => {
    m.start('real').code('0f34');
    enter(S.code);
    expect(m.run()).toMatchObject({ vector: gp, rip: 0n });
  });
  it('SYSEXIT needs level 0, and canonical addresses', () => {
    m.start('flat', { level: 3 }).code('0f35');
    enter(S.code);
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
    for (const [to, stack] of [
      [1n << 50n, 0n],
      [0n, 1n << 50n],
    ] as const) {
      m.start('long').code('480f35').set([rdx, to], [rcx, stack]);
      enter(S.code);
      expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
    }
  });
});

describe('SWAPGS and the FS and GS bases', () => {
  it('SWAPGS exchanges the bases, seen by the next access', () => {
    m.start('long').code('0f01f8 65488b0425 00000000 0f01f8 f4'); // swapgs; mov rax,gs:[0]; swapgs
    m.cpu.set64(STATE.kernelGsBase, BigInt(AT.data));
    m.cpu.setSegBase(gs, 0x1234n);
    m.put64(AT.data, 0x77n);
    m.run();
    expect([m.gpr(rax), m.cpu.segBase(gs), m.cpu.get64(STATE.kernelGsBase)]).toEqual([0x77n, 0x1234n, BigInt(AT.data)]);
  });
  it('SWAPGS: #GP at level 3, #UD outside 64-bit mode', () => {
    m.start('long', { level: 3 }).code('0f01f8');
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
    for (const mode of ['compat', 'flat'] as const) {
      m.start(mode).code('0f01f8');
      expect(m.run()).toMatchObject({ vector: ud });
    }
  });
  it('WRFSBASE, RDFSBASE, WRGSBASE, RDGSBASE at level 3', () => {
    // wrfsbase rax; wrgsbase ecx; rdfsbase rdx; rdgsbase rbx
    m.start('long', { level: 3, cr4: CR4.fsgsbase }).code('f3480faed0 f30faed9 f3480faec2 f3480faecb cd80');
    m.set([rax, 0x7fff_1234_5678n], [rcx, 0xffff_ffff_8765_4321n]);
    expect(m.run().vector).toBe(DONE);
    expect([m.cpu.segBase(fs), m.cpu.segBase(gs), m.gpr(rdx), m.gpr(GPR.rbx)]).toEqual([
      0x7fff_1234_5678n,
      0x8765_4321n,
      0x7fff_1234_5678n,
      0x8765_4321n,
    ]);
  });
  it.each(['f3480faec0', 'f3480faec8', 'f3480faed0', 'f3480faed8'])(
    '%s: #UD without CR4.FSGSBASE and outside 64-bit mode',
    (code) => {
      m.start('long').code(code);
      expect(m.run()).toMatchObject({ vector: ud, rip: HERE });
      m.start('compat', { cr4: CR4.fsgsbase }).code(code.replace('48', ''));
      expect(m.run()).toMatchObject({ vector: ud, rip: HERE });
    },
  );
  it('a base that is not canonical is #GP(0)', () => {
    for (const code of ['f3480faed0', 'f3480faed8']) {
      m.start('long', { cr4: CR4.fsgsbase })
        .code(code)
        .set([rax, 1n << 47n]);
      expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
    }
  });
  it('the stack of the interrupted level is where SWAPGS code expects it', () => {
    m.start('long', { level: 3 }).code('cd80');
    expect(m.run().rsp).toBe(BigInt(AT.userStack));
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 40));
  });
});
