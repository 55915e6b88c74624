import { describe, expect, it } from 'vitest';
import { CR4, STATE } from '../state.ts';
import { type CpuidPolicy, type CpuidWords, cpuid } from './cpuid.ts';
import { FlatMachine } from './fixtures/flat-machine.ts';

const policy: CpuidPolicy = { apicId: 2, vcpuCount: 3, apicEnabled: true, tscKHz: 1_000_000, hypervisor: () => undefined };
const text = (words: readonly number[]) =>
  String.fromCharCode(...words.flatMap((w) => [0, 8, 16, 24].map((s) => (w >>> s) & 0xff))).replace(/\0+$/, '');
const bench = (p = policy) => {
  const m = new FlatMachine().long();
  return { m, leaf: (leaf: number, subleaf = 0) => cpuid(m.cpu, leaf, subleaf, p) };
};
const has = (word: number, bit: number) => ((word >>> bit) & 1) === 1;

describe('CPUID (SDM vol. 2A)', () => {
  it('is a GenuineIntel with a brand string', () => {
    const { leaf } = bench();
    const [max, ebx, ecx, edx] = leaf(0);
    expect([max, text([ebx, edx, ecx])]).toEqual([0xd, 'GenuineIntel']);
    expect(text([0x8000_0002, 0x8000_0003, 0x8000_0004].flatMap((l) => [...leaf(l)]))).toBe('dom1 x86-64 engine');
  });

  it('advertises x86-64-v3, AES, PCLMULQDQ, SHA, ADX', () => {
    const { leaf } = bench();
    const [, , ecx, edx] = leaf(1);
    for (const bit of [0, 4, 5, 6, 8, 9, 15, 23, 24, 25, 26, 28]) expect(has(edx, bit)).toBe(true);
    for (const bit of [0, 1, 9, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31]) expect(has(ecx, bit)).toBe(true);
    // MONITOR, VMX.
    for (const bit of [3, 5]) expect(has(ecx, bit)).toBe(false);
    const [, ebx7] = leaf(7);
    // BMI1, AVX2, BMI2, ADX, SHA.
    for (const bit of [3, 5, 8, 19, 29]) expect(has(ebx7, bit)).toBe(true);
    // HLE, INVPCID, RTM, RDSEED.
    for (const bit of [4, 10, 11, 18]) expect(has(ebx7, bit)).toBe(false);
    expect(leaf(7, 1)).toEqual([0, 0, 0, 0]);
  });

  it('shows OSXSAVE with CR4, APIC with its enable bit, SYSCALL in 64-bit mode only', () => {
    const { m, leaf } = bench();
    expect(has(leaf(1)[2], 27)).toBe(false);
    m.cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.osxsave));
    expect(has(leaf(1)[2], 27)).toBe(true);
    expect(has(bench({ ...policy, apicEnabled: false }).leaf(1)[3], 9)).toBe(false);
    expect(has(leaf(0x8000_0001)[3], 11)).toBe(true);
    const legacy = new FlatMachine().protected32();
    expect(has(cpuid(legacy.cpu, 0x8000_0001, 0, policy)[3], 11)).toBe(false);
  });

  it('describes three vCPUs as one package of cores', () => {
    const { leaf } = bench();
    const ebx = leaf(1)[1];
    expect([ebx >>> 24, (ebx >>> 16) & 0xff, (ebx >>> 8) & 0xff]).toEqual([2, 4, 8]);
    expect(leaf(0xb, 0)).toEqual([0, 1, 0x100, 2]);
    expect(leaf(0xb, 1)).toEqual([2, 3, 0x201, 2]);
    expect(leaf(0xb, 2)).toEqual([0, 0, 2, 2]);
    expect(leaf(4, 0)[0] >>> 26).toBe(3);
  });

  it('caches of leaf 4 are as large as leaf 80000006H says', () => {
    const { leaf } = bench();
    const [, ebx, sets] = leaf(4, 2);
    const bytes = ((ebx >>> 22) + 1) * ((ebx & 0xfff) + 1) * (sets + 1);
    expect(bytes / 1024).toBe(leaf(0x8000_0006)[2] >>> 16);
    expect(leaf(4, 3)).toEqual([0, 0, 0, 0]);
  });

  it('beyond the highest leaf repeats the highest basic one', () => {
    const { leaf } = bench();
    const last: CpuidWords = [7, 576, 832, 0];
    for (const far of [0xe, 0x3fff_ffff, 0x4000_0000, 0x8000_0009, 0xffff_ffff]) expect(leaf(far)).toEqual(last);
  });

  it('asks the machine for the hypervisor range', () => {
    const { leaf } = bench({ ...policy, hypervisor: (l, s) => (l === 0x4000_0001 ? [4, 20, s, 0] : undefined) });
    expect(leaf(0x4000_0001, 7)).toEqual([4, 20, 7, 0]);
    expect(leaf(0x4000_0009)).toEqual([7, 576, 832, 0]);
  });

  it('relates TSC and crystal when the machine gives one', () => {
    const { leaf } = bench({ ...policy, crystalHz: 25_000_000 });
    expect([leaf(0)[0], leaf(0x15), leaf(0x16)]).toEqual([0x16, [1, 40, 25_000_000, 0], [1000, 1000, 25, 0]]);
  });
});
