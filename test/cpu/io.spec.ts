// Ports and device memory: each access leaves the engine once, and the instruction is finished with the answer.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE, type Stop } from './bench-machine.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rbx, rsp, rsi, rdi } = GPR;
const { gp, pf } = VECTOR;
const HERE = BigInt(AT.code);
/** The last page of memory is taken away: a device is there. */
const DEVICE = AT.end - 0x1000;
const withDevice = (): void => m.memory.map((DEVICE >> 12) as never, 0 as never);

type Seen = readonly ['in' | 'out' | 'read' | 'write', at: number, size: number, value?: bigint];
/** Runs to the end, answering reads from `answers`; gives the accesses in order. */
function accesses(answers: readonly bigint[] = []): { seen: Seen[]; stop: Stop } {
  const seen: Seen[] = [];
  const left = [...answers];
  for (;;) {
    const stop = m.run();
    if (stop.exit !== EXIT.pio && stop.exit !== EXIT.mmio) return { seen, stop };
    const { port, gpa, size, write, dataLow, dataHigh } = m.engine.exit;
    const io = stop.exit === EXIT.pio;
    const value = BigInt(dataLow) | (BigInt(dataHigh) << 32n);
    if (write) seen.push([io ? 'out' : 'write', io ? port : gpa, size, value]);
    else {
      seen.push([io ? 'in' : 'read', io ? port : gpa, size]);
      const answer = left.shift() ?? 0n;
      m.engine.exit.dataLow = Number(answer & 0xffff_ffffn);
      m.engine.exit.dataHigh = Number(answer >> 32n);
    }
    if (seen.length > 100) throw new Error('no end of accesses');
  }
}

describe('ports', () => {
  it.each<readonly [string, string, readonly Seen[], bigint]>([
    ['OUT imm8,AL', 'e660', [['out', 0x60, 1, 0x88n]], 0x1122_3344_5566_7788n],
    ['OUT imm8,EAX', 'e760', [['out', 0x60, 4, 0x5566_7788n]], 0x1122_3344_5566_7788n],
    ['OUT DX,AX', '66ef', [['out', 0x1234, 2, 0x7788n]], 0x1122_3344_5566_7788n],
    ['OUT DX,EAX', 'ef', [['out', 0x1234, 4, 0x5566_7788n]], 0x1122_3344_5566_7788n],
    ['OUT imm8,AX where it is not aligned', '66e763', [['out', 0x63, 2, 0x7788n]], 0x1122_3344_5566_7788n],
    ['IN EAX,imm8 where it is not aligned', 'e563', [['in', 0x63, 4]], 0xaabb_ccddn],
    ['IN AL,imm8', 'e4ff', [['in', 0xff, 1]], 0x1122_3344_5566_77ddn],
    ['IN AX,DX', '66ed', [['in', 0x1234, 2]], 0x1122_3344_5566_ccddn],
    ['IN EAX,DX clears the upper half', 'ed', [['in', 0x1234, 4]], 0xaabb_ccddn],
    ['REX.W does not widen it', '48ed', [['in', 0x1234, 4]], 0xaabb_ccddn],
  ])('%s', (_name, code, expected, result) => {
    m.start('long').code(`${code} f4`).set([rax, 0x1122_3344_5566_7788n], [rdx, 0xffff_1234n]);
    const { seen, stop } = accesses([0xaabb_ccddn]);
    expect(seen).toEqual(expected);
    expect([stop.rip, m.gpr(rax)]).toEqual([HERE + BigInt(code.length / 2 + 1), result]);
  });
  it('REP OUTSB: one exit an element', () => {
    m.start('long')
      .code('f36e f4')
      .set([rcx, 3n], [rsi, BigInt(AT.data)], [rdx, 0x3f8n]);
    m.ram.set([0x61, 0x62, 0x63], AT.data);
    expect(accesses().seen).toEqual([
      ['out', 0x3f8, 1, 0x61n],
      ['out', 0x3f8, 1, 0x62n],
      ['out', 0x3f8, 1, 0x63n],
    ]);
    expect([m.gpr(rcx), m.gpr(rsi)]).toEqual([0n, BigInt(AT.data + 3)]);
  });
  it('REP INSW, downwards', () => {
    m.start('long', { flags: FLAG.df })
      .code('66f36d f4')
      .set([rcx, 2n], [rdi, BigInt(AT.data + 2)], [rdx, 0x1f0n]);
    expect(accesses([0x1111n, 0x2222n]).seen.length).toBe(2);
    expect([m.view.getUint16(AT.data + 2, true), m.view.getUint16(AT.data, true), m.gpr(rdi)]).toEqual([
      0x1111,
      0x2222,
      BigInt(AT.data - 2),
    ]);
  });
  it('INSB to a page that is missing does not read the port', () => {
    m.start('long').code('6c').set([rdi, 0x40_0000n], [rdx, 0x60n]);
    expect(m.run()).toMatchObject({ vector: pf, error: 2, rip: HERE });
  });
  it('INS stops in the middle and goes on', () => {
    m.start('long').code('f36c f4').set([rcx, 2n], [rdi, 0x40_0fffn], [rdx, 0x60n]);
    m.tables.map(0x40_0000n, AT.data, PTE.p | PTE.w);
    const first = accesses([5n]);
    expect(first.seen).toEqual([['in', 0x60, 1]]);
    expect(first.stop).toMatchObject({ vector: pf, error: 2, rip: HERE });
    m.tables.map(0x40_1000n, AT.data + 0x1000, PTE.p | PTE.w);
    expect(accesses([6n]).seen).toEqual([['in', 0x60, 1]]);
    expect([m.ram[AT.data + 0xfff], m.ram[AT.data + 0x1000]]).toEqual([5, 6]);
  });
  describe('many elements in one exit', () => {
    const data = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
    /** Runs to the end; a machine that moves at most `limit` elements at once, from and to a stream. */
    function stream(limit: number): { asked: number[]; written: number[]; stop: Stop } {
      const [asked, written]: number[][] = [[], []];
      let at = 0;
      for (;;) {
        const stop = m.run();
        const { exit } = m.engine;
        if (stop.exit !== EXIT.pio) return { asked: asked as number[], written: written as number[], stop };
        asked?.push(exit.most);
        const { size } = exit;
        const moved = Math.min(exit.most, limit);
        exit.moved = moved;
        if (exit.write && moved > 1) written?.push(...exit.block.subarray(0, moved * size));
        else if (exit.write) for (let i = 0; i < size; i++) written?.push((exit.dataLow >>> (i * 8)) & 0xff);
        else if (moved > 1) exit.block.set(data.subarray(at, at + moved * size));
        else exit.dataLow = (data[at] as number) | (size > 1 ? (data[at + 1] as number) << 8 : 0);
        at += moved * size;
      }
    }
    it.each([
      ['as many as the machine likes', 100, [8]],
      ['some of them at a time', 3, [8, 5, 2]],
      ['one at a time', 1, [8, 7, 6, 5, 4, 3, 2, 1]],
    ])('REP INSW, %s', (_name, limit, asked) => {
      m.start('long')
        .code('66f36d f4')
        .set([rcx, 8n], [rdi, BigInt(AT.data)], [rdx, 0x1f0n]);
      expect(stream(limit).asked).toEqual(asked);
      expect(m.ram.subarray(AT.data, AT.data + 17)).toEqual(Uint8Array.of(...data.subarray(0, 16), 0));
      expect([m.gpr(rcx), m.gpr(rdi)]).toEqual([0n, BigInt(AT.data + 16)]);
    });
    it.each([100, 3, 1])('REP OUTSW, at most %i', (limit) => {
      m.start('long')
        .code('66f36f f4')
        .set([rcx, 8n], [rsi, BigInt(AT.data)], [rdx, 0x1f0n]);
      m.ram.set(data, AT.data);
      expect(stream(limit).written).toEqual([...data.subarray(0, 16)]);
      expect([m.gpr(rcx), m.gpr(rsi)]).toEqual([0n, BigInt(AT.data + 16)]);
    });
    it('end with a page, and the one that is missing faults before its port is read', () => {
      m.start('long').code('66f36d f4').set([rcx, 8n], [rdi, 0x40_0ffan], [rdx, 0x1f0n]);
      m.tables.map(0x40_0000n, AT.data, PTE.p | PTE.w);
      const { asked, stop } = stream(100);
      expect(asked).toEqual([3]);
      expect(stop).toMatchObject({ vector: pf, error: 2, rip: HERE });
      expect([m.gpr(rcx), m.gpr(rdi)]).toEqual([5n, 0x40_1000n]);
    });
    it('end with a segment', () => {
      m.start('flat').code('66f36d f4').set([rcx, 8n], [rdi, 0x10n], [rdx, 0x1f0n]);
      m.load(0, 0x10, 0x93, 0x15, BigInt(AT.data));
      const { asked, stop } = stream(100);
      expect(asked).toEqual([3]);
      expect(stop).toMatchObject({ vector: gp, error: 0, rip: HERE });
      expect(m.gpr(rcx)).toBe(5n);
    });
    it.each([
      ['downwards', '66f36d', FLAG.df, 0x1f0n, BigInt(AT.data)],
      ['from a port that is not aligned', '66f36d', 0, 0x1f1n, BigInt(AT.data)],
      ['at device memory', '66f36d', 0, 0x1f0n, BigInt(DEVICE)],
    ])('are one each: %s', (_name, code, flags, port, to) => {
      m.start('long', { flags }).code(`${code} f4`).set([rcx, 4n], [rdi, to], [rdx, port]);
      withDevice();
      m.run();
      expect([m.engine.exit.reason, m.engine.exit.most]).toEqual([EXIT.pio, 1]);
    });
    it('are one each under the trap flag', () => {
      m.start('long', { flags: FLAG.tf })
        .code('66f36d f4')
        .set([rcx, 4n], [rdi, BigInt(AT.data)], [rdx, 0x1f0n]);
      m.run();
      expect([m.engine.exit.reason, m.engine.exit.most]).toEqual([EXIT.pio, 1]);
      expect(m.run()).toMatchObject({ vector: VECTOR.db });
      expect(m.gpr(rcx)).toBe(3n);
    });
  });
  it('an interrupt does not come between the exit and the rest', () => {
    m.start('long', { flags: FLAG.if }).code('ed f4').set([rdx, 0x60n]);
    m.run();
    expect(m.engine.canInterrupt).toBe(false);
    m.engine.requestInterruptWindow();
    expect(m.run()).toMatchObject({ exit: EXIT.interruptWindow, rip: HERE + 1n });
  });
});

describe('the I/O permission map (vol. 1, 19.5.2)', () => {
  it.each([
    ['no map', 0x67, 0x68, [], 'e660', gp],
    ['a clear bit', 0x88, 0x68, [], 'e660', undefined],
    ['a set bit', 0x88, 0x68, [0x60], 'e660', gp],
    ['another port', 0x88, 0x68, [0x61], 'e660', undefined],
    ['one of four ports', 0x88, 0x68, [0x63], 'e760', gp],
    ['beyond the TSS', 0x70, 0x68, [], 'e660', gp],
  ] as const)('%s', (_name, limit, base, ports, code, vector) => {
    for (const mode of ['flat', 'long'] as const) {
      m.start(mode, { level: 3 }).code(`${code} cd80`);
      m.load(7, 0x38, 0x8b, limit, BigInt(AT.tss));
      m.view.setUint16(AT.tss + 0x66, base, true);
      for (const port of ports) m.ram[AT.tss + base + (port >> 3)] = 1 << (port & 7);
      const stop = m.run();
      if (vector === undefined) {
        expect(stop.exit).toBe(EXIT.pio);
        expect(m.run().vector).toBe(DONE);
      } else expect(stop).toMatchObject({ vector, error: 0, rip: HERE });
    }
  });
  it('IOPL 3 needs no map', () => {
    m.start('long', { level: 3, flags: FLAG.iopl }).code('e660 cd80');
    expect(m.run().exit).toBe(EXIT.pio);
  });
});

describe('device memory', () => {
  const D = BigInt(DEVICE);
  const run = (code: string, answers: readonly bigint[], ...registers: readonly (readonly [number, bigint])[]) => {
    m.start('long', { cr4: CR4.osfxsr })
      .code(`${code} f4`)
      .set([rsi, D], [rax, 0x1122_3344_5566_7788n], ...registers);
    withDevice();
    return accesses(answers);
  };
  it.each<readonly [string, string, readonly Seen[], bigint]>([
    ['byte load', '8a4603', [['read', DEVICE + 3, 1]], 0x1122_3344_5566_7788n - 0x88n + 0x01n],
    ['word load', '668b06', [['read', DEVICE, 2]], 0x1122_3344_5566_0201n],
    ['dword load', '8b06', [['read', DEVICE, 4]], 0x0403_0201n],
    ['qword load', '488b06', [['read', DEVICE, 8]], 0x0807_0605_0403_0201n],
    ['MOVZX', '0fb606', [['read', DEVICE, 1]], 1n],
    ['byte store', '8806', [['write', DEVICE, 1, 0x88n]], 0x1122_3344_5566_7788n],
    ['dword store', '8906', [['write', DEVICE, 4, 0x5566_7788n]], 0x1122_3344_5566_7788n],
    ['qword store', '488906', [['write', DEVICE, 8, 0x1122_3344_5566_7788n]], 0x1122_3344_5566_7788n],
    ['immediate store', 'c70678563412', [['write', DEVICE, 4, 0x1234_5678n]], 0x1122_3344_5566_7788n],
    [
      'read-modify-write',
      '8306ff',
      [
        ['read', DEVICE, 4],
        ['write', DEVICE, 4, 0x0403_0200n],
      ],
      0x1122_3344_5566_7788n,
    ],
    [
      'LOCK OR',
      'f00806',
      [
        ['read', DEVICE, 1],
        ['write', DEVICE, 1, 0x89n],
      ],
      0x1122_3344_5566_7788n,
    ],
    [
      'XCHG',
      '8706',
      [
        ['read', DEVICE, 4],
        ['write', DEVICE, 4, 0x5566_7788n],
      ],
      0x0403_0201n,
    ],
    ['CMP', '833e01', [['read', DEVICE, 4]], 0x1122_3344_5566_7788n],
    [
      'BTS',
      '0fba2e02',
      [
        ['read', DEVICE, 4],
        ['write', DEVICE, 4, 0x0403_0205n],
      ],
      0x1122_3344_5566_7788n,
    ],
    [
      '16-byte load: two pieces',
      '0f1006',
      [
        ['read', DEVICE, 8],
        ['read', DEVICE + 8, 8],
      ],
      0x1122_3344_5566_7788n,
    ],
    [
      'unaligned dword: pieces that are',
      '8b4601',
      [
        ['read', DEVICE + 1, 1],
        ['read', DEVICE + 2, 2],
        ['read', DEVICE + 4, 1],
      ],
      0x0101_0201n & 0xffff_ffffn,
    ],
  ])('%s', (_name, code, expected, result) => {
    const { seen, stop } = run(code, [0x0807_0605_0403_0201n, code === '8b4601' ? 0x0102n : 0n, 1n]);
    expect(seen).toEqual(expected);
    expect(stop).toMatchObject({ exit: EXIT.hlt, rip: HERE + BigInt(code.length / 2 + 1) });
    expect(m.gpr(rax)).toBe(code === '8b4601' ? 0x0101_0201n : result);
  });
  it('MOVSD from it and to it', () => {
    const from = run('a5', [0x1234_5678n], [rdi, BigInt(AT.data)]);
    expect(from.seen).toEqual([['read', DEVICE, 4]]);
    expect([m.view.getUint32(AT.data, true), m.gpr(rsi)]).toEqual([0x1234_5678, D + 4n]);
    m.start('long')
      .code('a5 f4')
      .set([rsi, BigInt(AT.data)], [rdi, D]);
    withDevice();
    m.view.setUint32(AT.data, 0x8765_4321, true);
    expect(accesses().seen).toEqual([['write', DEVICE, 4, 0x8765_4321n]]);
  });
  it('MOVSD from one register of it to another', () => {
    const { seen } = run('a5', [0x42n], [rdi, D + 8n]);
    expect(seen).toEqual([
      ['read', DEVICE, 4],
      ['write', DEVICE + 8, 4, 0x42n],
    ]);
  });
  it('REP STOSB and REP LODSB: one access an element', () => {
    const { seen } = run('f3aa', [], [rdi, D], [rcx, 3n]);
    expect(seen).toEqual([
      ['write', DEVICE, 1, 0x88n],
      ['write', DEVICE + 1, 1, 0x88n],
      ['write', DEVICE + 2, 1, 0x88n],
    ]);
    expect(m.gpr(rcx)).toBe(0n);
    expect(run('f3ac', [1n, 2n], [rcx, 2n]).seen).toEqual([
      ['read', DEVICE, 1],
      ['read', DEVICE + 1, 1],
    ]);
  });
  it('PUSH, POP, CALL with a stack there', () => {
    const { seen } = run('50', [], [rsp, D + 16n]);
    expect(seen).toEqual([['write', DEVICE + 8, 8, 0x1122_3344_5566_7788n]]);
    expect(m.gpr(rsp)).toBe(D + 8n);
    expect(run('5b', [0x99n], [rsp, D]).seen).toEqual([['read', DEVICE, 8]]);
    expect(m.gpr(rbx)).toBe(0x99n);
  });
  it('an access that begins in memory and ends there', () => {
    m.start('long')
      .code('8b06 0106 f4')
      .set([rsi, D - 2n], [rax, 0n]);
    withDevice();
    m.view.setUint16(DEVICE - 2, 0x2211, true);
    const { seen } = accesses([0x4433n, 0x4433n]);
    expect(seen).toEqual([
      ['read', DEVICE, 2],
      ['read', DEVICE, 2],
      ['write', DEVICE, 2, 0x8866n],
    ]);
    expect([m.gpr(rax), m.view.getUint16(DEVICE - 2, true)]).toEqual([0x4433_2211n, 0x4422]);
  });
  it('flags are set once', () => {
    const { seen, stop } = run('8306ff', [1n]);
    expect(seen.length).toBe(2);
    expect(stop.flags & FLAG.zf).toBe(FLAG.zf);
  });
  it('x87 and FXSAVE', () => {
    expect(run('df2e', [5n]).seen).toEqual([['read', DEVICE, 8]]); // fild qword
    expect(run('db2e', [0x8000_0000_0000_0000n, 0x3fffn]).seen).toEqual([
      ['read', DEVICE, 8],
      ['read', DEVICE + 8, 2],
    ]); // fld tbyte
  });
  it('a page fault comes before any access', () => {
    m.start('long').code('8906').set([rsi, D]);
    withDevice();
    m.tables.setEntry(D, D | PTE.p);
    m.cpu.set64(0x190, m.cpu.get64(0x190) | 0x10000n); // CR0.WP
    m.engine.flushTlb();
    expect(m.run()).toMatchObject({ vector: pf, error: 3, rip: HERE });
  });
  it('stores to read-only memory are dropped', () => {
    m.start('long')
      .code('8906 0106 8b1e f4')
      .set([rsi, BigInt(AT.data)], [rax, 7n]);
    m.view.setUint32(AT.data, 0x55, true);
    m.memory.map((AT.data >> 12) as never, m.memory.host(AT.data as never), false);
    m.run();
    expect(m.gpr(rbx)).toBe(0x55n);
    m.memory.map((AT.data >> 12) as never, m.memory.host(AT.data as never));
  });
});
