// Segments: limits, types, privileges and what loads them. SDM vol. 3, chapters 3 and 5.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE, le, SELECTOR as S } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rsp, rbp, rsi, rdi } = GPR;
const { gp, np, ss: SS, ud } = VECTOR;
const { ds, es, ss, fs, gs } = SEGMENT;
const HERE = BigInt(AT.code);
const ok = undefined;

describe('limits (5.3)', () => {
  // Attributes: 93 writable, 91 read-only, 97 expand-down, 9b code; 4000 is the D/B bit, 8000 granularity.
  it.each([
    ['the last dword', 0x4093, 0xfff, 0xffc, '8b06', ok],
    ['one byte beyond', 0x4093, 0xfff, 0xffd, '8b06', gp],
    ['far beyond', 0x4093, 0xfff, 0x8000_0000, '8b06', gp],
    ['store beyond', 0x4093, 0xfff, 0xffd, '8906', gp],
    ['byte at the limit', 0x4093, 0xfff, 0xfff, '8a06', ok],
    ['read-modify-write beyond', 0x4093, 0xfff, 0xffd, '0106', gp],
    ['16-byte load beyond', 0x4093, 0xfff, 0xff1, '0f1006', gp],
    ['16-byte load up to the limit', 0x4093, 0xfff, 0xff0, '0f1006', ok],
    ['x87 load beyond', 0x4093, 0xfff, 0xffa, 'dd06', gp],
    ['LODSD beyond', 0x4093, 0xfff, 0xffd, 'ad', gp],
    ['wrapping around at 4 GiB', 0x4093, 0xfff, 0xffff_ffff, '8b06', gp],
    ['expand-down: at the limit', 0x4097, 0xfff, 0xffc, '8b06', gp],
    ['expand-down: above it', 0x4097, 0xfff, 0x1000, '8b06', ok],
    ['expand-down, 16-bit: up to FFFF', 0x97, 0xfff, 0xfffc, '8b06', ok],
    ['expand-down, 16-bit: beyond FFFF', 0x97, 0xfff, 0xfffd, '8b06', gp],
    ['read-only, read', 0x4091, 0xfff, 0, '8b06', ok],
    ['read-only, write', 0x4091, 0xfff, 0, '8906', gp],
    ['read-only, read-modify-write', 0x4091, 0xfff, 0, '0106', gp],
    ['readable code, read', 0x409b, 0xfff, 0, '8b06', ok],
    ['readable code, write', 0x409b, 0xfff, 0, '8906', gp],
    ['execute-only code', 0x4099, 0xfff, 0, '8b06', gp],
    ['LEA checks nothing', 0x4093, 0, 0x8000, '8d06', ok],
  ] as const)('%s', (_name, attributes, limit, offset, code, vector) => {
    for (const mode of ['flat', 'paged', 'compat'] as const) {
      m.start(mode, { cr4: CR4.osfxsr })
        .code(`${code} cd80`)
        .set([rsi, BigInt(offset)]);
      m.load(ds, S.free, attributes, limit, BigInt(AT.data));
      const stop = m.run();
      if (vector === undefined) expect(stop.vector, mode).toBe(DONE);
      else expect(stop, mode).toMatchObject({ vector, error: 0, rip: HERE });
    }
  });
  it('the base is added, and wraps at 4 GiB', () => {
    m.start('flat').code('8b06 f4').set([rsi, 0x10000n]);
    m.load(ds, S.free, 0xc093, 0xffff_ffff, BigInt(AT.data) - 0x10000n);
    m.view.setUint32(AT.data, 0x1234, true);
    m.run();
    expect(m.gpr(rax)).toBe(0x1234n);
    m.start('flat')
      .code('8b06 f4')
      .set([rsi, BigInt(AT.data) + 0x1000n]);
    m.load(ds, S.free, 0xc093, 0xffff_ffff, 0xffff_f000n);
    m.view.setUint32(AT.data, 0x5678, true);
    m.run();
    expect(m.gpr(rax)).toBe(0x5678n);
  });
  it('operands based on ESP or EBP use SS: #SS', () => {
    for (const [code, vector] of [
      ['8b4500', SS],
      ['8b0424', SS],
      ['3e8b4500', ok],
      ['368b06', SS],
      ['8b06', ok],
    ] as const) {
      m.start('flat').code(`${code} f4`).set([rbp, 0x2000n], [rsi, 0x2000n]);
      m.load(ss, S.data, 0xc093, 0xfff, 0n);
      m.cpu.setGpr(rsp, 0x2000n);
      m.vector(SS, { selector: S.code });
      const stop = m.run();
      // The stack is too short for a frame: the fault becomes a shutdown, its absence a halt.
      expect(stop.vector === -1 && stop.exit === 1, code).toBe(vector === undefined);
    }
  });
  it.each([
    ['PUSH', '50'],
    ['CALL', 'e800000000'],
    ['PUSHA', '60'],
    ['ENTER', 'c8000000'],
    ['PUSHF', '9c'],
    ['PUSH FS', '0fa0'],
  ])('%s below the bottom of an expand-down stack is #SS(0), ESP stays', (_name, code) => {
    m.start('flat', { level: 3 })
      .code(code)
      .set([rsp, 0x1004n - 4n]);
    m.load(ss, S.userData, 0x40f7, 0xfff, 0n);
    expect(m.run()).toMatchObject({ vector: SS, error: 0, rip: HERE, rsp: 0x1000n });
  });
  it('a 16-bit stack segment wraps SP and leaves the upper half of ESP', () => {
    m.start('flat').code('50 f4').set([rsp, 0xabcd_0000n], [rax, 0x42n]);
    m.load(ss, S.data16, 0x93, 0xffff, BigInt(AT.data));
    m.run();
    expect(m.gpr(rsp)).toBe(0xabcd_fffcn);
    expect(m.view.getUint32(AT.data + 0xfffc, true)).toBe(0x42);
  });
  it('fetching beyond CS', () => {
    m.start('flat').code('90 90 b8');
    m.load(SEGMENT.cs, S.code, 0x409b, AT.code + 4, 0n); // the MOV has 5 bytes, 3 of them inside
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE + 2n });
    m.start('flat').code('90 90 90');
    m.load(SEGMENT.cs, S.code, 0x409b, AT.code + 1, 0n);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE + 2n });
  });
  it('fetching beyond CS after a run from far away', () => {
    m.start('flat')
      .code(`e9${le(0x3000 - 5)}`)
      .code('90 90 90 90', AT.code + 0x3000);
    m.load(SEGMENT.cs, S.code, 0x409b, AT.code + 0x3001, 0n);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE + 0x3002n });
  });
  it.each([
    ['JMP', `e9${le(0x1000)}`],
    ['JMP eax', 'ffe0'],
    ['CALL eax', 'ffd0'],
    ['RET', '50 c3'],
    ['JZ', `0f84${le(0x1000)}`],
  ])('%s to beyond CS', (_name, code) => {
    m.start('flat', { flags: 0x40 })
      .code(code)
      .set([rax, BigInt(AT.code + 0x1000)]);
    m.load(SEGMENT.cs, S.code, 0x409b, AT.code + 0xfff, 0n);
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
  });
});

describe('loads of data segments (vol. 2, MOV, POP, LDS)', () => {
  const DESCRIPTORS = {
    data: segment(AT.data, 0xfff, 0x92, SIZE.d),
    dataDpl3: segment(AT.data, 0xfff, 0xf2, SIZE.d),
    absent: segment(AT.data, 0xfff, 0x72, SIZE.d),
    code: segment(AT.data, 0xfff, 0xfa, SIZE.d),
    executeOnly: segment(AT.data, 0xfff, 0xf8, SIZE.d),
    readOnly: segment(AT.data, 0xfff, 0xf0, SIZE.d),
    conforming: segment(AT.data, 0xfff, 0x9e, SIZE.d),
    system: segment(AT.data, 0x67, 0xe9, 0),
  } as const;
  it.each([
    ['data', 'data', 0, 0, ok, 0],
    ['data of level 0 from level 3', 'data', 3, 3, gp, S.free],
    ['data of level 0 with RPL 3', 'data', 0, 3, gp, S.free],
    ['data of level 3 from level 0', 'dataDpl3', 0, 0, ok, 0],
    ['readable code', 'code', 3, 3, ok, 0],
    ['execute-only code', 'executeOnly', 3, 3, gp, S.free],
    ['conforming code of level 0 from level 3', 'conforming', 3, 3, ok, 0],
    ['not present', 'absent', 3, 3, np, S.free],
    ['a system segment', 'system', 3, 3, gp, S.free],
  ] as const)('DS with %s', (_name, kind, level, rpl, vector, error) => {
    m.start('flat', { level })
      .code('8ed8 cd80')
      .set([rax, BigInt(S.free | rpl)]);
    m.describe(S.free, DESCRIPTORS[kind]);
    const stop = m.run();
    if (vector === undefined) {
      expect(stop.vector).toBe(DONE);
      expect([m.cpu.selector(ds), m.cpu.segBase(ds), m.cpu.limit(ds)]).toEqual([S.free | rpl, BigInt(AT.data), 0xfff]);
      expect((m.ram[AT.gdt + S.free + 5] as number) & 1).toBe(1);
    } else expect(stop).toMatchObject({ vector, error, rip: HERE });
  });
  it.each([
    ['level 0 data', 'data', 0, ok, 0],
    ['level 3 data from level 0', 'dataDpl3', 0, gp, S.free],
    ['RPL 3', 'data', 3, gp, S.free],
    ['read-only data', 'readOnly', 0, gp, S.free],
    ['code', 'code', 0, gp, S.free],
    ['not present', 'absent', 3, gp, S.free],
  ] as const)('SS with %s', (_name, kind, rpl, vector, error) => {
    m.start('flat')
      .code('8ed0 cd80')
      .set([rax, BigInt(S.free | rpl)], [rsp, 0x800n]);
    m.describe(S.free, DESCRIPTORS[kind]);
    const stop = m.run();
    if (vector === undefined) expect(stop).toMatchObject({ exit: 1 });
    else expect(stop).toMatchObject({ vector, error, rip: HERE });
  });
  it('SS not present is #SS(selector)', () => {
    m.start('flat', { level: 3 })
      .code('8ed0')
      .set([rax, BigInt(S.free | 3)]);
    m.describe(S.free, DESCRIPTORS.absent);
    expect(m.run()).toMatchObject({ vector: SS, error: S.free, rip: HERE });
  });
  it('null in DS loads, its use is #GP(0); in 64-bit mode nothing minds', () => {
    m.start('flat')
      .code('31c0 8ed8 8b06')
      .set([rsi, BigInt(AT.data)]);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE + 4n });
    m.start('long')
      .code('31c0 8ed8 8ec0 8b06 f4')
      .set([rsi, BigInt(AT.data)]);
    expect(m.run().vector).toBe(-1);
  });
  it('null in SS: only below level 3 of 64-bit mode', () => {
    m.start('long').code('31c0 8ed0 50 58 f4');
    expect(m.run()).toMatchObject({ vector: -1, ss: 0 });
    m.start('long', { level: 3 }).code('b803000000 8ed0');
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE + 5n });
  });
  it('LES, LDS, LSS, LFS, LGS load both halves', () => {
    for (const [code, which] of [
      ['c406', es],
      ['c506', ds],
      ['0fb406', fs],
      ['0fb506', gs],
    ] as const) {
      m.start('flat')
        .code(`${code} f4`)
        .set([rsi, BigInt(AT.data)]);
      m.put64(AT.data, 0x1234_5678n | (BigInt(S.free) << 32n));
      m.describe(S.free, DESCRIPTORS.data);
      m.run();
      expect([m.gpr(rax), m.cpu.selector(which), m.cpu.segBase(which)]).toEqual([0x1234_5678n, S.free, BigInt(AT.data)]);
    }
  });
  it('POP of a bad selector leaves ESP', () => {
    m.start('flat').code(`68${le(0x200)} 1f`);
    expect(m.run()).toMatchObject({ vector: gp, error: 0x200, rip: HERE + 5n });
    m.start('flat', { level: 3 }).code(`68${le(0x200)} 1f`);
    expect(m.run()).toMatchObject({ rsp: BigInt(AT.userStack - 4) });
  });
});

describe('64-bit mode', () => {
  it('ignores bases and limits of CS, DS, ES, SS; FS and GS have bases', () => {
    m.start('long')
      .code('8b06 268b1e 648b0e f4')
      .set([rsi, BigInt(AT.data)]);
    m.load(ds, S.data, 0x91, 0, 0x1000n).load(es, S.data, 0x91, 0, 0x1000n).load(fs, S.data, 0x91, 0, 8n);
    m.put64(AT.data, 0x11n);
    m.put64(AT.data + 8, 0x22n);
    m.run();
    expect([m.gpr(rax), m.gpr(GPR.rbx), m.gpr(rcx)]).toEqual([0x11n, 0x11n, 0x22n]);
  });
  it('a 32-bit address size truncates before the base is added', () => {
    m.start('long').code('64678b06 f4').set([rsi, 0xffff_0000_0000_0000n]);
    m.load(fs, S.data, 0x93, 0, BigInt(AT.data));
    m.put64(AT.data, 0x33n);
    m.run();
    expect(m.gpr(rax)).toBe(0x33n);
  });
  it('MOV FS clears the upper half of the base, a null selector too', () => {
    m.start('long')
      .code('8ee0 f4')
      .set([rax, BigInt(S.data)]);
    m.cpu.setSegBase(fs, 0x1234_5678_9abcn);
    m.run();
    expect(m.cpu.segBase(fs)).toBe(0n);
  });
});

describe('LAR, LSL, VERR, VERW, ARPL', () => {
  it.each([
    ['LAR of data', '0f02c1', S.free, 0x40f300n, true],
    ['LAR of nothing', '0f02c1', 0x200, 0x7777n, false],
    ['LSL', '0f03c1', S.free, 0xfffn, true],
    ['LSL with granularity', '0f03c1', S.data, 0xffff_ffffn, true],
    ['LSL of nothing', '0f03c1', 0, 0x7777n, false],
  ] as const)('%s', (_name, code, selector, value, zf) => {
    m.start('flat')
      .code(`${code} f4`)
      .set([rax, 0x7777n], [rcx, BigInt(selector)]);
    m.describe(S.free, segment(AT.data, 0xfff, 0xf3, SIZE.d));
    const stop = m.run();
    expect([m.gpr(rax), (stop.flags & 0x40) !== 0]).toEqual([value, zf]);
  });
  it('VERR and VERW answer in ZF', () => {
    for (const [code, selector, zf] of [
      ['0f00e1', S.code, true],
      ['0f00e9', S.code, false],
      ['0f00e9', S.data, true],
      ['0f00e1', 0, false],
    ] as const) {
      m.start('flat')
        .code(`${code} f4`)
        .set([rcx, BigInt(selector)]);
      expect((m.run().flags & 0x40) !== 0).toBe(zf);
    }
  });
  it('ARPL raises an RPL', () => {
    m.start('flat').code('63c8 f4').set([rax, 0x10n], [rcx, 3n]);
    expect(m.run().flags & 0x40).toBe(0x40);
    expect(m.gpr(rax)).toBe(0x13n);
  });
  it.each(['0f02c1', '0f03c1', '0f00e1', '63c8', '0f00d0', '0f00c0'])('%s is #UD in real-address mode', (code) => {
    m.start('real').code(code);
    expect(m.run()).toMatchObject({ vector: ud, rip: 0n });
  });
});

describe('the LDT', () => {
  it('is loaded from the GDT and holds segments', () => {
    m.start('flat')
      .code('0f00d0 8ed9 8b06 f4')
      .set([rax, BigInt(S.ldt)], [rcx, 0x0cn], [rsi, 4n]);
    m.put64(AT.ldt + 8, segment(AT.data, 0xfff, 0x92, SIZE.d));
    m.view.setUint32(AT.data + 4, 0x99, true);
    m.run();
    expect([m.gpr(rax), m.cpu.selector(SEGMENT.ldtr)]).toEqual([0x99n, S.ldt]);
  });
  it('a load of LTR marks the TSS busy', () => {
    m.start('long')
      .code('0f00d8 f4')
      .set([rax, BigInt(S.tss2)]);
    m.describe(S.tss2, segment(AT.tss2, 0x67, 0x89, 0), 0n);
    m.run();
    expect([m.cpu.selector(SEGMENT.tr), m.ram[AT.gdt + S.tss2 + 5]]).toEqual([S.tss2, 0x8b]);
  });
  it('SGDT and SIDT store what LGDT and LIDT loaded', () => {
    m.start('long')
      .code('0f0116 0f0107 0f011e 0f014f10 f4')
      .set([rsi, BigInt(AT.data)], [rdi, BigInt(AT.data + 0x100)]);
    m.view.setUint16(AT.data, 0x1ff, true);
    m.put64(AT.data + 2, 0x12_3456_7000n);
    m.run();
    const stored = (at: number) => [m.view.getUint16(at, true), m.view.getBigUint64(at + 2, true)];
    expect([stored(AT.data + 0x100), stored(AT.data + 0x110)]).toEqual([
      [0x1ff, 0x12_3456_7000n],
      [0x1ff, 0x12_3456_7000n],
    ]);
    expect(m.cpu.get64(STATE.gdtr)).toBe(0x12_3456_7000n);
  });
});
