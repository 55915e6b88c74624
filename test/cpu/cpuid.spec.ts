// What CPUID advertises runs; what it does not advertise is #UD. SDM vol. 2A, CPUID.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, EFER, VECTOR } from '../../src/cpu/state.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, le } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rbx, rsi, rdi } = GPR;
type Word = 'eax' | 'ebx' | 'ecx' | 'edx';
const REGISTER: Readonly<Record<Word, number>> = { eax: rax, ebx: rbx, ecx: rcx, edx: rdx };

function cpuid(leaf: number, subleaf = 0, mode: BenchMode = 'long'): Record<Word, number> {
  m.start(mode)
    .code('0fa2 f4')
    .set([rax, BigInt(leaf)], [rcx, BigInt(subleaf)]);
  m.run();
  const value = (word: Word) => Number(m.gpr(REGISTER[word]) & 0xffff_ffffn);
  return { eax: value('eax'), ebx: value('ebx'), ecx: value('ecx'), edx: value('edx') };
}
const has = (leaf: number, word: Word, bit: number): boolean => (cpuid(leaf)[word] & (2 ** bit)) !== 0;
const EXTENDED = 0x8000_0001;

/** Runs an instruction with everything switched on that it could need. */
function runs(code: string): number {
  m.start('long', { cr4: CR4.osfxsr | CR4.osxmmexcpt | CR4.osxsave | CR4.fsgsbase | CR4.pge | CR4.smap, efer: EFER.nxe });
  // XSETBV of x87, SSE and AVX first.
  m.code(`b8${le(7)} 0f01d1 b8${le(3)} ${code} f4`).set(
    [rsi, BigInt(AT.data)],
    [rdi, BigInt(AT.data + 0x400)],
    [rax, 3n],
    [rcx, 0n],
    [rdx, 0n],
    [rbx, BigInt(AT.data)],
  );
  return m.run().vector;
}

describe('advertised, and works', () => {
  it.each<readonly [string, number, Word, number, string]>([
    ['FPU', 1, 'edx', 0, 'd9e8'],
    ['DE', 1, 'edx', 2, '0f21c0'],
    ['TSC', 1, 'edx', 4, '0f31'],
    ['MSR', 1, 'edx', 5, 'b977020000 0f32'],
    ['CMPXCHG8B', 1, 'edx', 8, '0fc70e'],
    ['SYSENTER', 1, 'edx', 11, 'b974010000 0f32'],
    ['MTRR', 1, 'edx', 12, 'b9fe000000 0f32'],
    ['MCA', 1, 'edx', 14, 'b979010000 0f32'],
    ['CMOV', 1, 'edx', 15, '0f44c1'],
    ['PAT', 1, 'edx', 16, 'b977020000 0f32'],
    ['CLFLUSH', 1, 'edx', 19, '0fae3e'],
    ['MMX', 1, 'edx', 23, '0fefc0'],
    ['FXSAVE', 1, 'edx', 24, '0fae06'],
    ['SSE', 1, 'edx', 25, '0f58c1'],
    ['SSE2', 1, 'edx', 26, '660f58c1'],
    ['SSE3', 1, 'ecx', 0, 'f20f7cc1'],
    ['SSSE3', 1, 'ecx', 9, '660f3800c1'],
    ['CMPXCHG16B', 1, 'ecx', 13, '480fc70e'],
    ['SSE4.1', 1, 'ecx', 19, '660f3840c1'],
    ['SSE4.2: CRC32', 1, 'ecx', 20, 'f20f38f0c1'],
    ['SSE4.2: PCMPGTQ', 1, 'ecx', 20, '660f3837c1'],
    ['MOVBE', 1, 'ecx', 22, '0f38f006'],
    ['POPCNT', 1, 'ecx', 23, 'f30fb8c1'],
    ['XSAVE', 1, 'ecx', 26, '0fae26'],
    ['XSAVE: XGETBV', 1, 'ecx', 26, '0f01d0'],
    ['RDRAND', 1, 'ecx', 30, '0fc7f0'],
    ['FSGSBASE', 7, 'ebx', 0, 'f3480faec0'],
    ['TSC_ADJUST', 7, 'ebx', 1, 'b93b000000 0f32'],
    ['BMI1', 7, 'ebx', 3, 'c4e270f2c1'],
    ['BMI1: TZCNT', 7, 'ebx', 3, 'f30fbcc1'],
    ['BMI2', 7, 'ebx', 8, 'c4e273f6c1'],
    ['ADX', 7, 'ebx', 19, '660f38f6c1'],
    ['LZCNT', EXTENDED, 'ecx', 5, 'f30fbdc1'],
    ['PCLMULQDQ', 1, 'ecx', 1, '660f3a44c100'],
    ['AES', 1, 'ecx', 25, '660f38dcc1'],
    ['SHA', 7, 'ebx', 29, '0f38c8c1'],
    ['AVX', 1, 'ecx', 28, 'c5f877'],
    ['AVX: VADDPS', 1, 'ecx', 28, 'c5f058c1'],
    ['AVX2', 7, 'ebx', 5, 'c5f5fcc1'],
    ['FMA', 1, 'ecx', 12, 'c4e2f198c1'],
    ['F16C', 1, 'ecx', 29, 'c4e27d13c1'],
    ['ERMS', 7, 'ebx', 9, 'f3aa'],
    ['SMAP: STAC', 7, 'ebx', 20, '0f01cb'],
    ['SERIALIZE', 7, 'edx', 14, '0f01e8'],
    ['ARCH_CAPABILITIES', 7, 'edx', 29, 'b90a010000 0f32'],
    ['LAHF in 64-bit mode', EXTENDED, 'ecx', 0, '9f'],
    ['RDTSCP', EXTENDED, 'edx', 27, '0f01f9'],
  ])('%s', (_name, leaf, word, bit, code) => {
    expect(has(leaf, word, bit)).toBe(true);
    expect(runs(code)).toBe(-1);
  });
  it.each([
    ['PSE', 1, 'edx', 3],
    ['PAE', 1, 'edx', 6],
    ['PGE', 1, 'edx', 13],
    ['PSE-36', 1, 'edx', 17],
    ['PCID', 1, 'ecx', 17],
    ['SMEP', 7, 'ebx', 7],
    ['UMIP', 7, 'ecx', 2],
    ['NX', EXTENDED, 'edx', 20],
    ['1-GiB pages', EXTENDED, 'edx', 26],
    ['long mode', EXTENDED, 'edx', 29],
    ['x2APIC', 1, 'ecx', 21],
    ['TSC deadline', 1, 'ecx', 24],
    ['VME', 1, 'edx', 1],
    ['hypervisor', 1, 'ecx', 31],
  ] as const)('%s (shown by the other specs)', (_name, leaf, word, bit) => {
    expect(has(leaf, word, bit)).toBe(true);
  });
  it('SYSCALL in 64-bit mode only', () => {
    expect([cpuid(EXTENDED).edx & 0x800, cpuid(EXTENDED, 0, 'flat').edx & 0x800]).toEqual([0x800, 0]);
  });
  it('OSXSAVE follows CR4', () => {
    expect(has(1, 'ecx', 27)).toBe(false);
    m.start('long', { cr4: CR4.osxsave }).code('0fa2 f4').set([rax, 1n]);
    m.run();
    expect(m.gpr(rcx) & (1n << 27n)).not.toBe(0n);
  });
  it('x87 selectors are kept, so bit 13 of leaf 7 is 0', () => {
    expect(has(7, 'ebx', 13)).toBe(false);
    expect(has(7, 'ebx', 6)).toBe(false);
    m.start('flat', { cr4: CR4.osfxsr })
      .code('d906 0fae07 f4')
      .set([rsi, BigInt(AT.data)], [rdi, BigInt(AT.data + 0x400)]); // fld dword [esi]; fxsave [edi]
    m.run();
    const word = (at: number) => m.view.getUint16(AT.data + 0x400 + at, true);
    expect([word(8), word(12), word(16), word(20)]).toEqual([AT.code & 0xffff, 0x08, AT.data & 0xffff, 0x10]);
  });
});

describe('not advertised, and #UD', () => {
  it.each<readonly [string, number, Word, number, string]>([
    ['MONITOR', 1, 'ecx', 3, '0f01c8'],
    ['MWAIT', 1, 'ecx', 3, '0f01c9'],
    ['VMX', 1, 'ecx', 5, '0f01c2'],
    ['VMX: VMREAD', 1, 'ecx', 5, '0f78c0'],
    ['SMX', 1, 'ecx', 6, '0f37'],
    ['RTM', 7, 'ebx', 11, 'c7f800000000'],
    ['RTM: XTEST', 7, 'ebx', 11, '0f01d6'],
    ['INVPCID', 7, 'ebx', 10, '660f38820e'],
    ['AVX-512', 7, 'ebx', 16, '62f17c4858c1'],
    ['RDSEED', 7, 'ebx', 18, '0fc7f8'],
    ['CLFLUSHOPT', 7, 'ebx', 23, '660fae3e'],
    ['CLWB', 7, 'ebx', 24, '660fae36'],
    ['VAES', 7, 'ecx', 9, 'c4e275dcc1'],
    ['VPCLMULQDQ', 7, 'ecx', 10, 'c4e37544c100'],
    ['PKU', 7, 'ecx', 3, '0f01ee'],
    ['WAITPKG', 7, 'ecx', 5, '660faef0'],
    ['RDPID', 7, 'ecx', 22, 'f30fc7f8'],
    ['MOVDIRI', 7, 'ecx', 27, '0f38f906'],
    ['SSE4A', EXTENDED, 'ecx', 6, 'f20f79c1'],
    ['XOP', EXTENDED, 'ecx', 11, '8fe97801c1'],
    ['3DNow!', EXTENDED, 'edx', 31, '0f0fc19e'],
    ['SVM', EXTENDED, 'ecx', 2, '0f01d8'],
    ['SVM: CLGI', EXTENDED, 'ecx', 2, '0f01dd'],
  ])('%s', (_name, leaf, word, bit, code) => {
    expect(has(leaf, word, bit)).toBe(false);
    expect(runs(code)).toBe(VECTOR.ud);
  });
  it('XSAVEC and XSAVES', () => {
    expect(cpuid(0xd, 1).eax & 0xe).toBe(0);
    expect([runs('0fc726'), runs('0fc72e')]).toEqual([VECTOR.ud, VECTOR.ud]);
  });
  it('a VEX prefix in real-address mode, whatever the instruction', () => {
    m.start('real').code('c4e270f2c1 f4');
    expect(m.run().vector).toBe(VECTOR.ud);
  });
  it('ENDBR, PREFETCHW and CLDEMOTE are no-operations', () => {
    for (const code of ['f30f1efa', '0f0d0e', '0f1c06']) expect(runs(code)).toBe(-1);
  });
});

describe('leaves', () => {
  it('beyond the highest basic leaf comes that leaf', () => {
    const { eax } = cpuid(0);
    expect(cpuid(0x1234)).toEqual(cpuid(eax));
  });
  it('the physical address width is the one paging enforces', () => {
    expect(cpuid(0x8000_0008).eax & 0xffff).toBe(0x3028);
  });
  it('the XSAVE area has the size that XSAVE writes', () => {
    expect(cpuid(0xd)).toMatchObject({ eax: 7, ebx: 576, ecx: 832, edx: 0 });
    expect(cpuid(0xd, 2)).toMatchObject({ eax: 256, ebx: 576, ecx: 0, edx: 0 });
  });
  it('clears the upper halves of the registers', () => {
    m.start('long')
      .code('0fa2 f4')
      .set([rax, 0xffff_ffff_0000_0000n], [rbx, -1n & 0xffff_ffff_ffff_ffffn], [rdx, 0xffff_ffff_ffff_ffffn]);
    m.run();
    expect([m.gpr(rax) >> 32n, m.gpr(rbx) >> 32n, m.gpr(rdx) >> 32n]).toEqual([0n, 0n, 0n]);
  });
});
