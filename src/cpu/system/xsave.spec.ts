import { describe, expect, it } from 'vitest';
import { CR0, CR4, STATE, VECTOR } from '../state.ts';
import { FlatMachine } from './fixtures/flat-machine.ts';
import { fxrstor, fxsave, xrstor, xsave } from './xsave.ts';

const GP0 = [VECTOR.gp, 0];
const NM = [VECTOR.nm, undefined];
const AREA = 0xc000;
const at = BigInt(AREA);

/** TOP = 6; R6 and R7 valid, holding 0x8006.. and 0x8007..; XMMn = n * 0x0101.. . */
function loaded(m: FlatMachine): void {
  const { cpu } = m;
  cpu.u16[STATE.fcw >> 1] = 0x27f;
  cpu.u16[STATE.fsw >> 1] = 6 << 11;
  cpu.u16[STATE.ftw >> 1] = 0xc0;
  cpu.u16[STATE.fop >> 1] = 0x123;
  cpu.set64(STATE.fip, 0xffff_8000_1234_5678n);
  cpu.set64(STATE.fdp, 0x7fff_0000_0008n);
  for (let i = 0; i < 8; i++) {
    cpu.set64(STATE.x87 + i * 16, 0x8000_0000_0000_0000n + BigInt(i));
    cpu.set64(STATE.x87 + i * 16 + 8, 0x3ff0n + BigInt(i));
  }
  for (let i = 0; i < 32; i++) cpu.set64(STATE.xmm + i * 8, BigInt(i) * 0x0101_0101_0101_0101n);
  cpu.set32(STATE.mxcsr, 0x1fa0);
}
const snapshot = (m: FlatMachine) => [
  ...m.cpu.u16.slice(STATE.fcw >> 1, (STATE.fop >> 1) + 1),
  ...m.cpu.u64.slice(STATE.x87 >> 3, (STATE.xmm + 256) >> 3),
  m.cpu.get64(STATE.fip),
  m.cpu.get64(STATE.fdp),
  m.cpu.get32(STATE.mxcsr),
];
const bench = (legacy = false) => {
  const m = legacy ? new FlatMachine().protected32() : new FlatMachine().long();
  m.cpu.set64(STATE.cr4, m.cpu.get64(STATE.cr4) | BigInt(CR4.osfxsr | CR4.osxsave));
  m.cpu.set64(STATE.xcr0, 3n);
  loaded(m);
  return m;
};

describe('FXSAVE and FXRSTOR (SDM vol. 1, 10.5)', () => {
  it('lays the image out as table 10-2, registers in stack order', () => {
    const m = bench();
    m.put64(AREA + 0x1d0, 0x5555n);
    fxsave(m.cpu, m.mem, at, true);
    expect([m.get16(AREA), m.get16(AREA + 2), m.get16(AREA + 4), m.get16(AREA + 6)]).toEqual([0x27f, 6 << 11, 0xc0, 0x123]);
    expect([m.get64(AREA + 8), m.get64(AREA + 16)]).toEqual([0xffff_8000_1234_5678n, 0x7fff_0000_0008n]);
    expect([m.get32(AREA + 24), m.get32(AREA + 28)]).toEqual([0x1fa0, 0xffff]);
    // ST0 is R6, ST2 is R0.
    expect([m.get64(AREA + 32) & 0xffn, m.get64(AREA + 40), m.get64(AREA + 64) & 0xffn]).toEqual([6n, 0x3ff6n, 0n]);
    expect([m.get64(AREA + 160 + 15 * 16), m.get64(AREA + 0x1d0)]).toEqual([30n * 0x0101_0101_0101_0101n, 0x5555n]);
  });

  it('comes back the same', () => {
    const m = bench();
    const before = snapshot(m);
    fxsave(m.cpu, m.mem, at, true);
    m.cpu.u64.fill(0n, STATE.x87 >> 3, (STATE.xmm + 256) >> 3);
    m.cpu.u16.fill(0, STATE.fcw >> 1, (STATE.fop >> 1) + 1);
    fxrstor(m.cpu, m.mem, at, true);
    expect(snapshot(m)).toEqual(before);
  });

  it('outside 64-bit mode leaves XMM8 and up alone, and keeps 32 bits of the pointers', () => {
    const m = bench(true);
    fxsave(m.cpu, m.mem, at, false);
    expect([m.get64(AREA + 8), m.get64(AREA + 160 + 8 * 16), m.get64(AREA + 160 + 7 * 16)]).toEqual([
      0x1234_5678n,
      0n,
      14n * 0x0101_0101_0101_0101n,
    ]);
  });

  it.each([
    ['misaligned', (m: FlatMachine) => fxsave(m.cpu, m.mem, at + 8n, true), GP0],
    [
      'TS',
      (m: FlatMachine) => {
        m.cpu.set64(STATE.cr0, BigInt(m.cpu.cr0 | CR0.ts) & 0xffff_ffffn);
        fxsave(m.cpu, m.mem, at, true);
      },
      NM,
    ],
    [
      'EM',
      (m: FlatMachine) => {
        m.cpu.set64(STATE.cr0, BigInt(m.cpu.cr0 | CR0.em) & 0xffff_ffffn);
        fxrstor(m.cpu, m.mem, at, true);
      },
      NM,
    ],
    [
      'reserved MXCSR bit',
      (m: FlatMachine) => {
        m.put64(AREA + 24, 0x1_0000n);
        fxrstor(m.cpu, m.mem, at, true);
      },
      GP0,
    ],
  ] as const)('faults: %s', (_name, run, result) => {
    const m = bench();
    const before = snapshot(m);
    expect(m.fault(() => run(m))).toEqual(result);
    expect(snapshot(m)).toEqual(before);
  });

  it('writes nothing when the second page is missing', () => {
    const m = bench();
    m.mem.missing.add(0xd);
    expect(m.fault(() => fxsave(m.cpu, m.mem, 0xcf00n, true))?.[0]).toBe(VECTOR.pf);
    expect(m.get64(0xcf00)).toBe(0n);
  });
});

describe('XSAVE, XSAVEOPT, XRSTOR (SDM vol. 1, 13.7 to 13.9)', () => {
  it('XSAVE of SSE alone leaves the x87 part and its header bit', () => {
    const m = bench();
    m.put64(AREA + 512, 1n);
    m.put64(AREA, 0x1111n);
    xsave(m.cpu, m.mem, at, 2n, true, false);
    expect([m.get64(AREA), m.get64(AREA + 512), m.get64(AREA + 168)]).toEqual([0x1111n, 3n, 0x0101_0101_0101_0101n]);
  });

  it('XSAVEOPT leaves out what is in its initial state', () => {
    const m = bench();
    m.cpu.u64.fill(0n, STATE.xmm >> 3, (STATE.xmm + 256) >> 3);
    m.cpu.set32(STATE.mxcsr, 0x1f80);
    m.put64(AREA + 160, 0x7777n);
    xsave(m.cpu, m.mem, at, 3n, true, true);
    expect([m.get64(AREA + 160), m.get64(AREA + 512), m.get32(AREA + 24)]).toEqual([0x7777n, 1n, 0x1f80]);
  });

  it('XRSTOR loads what is there and initialises what is not', () => {
    const m = bench();
    xsave(m.cpu, m.mem, at, 3n, true, false);
    m.put64(AREA + 512, 2n);
    xrstor(m.cpu, m.mem, at, 3n, true);
    expect([m.cpu.u16[STATE.fcw >> 1], m.cpu.u16[STATE.ftw >> 1], m.cpu.get64(STATE.x87), m.cpu.get64(STATE.fip)]).toEqual([
      0x37f,
      0,
      0n,
      0n,
    ]);
    expect([m.cpu.get64(STATE.xmm + 8), m.cpu.get32(STATE.mxcsr)]).toEqual([0x0101_0101_0101_0101n, 0x1fa0]);
  });

  it.each([
    ['XSTATE_BV beyond XCR0', 512, 4n],
    ['XCOMP_BV', 520, 1n << 63n],
    ['reserved header bytes', 528, 1n],
    ['MXCSR', 24, 0x8000_0000n],
  ] as const)('XRSTOR #GP(0): %s', (_name, offset, value) => {
    const m = bench();
    const before = snapshot(m);
    m.put64(AREA + offset, value);
    expect(m.fault(() => xrstor(m.cpu, m.mem, at, 3n, true))).toEqual(GP0);
    expect(snapshot(m)).toEqual(before);
  });

  it('needs CR4.OSXSAVE and 64-byte alignment', () => {
    const m = bench();
    expect(m.fault(() => xsave(m.cpu, m.mem, at + 16n, 3n, true, false))).toEqual(GP0);
    m.cpu.set64(STATE.cr4, BigInt(CR4.pae));
    expect(m.fault(() => xsave(m.cpu, m.mem, at, 3n, true, false))).toEqual([VECTOR.ud, undefined]);
  });
});

describe('AVX state (SDM vol. 1, 13.5.2)', () => {
  const wide = () => {
    const m = bench();
    m.cpu.set64(STATE.xcr0, 7n);
    for (let i = 0; i < 32; i++) m.cpu.set64(STATE.ymmHigh + i * 8, BigInt(i + 1) * 0x1111n);
    return m;
  };
  const HIGH = AREA + 576;
  const BV = AREA + 512;

  it('comes after the header, and back', () => {
    const m = wide();
    xsave(m.cpu, m.mem, at, 7n, true, false);
    expect([m.get64(HIGH), m.get64(HIGH + 248), m.get64(BV)]).toEqual([0x1111n, 32n * 0x1111n, 7n]);
    m.cpu.u64.fill(0n, STATE.ymmHigh >> 3, (STATE.ymmHigh >> 3) + 32);
    xrstor(m.cpu, m.mem, at, 4n, true);
    expect([m.cpu.get64(STATE.ymmHigh), m.cpu.get64(STATE.ymmHigh + 248)]).toEqual([0x1111n, 32n * 0x1111n]);
  });
  it('is initial when all upper halves are zero: then XSAVEOPT leaves its place alone, and XRSTOR clears them', () => {
    const m = wide();
    m.cpu.u64.fill(0n, STATE.ymmHigh >> 3, (STATE.ymmHigh >> 3) + 32);
    m.put64(HIGH, 0x5555n);
    xsave(m.cpu, m.mem, at, 7n, true, true);
    expect([m.get64(HIGH), m.get64(BV) & 4n]).toEqual([0x5555n, 0n]);
    m.cpu.set64(STATE.ymmHigh + 8, 9n);
    xrstor(m.cpu, m.mem, at, 7n, true);
    expect(m.cpu.get64(STATE.ymmHigh + 8)).toBe(0n);
  });
  it('is not touched while XCR0 has no bit for it', () => {
    const m = wide();
    m.cpu.set64(STATE.xcr0, 3n);
    m.put64(HIGH, 0x5555n);
    xsave(m.cpu, m.mem, at, 7n, true, false);
    expect([m.get64(HIGH), m.get64(BV)]).toEqual([0x5555n, 3n]);
  });
  it('brings MXCSR along by itself', () => {
    const m = wide();
    xsave(m.cpu, m.mem, at, 7n, true, false);
    m.cpu.set32(STATE.mxcsr, 0x1f80);
    xrstor(m.cpu, m.mem, at, 4n, true);
    expect(m.cpu.get32(STATE.mxcsr)).toBe(0x1fa0);
  });
});
