// Ports and device memory: each access leaves the engine once, and the instruction is finished with the answer.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, SEGMENT, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, type BenchOptions, DONE, type Stop } from './bench-machine.ts';
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
  describe('REP INS from a device that has several elements at hand', () => {
    const ELEMENTS = 0x1800;
    /** Elements count up from 0, and each exit and each call takes what comes next. `most` bytes a call. */
    function readAll(
      mode: BenchMode,
      code: string,
      options: BenchOptions,
      size: number,
      most = 100_000,
    ): { calls: number; stop: Stop } {
      let [next, calls, exits] = [0, 0, 0];
      const start = options.flags === FLAG.df ? AT.data + (ELEMENTS - 1) * size : AT.data;
      m.start(mode, options)
        .code(`${code} f4`)
        .set([rcx, BigInt(ELEMENTS)], [rdi, BigInt(start)], [rdx, 0x1f0n]);
      m.readPorts = (port, elementSize, into) => {
        expect([port, elementSize]).toEqual([0x1f0, size]);
        calls++;
        const count = Math.min(most, into.length);
        for (let at = 0; at + size <= count; at += size) {
          const view = new DataView(into.buffer, into.byteOffset + at, size);
          if (size === 2) view.setUint16(0, next++, true);
          else view.setUint32(0, next++, true);
        }
        return count - (count % size);
      };
      try {
        for (;;) {
          const stop = m.run();
          if (stop.exit !== EXIT.pio) {
            expect(exits).toBeGreaterThan(0);
            return { calls, stop };
          }
          exits++;
          m.engine.exit.dataLow = next++;
        }
      } finally {
        m.readPorts = () => 0;
      }
    }
    it.each<readonly [string, BenchMode, string, BenchOptions, number, number]>([
      ['words in 64-bit mode', 'long', '66f36d', {}, 2, 100_000],
      ['double words in 32-bit mode', 'paged', 'f36d', {}, 4, 100_000],
      ['few at a time', 'long', '66f36d', {}, 2, 7],
      ['downwards', 'long', '66f36d', { flags: FLAG.df }, 2, 100_000],
    ])('%s', (_name, mode, code, options, size, most) => {
      const { calls, stop } = readAll(mode, code, options, size, most);
      expect(stop).toMatchObject({ exit: EXIT.hlt, rip: HERE + BigInt(code.length / 2 + 1) });
      const down = options.flags === FLAG.df;
      const got = Array.from({ length: ELEMENTS }, (_, i) => {
        const at = AT.data + (down ? ELEMENTS - 1 - i : i) * size;
        return size === 2 ? m.view.getUint16(at, true) : m.view.getUint32(at, true);
      });
      expect(got.findIndex((value, i) => value !== i)).toBe(-1);
      expect([m.gpr(rcx), m.gpr(rdi)]).toEqual([0n, BigInt(down ? AT.data - size : AT.data + ELEMENTS * size)]);
      if (down) expect(calls).toBe(0);
      else expect(calls).toBeGreaterThan(0);
    });
    it('only as far as its segment goes', () => {
      m.start('flat')
        .code('f36d f4')
        .set([rcx, 16n], [rdi, BigInt(AT.data)], [rdx, 0x1f0n]);
      m.load(SEGMENT.es, 0x10, 0x93, AT.data + 19, 0n);
      m.readPorts = (_port, _size, into) => into.fill(7).length;
      let stop = m.run();
      while (stop.exit === EXIT.pio) stop = m.run();
      m.readPorts = () => 0;
      expect(stop).toMatchObject({ vector: gp, error: 0, rip: HERE });
      expect([m.gpr(rcx), m.gpr(rdi)]).toEqual([11n, BigInt(AT.data + 20)]);
      expect(m.ram[AT.data + 20]).toBe(0);
    });
    it('one a step', () => {
      m.start('long', { flags: FLAG.tf })
        .code('f36c f4')
        .set([rcx, 3n], [rdi, BigInt(AT.data)], [rdx, 0x1f0n]);
      m.readPorts = () => {
        throw new Error('each element is a step');
      };
      expect(m.run().exit).toBe(EXIT.pio);
      expect(m.run()).toMatchObject({ vector: VECTOR.db, rip: HERE });
      m.readPorts = () => 0;
      expect(m.gpr(rcx)).toBe(2n);
    });
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
