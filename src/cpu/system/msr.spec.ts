import { describe, expect, it } from 'vitest';
import { STATE } from '../state.ts';
import { FlatMachine } from './fixtures/flat-machine.ts';
import { MSR, readMsr, readTsc, writeMsr } from './msr.ts';

const clock = { ticks: () => 1000 };
const bench = () => {
  const m = new FlatMachine().long();
  const read = (msr: number) => readMsr(m.cpu, msr, clock);
  const write = (msr: number, value: bigint) => writeMsr(m.cpu, m.mem, msr, value, clock);
  return { m, read, write };
};

describe('MSRs (SDM vol. 4, chapter 2)', () => {
  it.each([MSR.lstar, MSR.cstar, MSR.kernelGsBase, MSR.fsBase, MSR.gsBase, MSR.sysenterEsp, MSR.sysenterEip])(
    '%x holds canonical addresses only',
    (msr) => {
      const { read, write } = bench();
      expect(write(msr, 0xffff_8000_0000_1234n)).toBe('ok');
      expect(write(msr, 1n << 47n)).toBe('gp');
      expect(read(msr)).toBe(0xffff_8000_0000_1234n);
    },
  );

  it('a write of the TSC moves IA32_TSC_ADJUST by as much, and the other way round (vol. 3, 17.17.3)', () => {
    const { m, read, write } = bench();
    write(MSR.tsc, 5000n);
    expect([read(MSR.tsc), read(MSR.tscAdjust)]).toEqual([5000n, 4000n]);
    write(MSR.tscAdjust, 0n);
    expect([readTsc(m.cpu, clock), m.cpu.get64(STATE.tscOffset)]).toEqual([1000n, 0n]);
    write(MSR.tsc, 0n);
    expect(read(MSR.tscAdjust)).toBe((1n << 64n) - 1000n);
  });

  it.each([
    ['PAT: reserved type 2', MSR.pat, 0x0007_0406_0007_0402n, 'gp'],
    ['PAT: WP everywhere', MSR.pat, 0x0505_0505_0505_0505n, 'ok'],
    ['MTRR type: WB, enabled', 0x2ff, 0xc06n, 'ok'],
    ['MTRR type 2', 0x2ff, 0xc02n, 'gp'],
    ['MTRR base beyond 40 bits', 0x200, 1n << 40n, 'gp'],
    ['MTRR mask', 0x201, 0xff_8000_0800n, 'ok'],
    ['MTRR mask with reserved bits', 0x201, 0xff_8000_0001n, 'gp'],
    ['fixed MTRR', 0x26f, 0x0606_0606_0606_0606n, 'ok'],
    ['fixed MTRR with type 7', 0x250, 0x0706_0606_0606_0606n, 'gp'],
    ['ninth variable MTRR', 0x210, 0n, 'gp'],
    ['MTRRcap is read-only', 0xfe, 0n, 'gp'],
    ['MCG_CAP is read-only', MSR.mcgCap, 0n, 'gp'],
    ['MCG_STATUS', MSR.mcgStatus, 4n, 'ok'],
    ['FEATURE_CONTROL is locked', MSR.featureControl, 5n, 'gp'],
    ['FMASK has 32 bits', MSR.fmask, 1n << 32n, 'gp'],
    ['MISC_ENABLE: MONITOR', MSR.miscEnable, 1n << 18n, 'gp'],
    ['microcode signature', MSR.biosSignature, 0n, 'ok'],
    ["APIC base is the machine's", MSR.apicBase, 0n, 'external'],
    ['x2APIC', 0x80b, 0n, 'external'],
    ['TSC deadline', MSR.tscDeadline, 0n, 'external'],
    ['hypervisor range', 0x4000_0000, 0n, 'external'],
    ['no such register', 0x1234, 0n, 'gp'],
  ] as const)('WRMSR %s', (_name, msr, value, result) => {
    const { write } = bench();
    expect(write(msr, value)).toBe(result);
  });

  it('MTRRs read back what was written, each in its own slot', () => {
    const { read, write } = bench();
    const all = [
      0x2ff,
      0x250,
      0x258,
      0x259,
      ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
      ...Array.from({ length: 16 }, (_, i) => 0x200 + i),
    ];
    const value = (msr: number) => (msr < 0x210 ? BigInt(msr) << 12n : msr === 0x2ff ? 0x800n : BigInt((msr & 1) + 4));
    for (const msr of all) expect(write(msr, value(msr))).toBe('ok');
    for (const msr of all) expect(read(msr)).toBe(value(msr));
    expect(read(0xfe)).toBe(0x508n);
  });

  it('what kernels read on the way up is there', () => {
    const { read } = bench();
    for (const msr of [0x17, 0x3a, 0x8b, 0x10a, 0x179, 0x17a, 0x1a0, 0x1d9]) expect(typeof read(msr)).toBe('bigint');
    expect(read(MSR.miscEnable)).toBe(0x1801n);
    expect([0xce, 0x140, 0x1b0, 0x34, 0x606, 0xc001_0015].map(read)).toEqual(Array(6).fill('gp'));
  });
});
