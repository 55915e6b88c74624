// IRET in every mode: what it loads, what it may not change, what it refuses. SDM vol. 2A, IRET; vol. 3, 6.12 and 6.14.3.
import { beforeAll, describe, expect, it } from 'vitest';
import { FLAG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, DONE, SELECTOR as S } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rsp } = GPR;
const { gp, np, ss: SS, ts } = VECTOR;
const HERE = BigInt(AT.code);
const THERE = AT.code + 0x100;

/** Puts a frame at the top of the stack: words of `size` bytes, the lowest first. */
function frame(size: 2 | 4 | 8, ...words: readonly number[]): void {
  const at = AT.kernelStack - 0x80;
  words.forEach((word, n) => {
    if (size === 8) m.put64(at + n * 8, BigInt(word));
    else if (size === 4) m.view.setUint32(at + n * 4, word, true);
    else m.view.setUint16(at + n * 2, word, true);
  });
  m.set([rsp, BigInt(at)]);
}
/** User pages as for level 3, but running at level 0. */
function startKernel(mode: BenchMode, flags = 0): void {
  m.start(mode, { level: 3, flags });
  const { cpu } = m;
  const wide = mode === 'long';
  cpu.setSegment(SEGMENT.cs, wide ? S.code64 : S.code, wide ? 0xa09b : 0xc09b, 0xffff_ffff, 0n);
  for (const which of [SEGMENT.ss, SEGMENT.ds, SEGMENT.es]) cpu.setSegment(which, S.data, 0xc093, 0xffff_ffff, 0n);
  cpu.set32(STATE.cpl, 0);
  cpu.updateMode();
  m.code('cd80', THERE);
}
const IRET = { 2: '66cf', 4: 'cf', 8: '48cf' } as const;

describe('real-address mode', () => {
  it('16 bits', () => {
    m.start('real').code('cf').code('f4', THERE);
    frame(2, 0x100, AT.code >> 4, FLAG.cf | FLAG.if | FLAG.iopl | 2);
    expect(m.run()).toMatchObject({ rip: 0x101n, cs: AT.code >> 4, flags: FLAG.cf | FLAG.if | FLAG.iopl | 2 });
  });
  it('32 bits load the upper flags, but not VM, VIF and VIP', () => {
    m.start('real').code('66cf').code('f4', THERE);
    frame(4, 0x100, AT.code >> 4, FLAG.ac | FLAG.id | FLAG.vm | FLAG.vip | FLAG.vif | 2);
    expect(m.run().flags).toBe(FLAG.ac | FLAG.id | 2);
  });
  it('an offset beyond 64 KiB is #GP', () => {
    m.start('real').code('66cf');
    frame(4, 0x10000, AT.code >> 4, 2);
    expect(m.run()).toMatchObject({ vector: gp, rip: 0n });
  });
});

describe('protected mode', () => {
  it.each([2, 4] as const)('to the same level, %i-byte frame', (size) => {
    startKernel('flat', FLAG.cf);
    m.code(IRET[size]);
    m.describe(S.free, segment(AT.code, 0xffff, 0x9a, SIZE.d));
    m.code('f4', THERE);
    frame(size, 0x100, S.free, FLAG.zf | 2);
    expect(m.run()).toMatchObject({ cs: S.free, rip: 0x101n, flags: FLAG.zf | 2, rsp: BigInt(AT.kernelStack - 0x80 + 3 * size) });
  });
  it('to level 3: SS:ESP, and inner data segments are dropped', () => {
    for (const mode of ['flat', 'paged', 'pae'] as const) {
      startKernel(mode);
      m.code('cf');
      frame(4, THERE, S.userCode, FLAG.if | 2, AT.userStack, S.userData);
      expect(m.run()).toMatchObject({
        vector: DONE,
        cs: S.userCode,
        ss: S.userData,
        rsp: BigInt(AT.userStack),
        flags: FLAG.if | 2,
      });
      expect([m.cpu.selector(SEGMENT.ds), m.cpu.attributes(SEGMENT.ds)]).toEqual([0, 0]);
    }
  });
  it('level 3 changes neither IOPL nor IF; with IOPL 3 IF', () => {
    for (const [iopl, expected] of [
      [0, 0],
      [FLAG.iopl, FLAG.iopl | FLAG.if],
    ] as const) {
      m.start('flat', { level: 3, flags: iopl }).code('cf').code('cd80', THERE);
      m.set([rsp, BigInt(AT.userStack - 12)]);
      [THERE, S.userCode, FLAG.if | FLAG.iopl | FLAG.ac | 2].forEach(
        (word, n) => void m.view.setUint32(AT.userStack - 12 + 4 * n, word, true),
      );
      expect(m.run().flags).toBe(expected | FLAG.ac | 2);
    }
  });
  it('to virtual-8086 mode', () => {
    startKernel('flat');
    m.code('cf');
    const at = AT.code >> 4;
    frame(4, 0x100, at, FLAG.vm | FLAG.iopl | FLAG.if | 2, 0x800, 0x111, 0x222, 0x333, 0x444, 0x555);
    const stop = m.run();
    expect(stop).toMatchObject({ vector: DONE, rip: 0x102n, cs: at, ss: 0x111, rsp: 0x800n });
    expect(stop.flags & (FLAG.vm | FLAG.iopl | FLAG.if)).toBe(FLAG.vm | FLAG.iopl | FLAG.if);
    // The frame goes on with ES, DS, FS, GS.
    const pushed = Number(m.gpr(rsp)) + 20;
    expect([0, 4, 8, 12].map((n) => m.view.getUint32(pushed + n, true))).toEqual([0x222, 0x333, 0x444, 0x555]);
  });
  it.each([
    ['a null CS', 0, S.userData, gp, 0],
    ['CS of an inner level from level 3', S.code, S.userData, gp, S.code, 3],
    ['CS with a wrong RPL', S.code | 3, S.userData, gp, S.code],
    ['a data segment', S.data, S.userData, gp, S.data],
    ['CS not present', S.free, S.userData, np, S.free],
    ['a null SS', S.userCode, 0, gp, 0],
    ['SS of the wrong level', S.userCode, S.data, gp, S.data],
    ['SS with the wrong RPL', S.userCode, S.userData & ~3, gp, S.userData & ~3],
    ['SS not present', S.userCode, S.free2 | 3, SS, S.free2],
    ['SS that is code', S.userCode, S.userCode, gp, S.userCode & ~3],
  ] as const)('%s', (_name, code, stack, vector, error, level: 0 | 3 = 0) => {
    if (level === 0) startKernel('flat');
    else m.start('flat', { level });
    m.code('cf');
    m.describe(S.free, segment(0, 0xfffff, 0x1a, SIZE.g | SIZE.d));
    m.describe(S.free2, segment(0, 0xfffff, 0x72, SIZE.g | SIZE.d));
    frame(4, THERE, code, 2, AT.userStack, stack);
    expect(m.run()).toMatchObject({ vector, error, rip: HERE });
  });
  it('with NT and a bad back link: #TS', () => {
    startKernel('flat', FLAG.nt);
    m.code('cf');
    m.view.setUint16(AT.tss, S.data, true);
    expect(m.run()).toMatchObject({ vector: ts, error: S.data, rip: HERE });
  });
});

describe('64-bit mode', () => {
  it('to the same level: always all five words', () => {
    startKernel('long');
    m.code('48cf').code('f4', THERE);
    frame(8, THERE, S.code64, FLAG.cf | 2, AT.otherStack, S.data);
    expect(m.run()).toMatchObject({ cs: S.code64, ss: S.data, rsp: BigInt(AT.otherStack), flags: FLAG.cf | 2 });
  });
  it('to the same level with a null SS', () => {
    startKernel('long');
    m.code('48cf').code('f4', THERE);
    frame(8, THERE, S.code64, 2, AT.otherStack, 0);
    expect(m.run()).toMatchObject({ ss: 0, rsp: BigInt(AT.otherStack) });
  });
  it.each([
    ['64-bit', S.userCode64],
    ['compatibility', S.userCode],
  ] as const)('to %s code of level 3', (_name, selector) => {
    startKernel('long');
    m.code('48cf');
    frame(8, THERE, selector, FLAG.if | 2, AT.userStack, S.userData);
    expect(m.run()).toMatchObject({ vector: DONE, cs: selector, ss: S.userData, rsp: BigInt(AT.userStack) });
  });
  it('a 32-bit frame: five words all the same', () => {
    startKernel('long');
    m.code('cf');
    frame(4, THERE, S.userCode64, 2, AT.userStack, S.userData);
    expect(m.run()).toMatchObject({ vector: DONE, cs: S.userCode64, rsp: BigInt(AT.userStack) });
  });
  it('to 16-bit compatibility code', () => {
    startKernel('long');
    m.describe(S.userCode16 & ~3, segment(AT.code, 0xffff, 0xfa, 0));
    m.code('48cf').code('b83412 cd80', THERE); // mov ax,1234
    frame(8, 0x100, S.userCode16, 2, AT.userStack, S.userData);
    m.set([rax, 0n]);
    expect(m.run()).toMatchObject({ vector: DONE, cs: S.userCode16, rip: 0x105n });
    expect(m.gpr(rax)).toBe(0x1234n);
  });
  it('VM in the image is no way to virtual-8086 mode', () => {
    startKernel('long');
    m.code('48cf').code('f4', THERE);
    frame(8, THERE, S.code64, FLAG.vm | 2, AT.otherStack, S.data);
    expect(m.run().flags).toBe(2);
  });
  it('NT is #GP: there are no tasks', () => {
    startKernel('long', FLAG.nt);
    m.code('48cf');
    frame(8, THERE, S.code64, 2, AT.otherStack, S.data);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
  });
  it('level 0 may set IOPL, IF, VIF, VIP and everything below', () => {
    startKernel('long');
    m.code('48cf').code('f4', THERE);
    const image = FLAG.iopl | FLAG.if | FLAG.ac | FLAG.id | FLAG.vif | FLAG.vip | FLAG.nt | FLAG.df | FLAG.arithmetic | 2;
    frame(8, THERE, S.code64, image, AT.otherStack, S.data);
    expect(m.run().flags).toBe(image);
  });
  it.each([
    ['a null SS for level 3', S.userCode64, 3, gp, 0],
    ['a null SS for compatibility code', S.userCode, 0, gp, 0],
    ['a null CS', 0, S.userData, gp, 0],
    ['SS of the wrong level', S.userCode64, S.data, gp, S.data],
    ['SS not present', S.userCode64, S.free2 | 3, SS, S.free2],
    ['CS with L and D', S.free, S.data, gp, S.free],
  ] as const)('%s', (_name, code, stack, vector, error) => {
    startKernel('long');
    m.code('48cf');
    m.describe(S.free, segment(0, 0xfffff, 0x9a, SIZE.g | SIZE.d | SIZE.l));
    m.describe(S.free2, segment(0, 0xfffff, 0x72, SIZE.g | SIZE.d));
    frame(8, THERE, code, 2, AT.userStack, stack);
    expect(m.run()).toMatchObject({ vector, error, rip: HERE });
  });
  it('a non-canonical RIP', () => {
    startKernel('long');
    m.code('48cf');
    frame(8, 2 ** 50, S.code64, 2, AT.otherStack, S.data);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
  });
});
