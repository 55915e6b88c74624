// RDMSR and WRMSR: values that come back, values that are refused. SDM vol. 4, chapter 2.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, STATE, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, le } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rbx } = GPR;
const { gp } = VECTOR;
const WRMSR = '0f30';
const RDMSR = '0f32';
const low = (value: bigint) => value & 0xffff_ffffn;

const written = (msr: number, value: bigint): readonly [number, bigint][] => [
  [rcx, BigInt(msr)],
  [rax, low(value)],
  [rdx, value >> 32n],
];
/** What an RDMSR gives after a WRMSR of `value`. */
function roundTrip(msr: number, value: bigint): bigint {
  m.start('long')
    .code(`${WRMSR} 31c0 31d2 ${RDMSR} f4`)
    .set(...written(msr, value));
  expect(m.run().vector).toBe(-1);
  return m.gpr(rax) | (m.gpr(rdx) << 32n);
}

const CANONICAL = 0xffff_8000_1234_5678n;
const BEYOND = 0x8000_0000_0000n;
describe('registers of the CPU', () => {
  it.each([
    ['IA32_SYSENTER_CS', 0x174, 0x10n],
    ['IA32_SYSENTER_ESP', 0x175, CANONICAL],
    ['IA32_SYSENTER_EIP', 0x176, CANONICAL],
    ['IA32_PAT', 0x277, 0x0007_0106_0500_0406n],
    ['IA32_STAR', 0xc000_0081, 0x1234_5678_9abc_def0n],
    ['IA32_LSTAR', 0xc000_0082, CANONICAL],
    ['IA32_CSTAR', 0xc000_0083, CANONICAL],
    ['IA32_FMASK', 0xc000_0084, 0x4_7700n],
    ['IA32_FS_BASE', 0xc000_0100, CANONICAL],
    ['IA32_GS_BASE', 0xc000_0101, CANONICAL],
    ['IA32_KERNEL_GS_BASE', 0xc000_0102, CANONICAL],
    ['IA32_TSC_AUX', 0xc000_0103, 0xabcdn],
    ['IA32_DEBUGCTL', 0x1d9, 2n],
    ['MTRRphysBase0', 0x200, 0x8000_0006n],
    ['MTRRdefType', 0x2ff, 0xc06n],
  ])('%s keeps what is written', (_name, msr, value) => {
    expect(roundTrip(msr, value)).toBe(value);
  });

  it.each([
    ['IA32_LSTAR, not canonical', 0xc000_0082, BEYOND],
    ['IA32_CSTAR, not canonical', 0xc000_0083, BEYOND],
    ['IA32_FS_BASE, not canonical', 0xc000_0100, BEYOND],
    ['IA32_GS_BASE, not canonical', 0xc000_0101, BEYOND],
    ['IA32_KERNEL_GS_BASE, not canonical', 0xc000_0102, BEYOND],
    ['IA32_SYSENTER_ESP, not canonical', 0x175, BEYOND],
    ['IA32_SYSENTER_EIP, not canonical', 0x176, BEYOND],
    ['IA32_EFER, reserved bit 1', 0xc000_0080, 0x502n],
    ['IA32_EFER, LME cleared under paging', 0xc000_0080, 0x001n],
    ['IA32_EFER, bit 63', 0xc000_0080, (1n << 63n) | 0x501n],
    ['IA32_PAT, type 2', 0x277, 2n],
    ['IA32_PAT, type 8', 0x277, 8n],
    ['IA32_TSC_AUX, upper half', 0xc000_0103, 1n << 32n],
    ['IA32_FMASK, upper half', 0xc000_0084, 1n << 32n],
    ['IA32_DEBUGCTL, reserved', 0x1d9, 1n << 20n],
    ['no such MSR', 0xc000_0085, 0n],
    ['MTRRcap is read-only', 0xfe, 0n],
    ['MTRRdefType, type 2', 0x2ff, 2n],
    ['IA32_MISC_ENABLE, reserved', 0x1a0, 1n << 62n],
    ['IA32_PLATFORM_ID is read-only', 0x17, 0n],
  ])('WRMSR: #GP(0) for %s', (_name, msr, value) => {
    m.start('long')
      .code(`${WRMSR} f4`)
      .set(...written(msr, value));
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: BigInt(AT.code) });
  });
  it.each([0x0, 0xc000_0085, 0x1234_5678, 0xffff_ffff])('RDMSR: #GP(0) for %i', (msr) => {
    m.start('long')
      .code(`${RDMSR} f4`)
      .set([rcx, BigInt(msr)], [rax, 5n], [rdx, 6n]);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: BigInt(AT.code) });
    expect([m.gpr(rax), m.gpr(rdx)]).toEqual([5n, 6n]);
  });
  it('clears the upper halves of RAX and RDX, and heeds only ECX', () => {
    m.start('long')
      .code(`${RDMSR} f4`)
      .set([rcx, 0xdead_0000_0000_0277n], [rax, -1n & 0xffff_ffff_ffff_ffffn], [rdx, 0xffff_ffff_ffff_ffffn]);
    m.run();
    expect([m.gpr(rax), m.gpr(rdx)]).toEqual([0x0007_0406n, 0x0007_0406n]);
  });
  it('IA32_EFER.NXE holds for the next access', () => {
    m.start('long')
      .code(`${WRMSR} ff26`)
      .set(...written(0xc000_0080, 0xd01n), [6, BigInt(AT.data)]);
    m.put64(AT.data, BigInt(AT.data + 0x1000));
    m.tables.setEntry(BigInt(AT.data + 0x1000), BigInt(AT.data + 0x1000) | 3n | (1n << 63n));
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, error: 0x11 });
  });
});

describe('the time stamp counter', () => {
  it('RDTSC, RDTSCP, IA32_TSC agree; a write moves it and IA32_TSC_ADJUST', () => {
    // rdtsc; mov ebx,eax; mov ecx,10; mov eax,5000; xor edx,edx; wrmsr; rdtsc; mov esi,eax; mov ecx,3b; rdmsr
    m.start('long').code(`0f31 89c3 b910000000 b8${le(5000)} 31d2 0f30 0f31 89c6 b93b000000 0f32 f4`);
    m.ticks = 1000;
    m.run();
    expect([m.gpr(rbx), m.gpr(6), m.gpr(rax)]).toEqual([1000n, 5000n, 4000n]);
    m.start('long').code('0f01f9 f4');
    m.cpu.set64(STATE.tscAux, 42n);
    m.run();
    expect(m.gpr(rcx)).toBe(42n);
    m.cpu.set64(STATE.tscOffset, 0n);
  });
  it('CR4.TSD keeps it from level 3', () => {
    for (const code of ['0f31', '0f01f9']) {
      m.start('long', { level: 3, cr4: CR4.tsd }).code(code);
      expect(m.run()).toMatchObject({ vector: gp, error: 0 });
    }
  });
});

describe('registers that the machine answers', () => {
  it('WRMSR and RDMSR leave with the value, and go on when answered', () => {
    m.start('long')
      .code(`${WRMSR} ${RDMSR} f4`)
      .set(...written(0x6e0, 0x1_2345_6789n));
    expect(m.run().exit).toBe(EXIT.msr);
    expect(m.engine.exit).toMatchObject({ msr: 0x6e0, write: true, dataLow: 0x2345_6789, dataHigh: 1 });
    m.engine.completeMsr(true);
    expect(m.run().exit).toBe(EXIT.msr);
    expect(m.engine.exit).toMatchObject({ msr: 0x6e0, write: false });
    m.engine.exit.dataLow = 7;
    m.engine.exit.dataHigh = 8;
    m.engine.completeMsr(true);
    expect(m.run().exit).toBe(EXIT.hlt);
    expect([m.gpr(rax), m.gpr(rdx)]).toEqual([7n, 8n]);
  });
  it('or #GP(0) at the instruction', () => {
    m.start('long').code(`90 ${RDMSR}`).set([rcx, 0x1bn]);
    m.run();
    m.engine.completeMsr(false);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: BigInt(AT.code + 1) });
  });
});

describe('control registers', () => {
  it.each([
    ['CR0.PG without PE', '0f22c0', 0x8000_0000n],
    ['CR0.NW without CD', '0f22c0', 0xa000_0033n],
    ['CR0, upper half', '0f22c0', (1n << 32n) | 0x8000_0033n],
    ['CR0.PG cleared in 64-bit mode', '0f22c0', 0x33n],
    ['CR3, address beyond 40 bits', '0f22d8', 1n << 40n],
    ['CR4.PAE cleared in long mode', '0f22e0', 0n],
    ['CR4, reserved bit', '0f22e0', (1n << 25n) | 0x20n],
    ['CR4.VMXE', '0f22e0', (1n << 13n) | 0x20n],
    ['CR4.PKE', '0f22e0', (1n << 22n) | 0x20n],
    ['CR4.LA57', '0f22e0', (1n << 12n) | 0x20n],
    ['CR4.PCIDE with a PCID in CR3', '0f22e0', 0x2_0020n],
    ['CR8 above 15', '440f22c0', 16n],
  ])('#GP(0) for %s', (_name, code, value) => {
    m.start('long').code(code).set([rax, value]);
    if (_name.startsWith('CR4.PCIDE')) m.cpu.set64(STATE.cr3, BigInt(m.tables.root) | 8n);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: BigInt(AT.code) });
  });
  it('CR8 is the task priority', () => {
    m.start('long').code('440f22c0 440f20c3 f4').set([rax, 9n]);
    m.run();
    expect([m.taskPriority, m.gpr(rbx)]).toEqual([9, 9n]);
  });
  it('LMSW sets PE but does not clear it; SMSW reads; CLTS lets SSE run again', () => {
    m.start('long', { cr0: 8, cr4: CR4.osfxsr }).code('0f06 0f57c0 0f01f3 0f01e1 f4').set([rbx, 0n]); // clts; xorps; lmsw bx; smsw ecx
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(rcx) & 0xfn).toBe(1n);
  });
  it('LMSW with TS keeps SSE from running', () => {
    m.start('long', { cr4: CR4.osfxsr }).code('0f01f3 0f57c0').set([rbx, 9n]);
    expect(m.run()).toMatchObject({ vector: VECTOR.nm, rip: BigInt(AT.code + 3) });
  });
  it('XSETBV and XGETBV', () => {
    m.start('long', { cr4: CR4.osxsave }).code('0f01d1 31c0 0f01d0 f4').set([rax, 3n]);
    m.run();
    expect(m.gpr(rax)).toBe(3n);
    for (const [value, index] of [
      [2n, 0n],
      [7n, 0n],
      [0n, 0n],
      [1n, 1n],
    ] as const) {
      m.start('long', { cr4: CR4.osxsave }).code('0f01d1').set([rax, value], [rcx, index]);
      expect(m.run()).toMatchObject({ vector: gp, error: 0 });
    }
    m.start('long').code('0f01d1');
    expect(m.run().vector).toBe(VECTOR.ud);
  });
  it('UMIP keeps SGDT, SIDT, SLDT, STR, SMSW from level 3', () => {
    for (const code of ['0f0106', '0f010e', '0f00c0', '0f00c8', '0f01e0']) {
      m.start('long', { level: 3, cr4: CR4.umip })
        .code(code)
        .set([6, BigInt(AT.data)]);
      expect(m.run(), code).toMatchObject({ vector: gp, error: 0 });
      m.start('long', { level: 3 })
        .code(`${code} cd80`)
        .set([6, BigInt(AT.data)]);
      expect(m.run(), code).toMatchObject({ vector: 0x80 });
    }
  });
});
