import { expect, test } from 'vitest';
import { OUTCOME, X87 } from './x87.ts';
import { readFxsave, writeFxsave } from './x87-image.ts';
import { x87Operand } from './x87-operand.ts';
import { FSW, X87_LAYOUT } from './x87-state.ts';

function reset(): X87 {
  const fpu = new X87(new DataView(new ArrayBuffer(X87_LAYOUT.size + 32)), 16);
  fpu.state.reset();
  return fpu;
}
const ONE = 0xe8;
const ZERO = 0xee;

test('nine pushes overflow the stack: IE, SF, C1 and the indefinite', () => {
  const fpu = reset();
  for (let n = 0; n < 8; n++) fpu.execute(0xd9, ONE);
  expect(fpu.state.fsw).toBe(0);
  fpu.execute(0xd9, ONE);
  expect(fpu.state.fsw & 0x7ff).toBe(0x01 | FSW.SF | FSW.C1);
  expect([fpu.state.signExponent(0), fpu.state.significand(0)]).toEqual([0xffff, 3n << 62n]);
});

test('an unmasked exception waits for the next waiting instruction', () => {
  const fpu = reset();
  fpu.state.fcw = 0x37b; // #Z unmasked
  fpu.execute(0xd9, ONE);
  fpu.execute(0xd9, ZERO);
  expect(fpu.execute(0xd8, 0xf9)).toBe(OUTCOME.done); // fdivr: 1 / 0
  expect(fpu.pending).toBe(true);
  expect(fpu.state.fsw & (FSW.ES | FSW.B | 0x3f)).toBe(FSW.ES | FSW.B | 0x04);
  expect(fpu.state.fop).toBe(0x0f9);
  expect(fpu.execute(0xd9, ONE)).toBe(OUTCOME.mf);
  expect(fpu.execute(0xdf, 0xe0)).toBe(OUTCOME.ax);
  expect(fpu.ax & 0xbf).toBe(0x84);
  fpu.execute(0xdb, 0xe2); // fnclex
  expect(fpu.pending).toBe(false);
  expect(fpu.execute(0xd9, ONE)).toBe(OUTCOME.done);
});

test('masking and unmasking recomputes the summary', () => {
  const fpu = reset();
  fpu.execute(0xd9, 0xe0); // fchs of an empty register
  expect(fpu.pending).toBe(false);
  fpu.memory.setUint16(0, 0x37e, true);
  fpu.execute(0xd9, 5 << 3); // fldcw
  expect(fpu.pending).toBe(true);
});

test('FNSTENV in its four layouts (SDM vol. 1, figures 8-9 to 8-12)', () => {
  const fpu = reset();
  Object.assign(fpu.origin, { ip: 0x12345678n, cs: 0x10, dp: 0x9abcdef0n, ds: 0x18 });
  fpu.execute(0xd9, ONE);
  fpu.execute(0xd8, 0x06); // fadd m32
  fpu.state.fop = 0x123;
  const store = (operandSize16: boolean, realMode: boolean): string => {
    Object.assign(fpu.mode, { operandSize16, realMode });
    expect(fpu.execute(0xd9, 6 << 3)).toBe(OUTCOME.store);
    const size = x87Operand(0xd9, 6 << 3, operandSize16).size;
    return Buffer.from(fpu.memory.buffer, 0, size).toString('hex');
  };
  expect(store(false, false)).toBe('7f03ffff0038ffffff3fffff7856341210002301f0debc9a1800ffff');
  expect(store(true, false)).toBe('7f030038ff3f78561000f0de1800');
  // Real mode: linear addresses 12345778 and 9abce070.
  expect(store(false, true)).toBe('7f03ffff0038ffffff3fffff7857ffff2341230170e0ffff00c0ab09');
  expect(store(true, true)).toBe('7f030038ff3f7857234170e000c0');
});

test('FNSAVE empties the FPU, FRSTOR brings everything back', () => {
  for (const operandSize16 of [false, true]) {
    const fpu = reset();
    fpu.mode.operandSize16 = operandSize16;
    for (const constant of [0xe8, 0xe9, 0xeb]) fpu.execute(0xd9, constant);
    const before = [fpu.state.fsw, fpu.state.ftw, fpu.state.significand(0), fpu.state.significand(2)];
    expect(fpu.execute(0xdd, 6 << 3)).toBe(OUTCOME.store);
    expect([fpu.state.fsw, fpu.state.ftw]).toEqual([0, 0]);
    fpu.execute(0xdd, 4 << 3);
    expect([fpu.state.fsw, fpu.state.ftw, fpu.state.significand(0), fpu.state.significand(2)]).toEqual(before);
  }
});

test('FXSAVE keeps the registers in stack order and the abridged tags by number', () => {
  const fpu = reset();
  fpu.execute(0xd9, ONE);
  const area = new DataView(new ArrayBuffer(512));
  writeFxsave(fpu.state, area, 0, true);
  expect(area.getUint8(4)).toBe(0x80);
  expect(area.getBigUint64(32, true)).toBe(1n << 63n);
  expect(area.getUint16(40, true)).toBe(0x3fff);
  const other = reset();
  readFxsave(other.state, area, 0, true);
  expect([other.state.top, other.state.isEmpty(0), other.state.isEmpty(1), other.state.signExponent(0)]).toEqual([
    7,
    false,
    true,
    0x3fff,
  ]);
});

test('MMX takes the registers over and EMMS gives them back empty', () => {
  const fpu = reset();
  fpu.execute(0xd9, ONE);
  fpu.state.enterMmx();
  fpu.state.writeMmx(3, 0x1122334455667788n);
  expect([fpu.state.top, fpu.state.ftw, fpu.state.signExponent(3), fpu.state.significand(7)]).toEqual([
    0,
    0xff,
    0xffff,
    1n << 63n,
  ]);
  fpu.state.leaveMmx();
  expect(fpu.state.fullTags()).toBe(0xffff);
});

test('memory operands: sizes and directions', () => {
  expect(x87Operand(0xdf, 6 << 3)).toEqual({ size: 10, read: false, write: true, valid: true });
  expect(x87Operand(0xdd, 6 << 3, true).size).toBe(94);
  expect(x87Operand(0xd8, 2 << 3)).toEqual({ size: 4, read: true, write: false, valid: true });
  expect(x87Operand(0xd9, 0xc1)).toEqual({ size: 0, read: false, write: false, valid: true });
  expect(x87Operand(0xd9, 1 << 3).valid).toBe(false);
});

test('encodings that do not exist are #UD and change nothing', () => {
  const fpu = reset();
  for (const [opcode, modrm] of [
    [0xd9, 0xd1],
    [0xd9, 0xef],
    [0xda, 0xe8],
    [0xda, 0xf0],
    [0xdb, 0xe5],
    [0xdb, 0xf8],
    [0xdd, 0xf0],
    [0xde, 0xd8],
    [0xdf, 0xe1],
  ] as const) {
    expect(fpu.execute(opcode, modrm)).toBe(OUTCOME.ud);
  }
  expect(fpu.state.fsw).toBe(0);
});
