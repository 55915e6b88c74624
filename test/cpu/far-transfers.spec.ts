// JMP far, CALL far, RET far: to segments, through call gates, between modes. SDM vol. 3, 5.8; vol. 2, JMP, CALL, RET.
import { beforeAll, describe, expect, it } from 'vitest';
import { SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { gate, SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, le, SELECTOR as S } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rsp } = GPR;
const { gp, np, ss: SS, ts, ud } = VECTOR;
const { cs, ss, ds } = SEGMENT;
const HERE = BigInt(AT.code);
const THERE = AT.code + 0x100;
const GATE = { call16: 0x84, call32: 0x8c } as const;

/** Code at THERE: HLT, or at level 3 INT 80. */
const land = (hex = 'f4'): void => {
  m.code(hex, THERE);
};
const jmpf = (selector: number, offset: number = THERE): string => `ea${le(offset)}${le(selector, 2)}`;
const callf = (selector: number, offset: number = THERE): string => `9a${le(offset)}${le(selector, 2)}`;
const stack32 = (n: number): number => m.view.getUint32(Number(m.gpr(rsp)) + 4 * n, true);
const stack64 = (n: number): bigint => m.get64(Number(m.gpr(rsp)) + 8 * n);

describe('real-address mode', () => {
  it('JMP, CALL and RET far move CS by paragraphs', () => {
    // callf 1010:0; hlt / there: retf
    m.start('real').code('9a00001010 f4').code('cb', 0x10100);
    expect(m.run()).toMatchObject({ rip: 6n, cs: 0x1000 });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack));
    m.start('real').code('ea05001010').code('f4', 0x10105);
    expect(m.run()).toMatchObject({ rip: 6n, cs: 0x1010 });
    expect(m.cpu.segBase(cs)).toBe(0x10100n);
  });
  it('through memory, and RETF releases parameters', () => {
    // push ax; push ax; callf [2000]; hlt / there: retf 4
    m.start('real').code('50 50 ff1e0020 f4').code('ca0400', 0x10100);
    m.view.setUint32(0x2000, 0x10100000, true);
    expect(m.run()).toMatchObject({ rip: 7n, cs: 0x1000 });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack));
  });
  it('a 32-bit offset beyond the limit is #GP', () => {
    m.start('real').code('66ea000001001000');
    expect(m.run()).toMatchObject({ vector: gp, rip: 0n });
  });
});

describe('32-bit protected mode, direct', () => {
  it('JMP to another code segment keeps CPL', () => {
    m.start('flat').code(jmpf(S.code));
    land();
    expect(m.run()).toMatchObject({ cs: S.code, rip: BigInt(THERE + 1) });
  });
  it('JMP to 16-bit code runs it as such', () => {
    m.start('flat').code(jmpf(S.code16, 0x100));
    m.describe(S.code16, segment(AT.code, 0xffff, 0x9a, 0));
    land('b83412 f4'); // mov ax,1234
    expect(m.run()).toMatchObject({ cs: S.code16, rip: 0x104n });
    expect(m.gpr(rax)).toBe(0x1234n);
  });
  it('CALL pushes CS:EIP, RET comes back', () => {
    m.start('flat').code(`${callf(S.code)} f4`);
    land('cb');
    expect(m.run()).toMatchObject({ rip: HERE + 8n, cs: S.code });
  });
  it('sets the accessed bit of the descriptor', () => {
    m.start('flat').code(jmpf(S.code));
    land();
    m.run();
    expect(m.ram[AT.gdt + S.code + 5]).toBe(0x9b);
  });

  const OUT_OF_TABLE = 0x200;
  it.each([
    ['null', 0, gp, 0, 0],
    ['beyond the table', OUT_OF_TABLE, gp, OUT_OF_TABLE, 0],
    ['a data segment', S.data, gp, S.data, 0],
    ['a more privileged segment', S.code, gp, S.code, 3],
    ['a less privileged segment', S.userCode, gp, S.userCode & ~3, 0],
    ['RPL above CPL', S.code | 3, gp, S.code, 0],
    ['an LDT descriptor', S.ldt, gp, S.ldt, 0],
    ['a segment that is not present', S.free, np, S.free, 0],
    ['an offset beyond the limit', S.free2, gp, 0, 0],
    ['the LDT, with none loaded', 0x0c, gp, 0x0c, 0],
  ] as const)('%s', (_name, selector, vector, error, level) => {
    for (const code of [jmpf(selector), callf(selector)]) {
      m.start('flat', { level }).code(code);
      m.describe(S.free, segment(0, 0xfffff, 0x1a, SIZE.g | SIZE.d));
      m.describe(S.free2, segment(0, 0xff, 0x9a, SIZE.d));
      expect(m.run()).toMatchObject({ vector, error, rip: HERE });
    }
  });
  it('a conforming segment runs at the level of the caller', () => {
    m.start('flat', { level: 3 }).code(jmpf(S.conforming));
    land('cd80');
    expect(m.run()).toMatchObject({ cs: S.conforming | 3, rip: BigInt(THERE + 2) });
  });
  it('RET cannot go inwards', () => {
    m.start('flat', { level: 3 }).code(`68${le(S.code)} 68${le(THERE)} cb`);
    expect(m.run()).toMatchObject({ vector: gp, error: S.code, rip: HERE + 10n, rsp: BigInt(AT.userStack - 8) });
  });
  it('RET outwards loads SS:ESP, releases on both stacks and drops inner data segments', () => {
    // push 23; push stack; push 11; push 1b; push there; retf 4 -- the 11 is a parameter
    m.start('flat').code(`6a23 68${le(AT.userStack - 16)} 6a11 6a1b 68${le(THERE)} 90 ca0400`);
    land('cd80');
    const stop = m.run();
    expect(stop).toMatchObject({ vector: 0x80, cs: S.userCode, ss: S.userData, rsp: BigInt(AT.userStack - 12) });
    expect([m.cpu.selector(ds), m.cpu.attributes(ds)]).toEqual([0, 0]);
  });
  it('RET outwards with a stack of the wrong level', () => {
    m.start('flat').code(`6a10 6a00 6a1b 68${le(THERE)} cb`);
    expect(m.run()).toMatchObject({ vector: gp, error: S.data });
  });
});

describe('call gates in protected mode (5.8.3 to 5.8.6)', () => {
  const put = (access: number, selector: number = S.code, count = 0): void => {
    m.describe(S.gate, gate(selector, BigInt(THERE), access, count));
  };
  it('CALL from level 3 takes the stack of the TSS and copies the parameters; RET gives everything back', () => {
    m.start('flat', { level: 3 }).code(`6a11 6a22 ${callf(S.gate | 3, 0x999)} cd80`);
    put(GATE.call32 | 0x60, S.code, 2);
    land('f4 ca0800'); // hlt; retf 8
    expect(m.run()).toMatchObject({ cs: S.code, ss: S.data });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 24));
    expect([0, 1, 2, 3, 4, 5].map(stack32)).toEqual([AT.code + 11, S.userCode, 0x22, 0x11, AT.userStack - 8, S.userData]);
    expect(m.run()).toMatchObject({ vector: 0x80, cs: S.userCode, ss: S.userData, rsp: BigInt(AT.userStack) });
  });
  it('a 16-bit gate pushes words and takes 16 bits of the offset', () => {
    m.start('flat', { level: 3 }).code(`6a11 ${callf(S.gate | 3)}`);
    m.describe(S.free, segment(AT.code & ~0xffff, 0xffff, 0x9a, 0));
    m.describe(S.gate, gate(S.free, 0x100n, GATE.call16 | 0x60, 1));
    land();
    expect(m.run()).toMatchObject({ cs: S.free, rip: 0x101n });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 10));
    const at = AT.kernelStack - 10;
    expect([0, 2, 4, 6, 8].map((n) => m.view.getUint16(at + n, true))).toEqual([
      9,
      S.userCode,
      0x11,
      (AT.userStack - 4) & 0xffff,
      S.userData,
    ]);
  });
  it('CALL at the same level keeps the stack', () => {
    m.start('flat').code(`${callf(S.gate)} f4`);
    put(GATE.call32);
    land('cb');
    expect(m.run()).toMatchObject({ rip: HERE + 8n });
  });
  it('JMP reaches code of the same level only', () => {
    m.start('flat').code(jmpf(S.gate));
    put(GATE.call32);
    land();
    expect(m.run()).toMatchObject({ rip: BigInt(THERE + 1) });
    m.start('flat', { level: 3 }).code(jmpf(S.gate | 3));
    put(GATE.call32 | 0x60);
    expect(m.run()).toMatchObject({ vector: gp, error: S.code, rip: HERE });
  });
  it('to a conforming segment the level stays', () => {
    m.start('flat', { level: 3 }).code(callf(S.gate | 3));
    put(GATE.call32 | 0x60, S.conforming);
    land('cd80');
    expect(m.run()).toMatchObject({ cs: S.conforming | 3, rsp: BigInt(AT.userStack - 8) });
  });
  it.each([
    ['gate of level 0', GATE.call32, S.code, gp, S.gate],
    ['gate not present', 0x6c, S.code, np, S.gate],
    ['null code segment', GATE.call32 | 0x60, 0, gp, 0],
    ['data segment', GATE.call32 | 0x60, S.data, gp, S.data],
    ['code segment not present', GATE.call32 | 0x60, S.free, np, S.free],
  ] as const)('%s', (_name, access, selector, vector, error) => {
    m.start('flat', { level: 3 }).code(callf(S.gate | 3));
    m.describe(S.free, segment(0, 0xfffff, 0x1a, SIZE.g | SIZE.d));
    put(access, selector);
    expect(m.run()).toMatchObject({ vector, error, rip: HERE, rsp: BigInt(AT.userStack) });
  });
  it.each([
    ['a null SS0', 0, ts, 0],
    ['an SS0 of level 3', S.userData, ts, S.userData & ~3],
    ['an SS0 that is code', S.code, ts, S.code],
    ['an SS0 that is not present', S.free, SS, S.free],
  ] as const)('%s in the TSS', (_name, selector, vector, error) => {
    m.start('flat', { level: 3 }).code(callf(S.gate | 3));
    m.describe(S.free, segment(0, 0xfffff, 0x12, SIZE.g | SIZE.d));
    put(GATE.call32 | 0x60);
    land();
    m.view.setUint32(AT.tss + 8, selector, true);
    // The handler needs no inner stack: it is conforming, and spins on the user's.
    m.vector(vector, { selector: S.conforming, target: AT.data });
    m.code('ebfe', AT.data);
    expect(m.run(1000)).toMatchObject({ exit: EXIT.budget, rip: BigInt(AT.data), cs: S.conforming | 3 });
    expect([0, 1].map(stack32)).toEqual([error, AT.code]);
  });
});

describe('64-bit mode', () => {
  const far = (offset: bigint, selector: number, size: 4 | 8): void => {
    m.code(`${le(offset, size)}${le(selector, 2)}`, AT.data);
  };
  it('has no direct forms', () => {
    m.start('long').code(jmpf(S.code64));
    expect(m.run().vector).toBe(ud);
    m.start('long').code(callf(S.code64));
    expect(m.run().vector).toBe(ud);
  });
  it('JMP m16:64 and m16:32', () => {
    for (const [code, size] of [
      ['48ff2e', 8],
      ['ff2e', 4],
    ] as const) {
      m.start('long')
        .code(code)
        .set([GPR.rsi, BigInt(AT.data)]);
      far(BigInt(THERE), S.code64, size);
      land();
      expect(m.run()).toMatchObject({ cs: S.code64, rip: BigInt(THERE + 1) });
    }
  });
  it('JMP m16:64 to a non-canonical offset', () => {
    m.start('long')
      .code('48ff2e')
      .set([GPR.rsi, BigInt(AT.data)]);
    far(1n << 50n, S.code64, 8);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: HERE });
  });
  it('into compatibility mode and back', () => {
    m.start('long')
      .code('ff2e')
      .set([GPR.rsi, BigInt(AT.data)], [rax, 0xffff_ffff_ffffn]);
    far(BigInt(THERE), S.code, 4);
    // 32-bit: dec eax (48 is REX.W in 64-bit mode); jmpf code64:+20 / there: inc rax; hlt
    land(`48 ${jmpf(S.code64, THERE + 0x20)}`);
    m.code('48ffc0 f4', THERE + 0x20);
    expect(m.run()).toMatchObject({ cs: S.code64, rip: BigInt(THERE + 0x24) });
    expect(m.gpr(rax)).toBe(0xffff_ffffn);
  });
  it('CALL and RET between the two', () => {
    m.start('long')
      .code('ff1e f4')
      .set([GPR.rsi, BigInt(AT.data)]);
    far(BigInt(THERE), S.code, 4);
    land('cb');
    expect(m.run()).toMatchObject({ cs: S.code64, rip: HERE + 3n, rsp: BigInt(AT.kernelStack) });
  });
  it('a code descriptor with L and D is #GP', () => {
    m.start('long')
      .code('ff2e')
      .set([GPR.rsi, BigInt(AT.data)]);
    m.describe(S.free, segment(0, 0xfffff, 0x9a, SIZE.g | SIZE.l | SIZE.d));
    far(BigInt(THERE), S.free, 4);
    expect(m.run()).toMatchObject({ vector: gp, error: S.free });
  });
  it('CALL through a gate from level 3, and back', () => {
    for (const mode of ['long', 'compat'] as const satisfies readonly BenchMode[]) {
      m.start(mode, { level: 3 })
        .code(mode === 'long' ? 'ff1e cd80' : `${callf(S.gate | 3)} cd80`)
        .set([GPR.rsi, BigInt(AT.data)]);
      far(0n, S.gate | 3, 4);
      m.describe(S.gate, gate(S.code64, BigInt(THERE), GATE.call32 | 0x60), 0n);
      land('f4 48cb');
      expect(m.run()).toMatchObject({ cs: S.code64, ss: 0 });
      const back = BigInt(AT.code + (mode === 'long' ? 2 : 7));
      const user = mode === 'long' ? S.userCode64 : S.userCode;
      expect([0, 1, 2, 3].map(stack64)).toEqual([back, BigInt(user), BigInt(AT.userStack), BigInt(S.userData)]);
      expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 32));
      expect(m.run()).toMatchObject({ vector: 0x80, cs: user, ss: S.userData, rsp: BigInt(AT.userStack) });
    }
  });
  it.each([
    ['to 32-bit code', S.code, 0n, gp, S.code],
    ['with something in the upper half', S.code64, 0x100n << 32n, gp, S.gate],
    ['to a non-canonical offset', S.code64, 0x8000n, gp, 0],
  ] as const)('a gate %s', (_name, selector, upper, vector, error) => {
    m.start('long')
      .code('ff1e')
      .set([GPR.rsi, BigInt(AT.data)]);
    far(0n, S.gate, 4);
    m.describe(S.gate, gate(selector, BigInt(THERE), GATE.call32), upper);
    expect(m.run()).toMatchObject({ vector, error, rip: HERE });
  });
  it('task gates and TSSs are #GP', () => {
    for (const type of [0x85, 0x89]) {
      m.start('long')
        .code('ff2e')
        .set([GPR.rsi, BigInt(AT.data)]);
      far(0n, S.gate, 4);
      m.describe(S.gate, gate(S.tss2, 0n, type), 0n);
      expect(m.run()).toMatchObject({ vector: gp, error: S.gate });
    }
  });
  it('RETFQ outwards takes a null SS from nobody of level 3', () => {
    m.start('long').code(`6a03 6a00 6a33 68${le(THERE)} 48cb`);
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
  });
  it('RETFQ outwards to 64-bit code', () => {
    m.start('long').code(`6a23 68${le(AT.userStack)} 6a33 68${le(THERE)} 48cb`);
    m.start('long', { level: 3 }); // user pages
    m.cpu.set32(STATE.cpl, 0);
    m.load(cs, S.code64, 0xa09b, 0xffff_ffff, 0n).load(ss, S.data, 0xc093, 0xffff_ffff, 0n);
    m.code(`6a23 68${le(AT.userStack)} 6a33 68${le(THERE)} 48cb`).set([rsp, BigInt(AT.kernelStack)]);
    land('cd80');
    expect(m.run()).toMatchObject({ vector: 0x80, cs: S.userCode64, ss: S.userData, rsp: BigInt(AT.userStack) });
  });
});
