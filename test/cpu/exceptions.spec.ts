// Exceptions: which, where, with what error code, and that a faulting instruction has done nothing. SDM vol. 3, chapter 6.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR0, CR4, FLAG, STATE, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, DONE, le } from './bench-machine.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi } = GPR;
const HERE = BigInt(AT.code);
/** Canonical addresses end here. */
const EDGE = 0x8000_0000_0000n;
const MISSING = 0x40_0000n;

describe('each exception, with RIP and error code (SDM vol. 3, 6.15)', () => {
  interface Case {
    readonly name: string;
    readonly modes?: readonly BenchMode[];
    readonly code: string;
    readonly vector: number;
    readonly error?: number;
    /** RIP in the frame, from the start of the code. */
    readonly at?: number;
    readonly cr0?: number;
    readonly cr4?: number;
    readonly flags?: number;
  }
  const LEGACY: readonly BenchMode[] = ['flat', 'paged', 'compat'];
  const LONG: readonly BenchMode[] = ['long'];
  const SSE = CR4.osfxsr | CR4.osxmmexcpt;
  it.each<Case>([
    { name: 'DIV by zero', code: '31c9 f7f1', vector: VECTOR.de, at: 2 },
    { name: 'DIV overflow', code: 'ba01000000 b901000000 f7f1', vector: VECTOR.de, at: 10 },
    { name: 'IDIV of the most negative number by -1', code: 'b800000080 99 83c9ff f7f9', vector: VECTOR.de, at: 9 },
    { name: 'AAM 0', modes: LEGACY, code: 'd400', vector: VECTOR.de },
    { name: 'INT3 is a trap', code: '90 cc', vector: VECTOR.bp, at: 2 },
    { name: 'INT n is a trap', code: 'cd20', vector: 0x20, at: 2 },
    { name: 'INT1 is a trap', code: 'f1', vector: VECTOR.db, at: 1 },
    { name: 'INTO with OF', modes: LEGACY, code: 'ce', vector: VECTOR.of, at: 1, flags: FLAG.of },
    { name: 'INTO in 64-bit mode', modes: LONG, code: 'ce', vector: VECTOR.ud },
    { name: 'BOUND outside', modes: LEGACY, code: `b805000000 6205${le(AT.data)}`, vector: VECTOR.br, at: 5 },
    { name: 'UD2', code: '0f0b', vector: VECTOR.ud },
    { name: 'an opcode that is none', code: '0f0a', vector: VECTOR.ud },
    { name: 'LOCK where it may not be', code: 'f090', vector: VECTOR.ud },
    { name: 'LOCK with a register', code: 'f001c0', vector: VECTOR.ud },
    { name: 'MOV CS', code: '8ec8', vector: VECTOR.ud },
    { name: 'MOV to CR1', code: '0f22c8', vector: VECTOR.ud },
    { name: '16 bytes of prefixes', code: '66666666 66666666 66666666 66666666 90', vector: VECTOR.gp, error: 0 },
    { name: 'x87 with TS', code: 'd9e8', vector: VECTOR.nm, cr0: CR0.ts },
    { name: 'x87 with EM', code: 'd9e8', vector: VECTOR.nm, cr0: CR0.em },
    { name: 'FWAIT with TS and MP', code: '9b', vector: VECTOR.nm, cr0: CR0.ts | CR0.mp },
    { name: 'SSE with TS', code: '0f57c0', vector: VECTOR.nm, cr0: CR0.ts, cr4: SSE },
    { name: 'SSE with EM', code: '0f57c0', vector: VECTOR.ud, cr0: CR0.em, cr4: SSE },
    { name: 'SSE without OSFXSR', code: '0f57c0', vector: VECTOR.ud },
    { name: 'MMX with TS', code: '0fefc0', vector: VECTOR.nm, cr0: CR0.ts },
    { name: 'MMX with EM', code: '0fefc0', vector: VECTOR.ud, cr0: CR0.em },
    // fninit; fldcw with ZM clear; fld1; fldz; fdivp; fwait
    {
      name: 'x87 division by zero, at the next waiting instruction',
      code: `dbe3 66c70425${le(AT.data)}7b03 d92c25${le(AT.data)} d9e8 d9ee def9 9b`,
      modes: LONG,
      vector: VECTOR.mf,
      at: 25,
    },
    // mov dword [data],1d80; ldmxcsr [data]; mov eax,1.0; movd xmm0,eax; xorps xmm1,xmm1; divss xmm0,xmm1
    {
      name: 'SSE division by zero',
      modes: LONG,
      code: `c70425${le(AT.data)}801d0000 0fae1425${le(AT.data)} b80000803f 660f6ec0 0f57c9 f30f5ec1`,
      vector: VECTOR.xm,
      at: 31,
      cr4: SSE,
    },
    {
      name: 'SSE division by zero without OSXMMEXCPT',
      modes: LONG,
      code: `c70425${le(AT.data)}801d0000 0fae1425${le(AT.data)} b80000803f 660f6ec0 0f57c9 f30f5ec1`,
      vector: VECTOR.ud,
      at: 31,
      cr4: CR4.osfxsr,
    },
    {
      name: 'MOVAPS of an unaligned address',
      modes: LONG,
      code: `0f280425${le(AT.data + 8)}`,
      vector: VECTOR.gp,
      error: 0,
      cr4: SSE,
    },
    {
      name: 'CMPXCHG16B of an unaligned address',
      modes: LONG,
      code: `480fc70c25${le(AT.data + 8)}`,
      vector: VECTOR.gp,
      error: 0,
    },
    { name: 'WRMSR of no MSR', code: 'b9 ffff0000 0f30', vector: VECTOR.gp, error: 0, at: 5 },
    { name: 'RDMSR of no MSR', code: 'b9 ffff0000 0f32', vector: VECTOR.gp, error: 0, at: 5 },
    { name: 'a null data segment', modes: LEGACY, code: '31c0 8ed8 a100000200', vector: VECTOR.gp, error: 0, at: 4 },
    { name: 'a null stack segment', modes: LEGACY, code: '31c0 8ed0', vector: VECTOR.gp, error: 0, at: 2 },
    { name: 'a selector beyond the table', code: 'b8 00010000 8ed8', vector: VECTOR.gp, error: 0x100, at: 5 },
    { name: 'a selector in no LDT', code: 'b8 0f000000 8ed8', vector: VECTOR.gp, error: 0x0c, at: 5 },
    { name: 'INT n beyond its gate', modes: LONG, code: 'cd21', vector: VECTOR.gp, error: 0x21 * 8 + 2 },
  ])('$name', ({ modes = ['flat', 'paged', 'long', 'compat'], code, vector, error, at = 0, cr0 = 0, cr4 = 0, flags = 0 }) => {
    for (const mode of modes) {
      m.start(mode, { cr0, cr4, flags }).code(`${code} f4`);
      m.vector(0x21, { access: 0x85 });
      expect(m.run(), mode).toMatchObject({ vector, error, rip: HERE + BigInt(at) });
    }
  });

  it.each([
    ['HLT', 'f4'],
    ['CLI', 'fa'],
    ['STI', 'fb'],
    ['LGDT', '0f0116'],
    ['LIDT', '0f011e'],
    ['LLDT', '0f00d0'],
    ['LTR', '0f00d8'],
    ['LMSW', '0f01f0'],
    ['CLTS', '0f06'],
    ['MOV from CR0', '0f20c0'],
    ['MOV to CR3', '0f22d8'],
    ['MOV from DR7', '0f21f8'],
    ['MOV to DR7', '0f23f8'],
    ['RDMSR', '0f32'],
    ['WRMSR', '0f30'],
    ['INVLPG', '0f013e'],
    ['INVD', '0f08'],
    ['WBINVD', '0f09'],
    ['IN', 'ec'],
    ['OUT', 'ee'],
    ['INS', '6c'],
    ['OUTS', '6e'],
    ['XSETBV', '0f01d1'],
    ['RDPMC', '0f33'],
    ['INT 20 (gate of level 0)', 'cd20', 0x102],
  ] as const)('%s at level 3 is #GP', (_name, code, error: number = 0) => {
    for (const mode of ['flat', 'long'] as const) {
      m.start(mode, { level: 3, cr4: CR4.osxsave })
        .code(code)
        .set([rsi, BigInt(AT.data)], [rdi, BigInt(AT.data)], [rcx, 0n]);
      expect(m.run(), mode).toMatchObject({
        vector: VECTOR.gp,
        error,
        rip: HERE,
        cs: m.mode === 'long' ? 0x33 : 0x1b,
        ss: 0x23,
        rsp: BigInt(AT.userStack),
      });
    }
  });
});

describe('non-canonical addresses (SDM vol. 1, 3.3.7.1)', () => {
  const { gp, ss } = VECTOR;
  it.each([
    ['[rax]', '488b00', gp],
    ['[rbp]', '488b4500', ss],
    ['[rsp]', '488b0424', ss],
    ['[rax + rbp]', '488b0428', gp],
    ['fs:[rbp]', '64488b4500', gp],
    ['ds:[rbp]: no override in 64-bit mode', '3e488b4500', ss],
    ['store to [rbp]', '48894500', ss],
    ['add [rbp],eax', '014500', ss],
    ['the last byte of [rax] only', '488b40fe', gp],
    ['PUSH', '50', ss],
    ['PUSH imm', '6a01', ss],
    ['PUSH FS', '0fa0', ss],
    ['PUSHF', '9c', ss],
    ['POP', '58', ss],
    ['POPF', '9d', ss],
    ['CALL', 'e800000000', ss],
    ['CALL rcx', 'ffd1', ss],
    ['RET', 'c3', ss],
    ['RETF', '48cb', ss],
    ['IRETQ', '48cf', ss],
    ['LEAVE', 'c9', ss],
    ['ENTER', 'c8000000', ss],
    ['PUSH [rax]', 'ff30', gp],
    ['CALL [rax]', 'ff10', gp],
    ['FLD [rbp]', 'd94500', ss],
    ['FLD [rax]', 'd900', gp],
    ['FXSAVE [rbp]', '0fae4500', ss],
    ['LODSQ', '48ad', gp],
    ['MOVSQ to it', '48a5', gp],
    ['LGDT [rbp]', '0f015500', ss],
    ['JMP', 'ffe0', gp],
  ] as const)('%s', (_name, code, vector) => {
    m.start('long', { cr4: CR4.osfxsr })
      .code(code)
      .set([rax, EDGE], [rbp, EDGE], [rsp, EDGE + 0x100n], [rsi, EDGE], [rdi, EDGE], [rcx, HERE]);
    // Handlers need a stack of their own.
    for (const stacked of [gp, ss]) m.vector(stacked, { ist: 1 });
    if (code === '488b40fe') {
      m.set([rax, EDGE - 1n]);
      m.tables.map(EDGE - 0x1000n, AT.data, PTE.p | PTE.w);
    }
    expect(m.run()).toMatchObject({ vector, error: 0, rip: HERE });
  });
  it('code that runs off the canonical addresses', () => {
    m.start('long');
    m.tables.map(EDGE - 0x1000n, AT.data, PTE.p);
    m.code('ffe0')
      .code('90', AT.data + 0xfff)
      .set([rax, EDGE - 1n]);
    expect(m.run()).toMatchObject({ vector: VECTOR.gp, error: 0, rip: EDGE });
  });
});

describe('a faulting instruction has changed nothing', () => {
  const before: readonly (readonly [number, bigint])[] = [
    [rax, 0x1111n],
    [rcx, 0x2222n],
    [rdx, 0x3333n],
    [rbx, 0x4444n],
    [rbp, BigInt(AT.kernelStack)],
    [rsi, MISSING],
    [rdi, MISSING],
  ];
  it.each([
    ['push [rsi]', 'ff36'],
    ['pop [rsi]', '8f06'],
    ['xchg [rsi],rax', '488706'],
    ['lock xadd [rsi],rax', 'f0480fc106'],
    ['lock cmpxchg [rsi],rcx', 'f0480fb10e'],
    ['cmpxchg16b [rsi]', '480fc70e'],
    ['add rax,[rsi]', '480306'],
    ['adc [rsi],rax', '481106'],
    ['inc [rsi]', '48ff06'],
    ['shl [rsi],1', '48d126'],
    ['movsb', 'a4'],
    ['stosb', 'aa'],
    ['lodsb', 'ac'],
    ['cmpsb', 'a6'],
    ['scasb', 'ae'],
    ['call [rsi]', 'ff16'],
    ['jmp [rsi]', 'ff26'],
    ['callf [rsi]', '48ff1e'],
    ['lss rax,[rsi]', '480fb206'],
    ['mov ds,[rsi]', '8e1e'],
    ['lgdt [rsi]', '0f0116'],
    ['bts [rsi],rax', '480fab06'],
    ['fstp [rsi]', 'dd1e'],
    ['rep movsb', 'f3a4'],
  ])('%s', (_name, code) => {
    m.start('long', { flags: FLAG.cf | FLAG.zf })
      .code(`${code}`)
      .set(...before);
    const stop = m.run();
    expect(stop).toMatchObject({ vector: VECTOR.pf, rip: HERE, rsp: BigInt(AT.kernelStack) });
    expect(stop.flags & FLAG.arithmetic).toBe(FLAG.cf | FLAG.zf);
    for (const [register, value] of before) expect(m.gpr(register)).toBe(value);
  });

  it.each([
    ['push rax', '50'],
    ['call', 'e800000000'],
    ['pushf', '9c'],
    ['enter 16,2', 'c8100002'],
    ['push [rbx]', 'ff33'],
    ['push fs', '0fa0'],
    ['pop rax', '58'],
    ['ret', 'c3'],
    ['popf', '9d'],
    ['retf', '48cb'],
    ['iretq', '48cf'],
  ])('%s on a missing stack', (_name, code) => {
    m.start('long')
      .code(code)
      .set([rsp, MISSING + 8n], [rbx, BigInt(AT.data)], [rbp, BigInt(AT.data)], [rax, 5n]);
    m.vector(VECTOR.pf, { ist: 1 });
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, rip: HERE, rsp: MISSING + 8n });
    expect([m.gpr(rax), m.gpr(rbp)]).toEqual([5n, BigInt(AT.data)]);
  });

  it('PUSHA that fails half-way moves nothing', () => {
    m.start('paged', { level: 3 })
      .code('60')
      .set([rsp, MISSING + 0x10n]);
    m.tables.map(MISSING, AT.data, PTE.p | PTE.w | PTE.u);
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, error: 6, rip: HERE, rsp: MISSING + 0x10n });
    expect(m.cr2).toBe(MISSING - 4n);
  });

  it('REP MOVSB stops at the missing byte and goes on when it is there', () => {
    m.start('long')
      .code('f3a4 f4')
      .set([rsi, BigInt(AT.data)], [rdi, MISSING + 0xffdn], [rcx, 8n]);
    m.tables.map(MISSING, AT.data + 0x2000, PTE.p | PTE.w);
    m.put64(AT.data, 0x0807_0605_0403_0201n);
    const stop = m.run();
    expect(stop).toMatchObject({ vector: VECTOR.pf, error: 2, rip: HERE });
    expect(stop.flags & FLAG.rf).toBe(FLAG.rf);
    expect(m.cr2).toBe(MISSING + 0x1000n);
    expect([m.gpr(rcx), m.gpr(rsi), m.gpr(rdi)]).toEqual([5n, BigInt(AT.data + 3), MISSING + 0x1000n]);
    m.tables.map(MISSING + 0x1000n, AT.data + 0x4000, PTE.p | PTE.w);
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(rcx)).toBe(0n);
    expect(m.get64(AT.data + 0x4000)).toBe(0x08_0706_0504n);
  });

  it('REPE CMPSB leaves the flags of the last comparison that was made', () => {
    m.start('long')
      .code('f3a6 f4')
      .set([rsi, BigInt(AT.data)], [rdi, MISSING + 0xffen], [rcx, 8n]);
    m.tables.map(MISSING, AT.data + 0x2000, PTE.p | PTE.w);
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, rip: HERE });
    expect(m.gpr(rcx)).toBe(6n);
  });
});

describe('stacks that are no addresses (6.14)', () => {
  it.each([
    ['RSP0', 4, 0],
    ['IST1', 0x24, 1],
  ] as const)('a non-canonical %s is #SS(0)', (_name, field, ist) => {
    m.start('long', { level: 3 }).code('0f0b');
    m.put64(AT.tss + field, EDGE);
    m.put64(AT.tss + 0x2c, BigInt(AT.otherStack));
    m.vector(VECTOR.ud, { ist });
    m.vector(VECTOR.ss, { ist: 2 });
    expect(m.run()).toMatchObject({ vector: VECTOR.ss, error: 1, rip: HERE });
  });
  it('a TSS that is too short for them is #TS', () => {
    m.start('long', { level: 3 }).code('0f0b');
    m.put64(AT.tss + 0x24, BigInt(AT.otherStack));
    m.load(7, 0x38, 0x8b, 0x2a, BigInt(AT.tss));
    m.vector(VECTOR.ud, { ist: 1 });
    m.vector(VECTOR.ts);
    expect(m.run()).toMatchObject({ vector: VECTOR.ts, error: 0x39, rip: HERE });
  });
});

describe('alignment (6.15, #AC)', () => {
  const AC = { level: 3, cr0: CR0.am, flags: FLAG.ac } as const;
  it.each([
    ['word', '668b4601', true],
    ['dword', '8b4602', true],
    ['dword, aligned', '8b4604', false],
    ['byte', '8a4601', false],
    ['store', '894601', true],
    ['read-modify-write', '014601', true],
    ['16 bytes that need no alignment', '0f104601', false],
  ] as const)('%s', (_name, code, expected) => {
    for (const mode of ['flat', 'long'] as const) {
      m.start(mode, { ...AC, cr4: CR4.osfxsr })
        .code(`${code} cd80`)
        .set([rsi, BigInt(AT.data)]);
      const stop = m.run();
      if (expected) expect(stop).toMatchObject({ vector: VECTOR.ac, error: 0, rip: HERE });
      else expect(stop.vector).toBe(DONE);
    }
  });
  it('only with CR0.AM, EFLAGS.AC and at level 3', () => {
    for (const options of [
      { ...AC, cr0: 0 },
      { ...AC, flags: 0 },
      { ...AC, level: 0 },
    ] as const) {
      m.start('long', options)
        .code('8b4601 cd80')
        .set([rsi, BigInt(AT.data)]);
      expect(m.run().vector).toBe(DONE);
    }
  });
  it('a page fault of the same access comes after it', () => {
    m.start('long', AC).code('8b4601').set([rsi, MISSING]);
    expect(m.run().vector).toBe(VECTOR.ac);
  });
});

describe('double and triple faults (SDM vol. 3, table 6-5)', () => {
  const NOT_PRESENT = { access: 0x0e };
  /** Leads somewhere, but not into the GDT. */
  const BAD_SELECTOR = { selector: 0x1f8 };
  it.each([
    ['benign, then contributory: the second', '0f0b', VECTOR.ud, NOT_PRESENT, VECTOR.np, VECTOR.ud * 8 + 3],
    ['contributory, then contributory: double', '31c9 f7f1', VECTOR.de, NOT_PRESENT, VECTOR.df, 0],
    ['contributory (bad handler segment): double', '31c9 f7f1', VECTOR.de, BAD_SELECTOR, VECTOR.df, 0],
    ['page fault, then contributory: double', `a1${le(MISSING, 8)}`, VECTOR.pf, NOT_PRESENT, VECTOR.df, 0],
    ['INT n, then contributory: the second, with EXT clear', 'cd30', 0x30, NOT_PRESENT, VECTOR.np, 0x30 * 8 + 2],
    ['INT3, then contributory: EXT clear', 'cc', VECTOR.bp, NOT_PRESENT, VECTOR.np, VECTOR.bp * 8 + 2],
    ['INT1, then contributory: EXT set', 'f1', VECTOR.db, NOT_PRESENT, VECTOR.np, VECTOR.db * 8 + 3],
  ] as const)('%s', (_name, code, broken, gateOf, vector, error) => {
    m.start('long').code(code);
    m.vector(broken, gateOf);
    expect(m.run()).toMatchObject({ vector, error });
  });

  it('the faults on the way to INT n report the INT itself', () => {
    m.start('long', { level: 3 }).code('90 cd30');
    m.vector(0x30, { access: 0x6e });
    expect(m.run()).toMatchObject({ vector: VECTOR.np, error: 0x182, rip: HERE + 1n, rsp: BigInt(AT.userStack) });
  });
  it('contributory, then page fault: one after the other', () => {
    m.start('long').code('31c9 f7f1');
    // The handler's frame lies where no page is; #PF has a stack.
    m.put64(AT.tss + 0x2c, MISSING + 0x100n);
    m.vector(VECTOR.de, { ist: 2 });
    m.vector(VECTOR.pf, { ist: 1 });
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, error: 2, rip: HERE + 2n });
    expect(m.cr2).toBe(MISSING + 0xf8n);
  });
  it('page fault, then page fault: double, with the address of the second', () => {
    m.start('long').code(`a1${le(MISSING, 8)}`);
    m.put64(AT.tss + 0x2c, MISSING + 0x1100n);
    m.vector(VECTOR.pf, { ist: 2 });
    m.vector(VECTOR.df, { ist: 1 });
    expect(m.run()).toMatchObject({ vector: VECTOR.df, error: 0, rip: HERE });
    expect(m.cr2).toBe(MISSING + 0x10f8n);
  });
  it.each(['long', 'flat', 'real'] as const)('%s: no IDT at all is a triple fault, and stays one', (mode) => {
    m.start(mode).code('0f0b');
    m.cpu.u16[(STATE.idtr + 8) >> 1] = 0;
    expect(m.run().exit).toBe(EXIT.shutdown);
    expect(m.run().exit).toBe(EXIT.shutdown);
  });
  it.each(['cd30', 'cc', 'f1'])('so it is on the way to a software interrupt (%s)', (code) => {
    m.start('long').code(code);
    m.cpu.u16[(STATE.idtr + 8) >> 1] = 0;
    expect(m.run().exit).toBe(EXIT.shutdown);
    expect(m.run().exit).toBe(EXIT.shutdown);
  });
  it('an external interrupt through a missing gate has EXT set', () => {
    m.start('long', { flags: FLAG.if }).code('90');
    m.vector(0x40, NOT_PRESENT);
    m.engine.interrupt(0x40);
    expect(m.run()).toMatchObject({ vector: VECTOR.np, error: 0x40 * 8 + 3, rip: HERE });
  });
  it('a handler that faults for ever does not keep run() from returning', () => {
    m.start('long').code('0f0b').code('0f0b', AT.data);
    m.vector(VECTOR.ud, { target: AT.data, ist: 1 });
    expect(m.run(1000).exit).toBe(EXIT.budget);
  });
});

describe('the frame', () => {
  it.each([
    ['faults have RF set', '0f0b', FLAG.rf],
    ['traps have not', 'cc', 0],
  ] as const)('%s', (_name, code, rf) => {
    for (const mode of ['flat', 'long'] as const) {
      m.start(mode).code(code);
      expect(m.run().flags & FLAG.rf).toBe(rf);
    }
  });
  it('an interrupt gate clears IF, a trap gate does not; both clear TF, NT, RF', () => {
    for (const [access, kept] of [
      [0x8e, 0],
      [0x8f, FLAG.if],
    ] as const) {
      m.start('long', { flags: FLAG.if | FLAG.nt | FLAG.tf }).code('cd31');
      m.vector(0x31, { access });
      expect(m.run()).toMatchObject({ vector: 0x31, flags: FLAG.if | FLAG.nt | FLAG.tf | 2 });
      expect(m.cpu.rflags & (FLAG.if | FLAG.nt | FLAG.tf | FLAG.rf)).toBe(kept);
    }
  });
  it('64-bit frames are aligned to 16 bytes', () => {
    m.start('long')
      .code('cc')
      .set([rsp, BigInt(AT.kernelStack - 3)]);
    expect(m.run()).toMatchObject({ vector: VECTOR.bp, rsp: BigInt(AT.kernelStack - 3) });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 16 - 40));
  });
  it('a handler of level 0 gets the stack of the TSS, or that of the IST', () => {
    for (const [ist, top] of [
      [0, AT.kernelStack],
      [1, AT.otherStack],
    ] as const) {
      m.start('long', { level: 3 }).code('cc');
      m.vector(VECTOR.bp, { access: 0xee, ist });
      expect(m.run()).toMatchObject({ vector: VECTOR.bp, cs: 0x33, ss: 0x23 });
      expect(m.gpr(rsp)).toBe(BigInt(top - 40));
    }
  });
  it('INT 80 from level 3 comes back', () => {
    for (const mode of ['flat', 'paged', 'pae', 'long', 'compat'] as const) {
      m.start(mode, { level: 3 }).code('b805000000 cc ffc0 cd80');
      expect(m.run().vector).toBe(VECTOR.bp);
      expect(m.run().vector).toBe(DONE);
      expect(m.gpr(rax), mode).toBe(6n);
    }
  });
});
