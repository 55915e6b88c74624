// The glue between generated code and the exact arithmetic: operands, flags, faults. SDM vol. 1, 11.5.
import { beforeEach, describe, expect, test } from 'vitest';
import type { HostAddress } from '../abi/types.ts';
import { GuestMemory, P2M_BYTES } from '../memory/guest-memory.ts';
import { Cpu } from './cpu.ts';
import { type FormName, FP_SLOT, type FpName, operationNumber } from './sem/sse-operation.ts';
import { fpOperation } from './sse-slow.ts';
import { CR4, STATE, VCPU_BYTES, VECTOR } from './state.ts';

const MX = { ie: 1, de: 2, ze: 4, pe: 0x20, reset: 0x1f80, pm: 0x1000, zm: 0x200 } as const;
const DENORMAL = 1e-310;
let cpu: Cpu;

beforeEach(() => {
  const buffer = new SharedArrayBuffer(P2M_BYTES + VCPU_BYTES);
  cpu = new Cpu(new GuestMemory(buffer, 0 as HostAddress), P2M_BYTES as HostAddress);
  cpu.set32(STATE.mxcsr, MX.reset);
  cpu.set32(STATE.cr4, CR4.osfxsr | CR4.osxmmexcpt);
});

function doubles(
  name: FpName,
  form: FormName,
  a: readonly number[],
  b: readonly number[],
): { status: number; result: number[]; mxcsr: number } {
  for (let i = 0; i < 2; i++) {
    cpu.view.setFloat64(FP_SLOT.a + 8 * i, a[i] as number, true);
    cpu.view.setFloat64(FP_SLOT.b + 8 * i, b[i] as number, true);
    cpu.view.setFloat64(FP_SLOT.result + 8 * i, 77, true);
  }
  const status = fpOperation(cpu, operationNumber(name, form));
  return { status, result: [0, 8].map((at) => cpu.view.getFloat64(FP_SLOT.result + at, true)), mxcsr: cpu.get32(STATE.mxcsr) };
}

describe('masked exceptions', () => {
  test('an exact result sets no flag', () => {
    expect(doubles('add', 'pd', [1, 2], [3, -2])).toEqual({ status: 0, result: [4, 0], mxcsr: MX.reset });
  });
  test('an inexact result in one lane sets PE', () => {
    expect(doubles('div', 'pd', [1, 1], [2, 3])).toEqual({ status: 0, result: [0.5, 1 / 3], mxcsr: MX.reset | MX.pe });
  });
  test('a scalar keeps the upper lane of the destination', () => {
    expect(doubles('mul', 'sd', [3, 9], [5, 0])).toEqual({ status: 0, result: [15, 9], mxcsr: MX.reset });
  });
  test('a denormal operand sets DE', () => {
    expect(doubles('add', 'sd', [DENORMAL, 0], [0, 0])).toMatchObject({ result: [DENORMAL, 0], mxcsr: MX.reset | MX.de });
  });
  test('flags are sticky', () => {
    cpu.set32(STATE.mxcsr, MX.reset | MX.ie);
    expect(doubles('sub', 'sd', [3, 0], [1, 0]).mxcsr).toBe(MX.reset | MX.ie);
  });
  test('an exact zero difference is negative when rounding down', () => {
    cpu.set32(STATE.mxcsr, MX.reset | (1 << 13));
    expect(doubles('sub', 'sd', [3, 0], [3, 0]).result[0]).toBe(-0);
  });
});

describe('unmasked exceptions', () => {
  test('raise #XM, set the flag and leave no result', () => {
    cpu.set32(STATE.mxcsr, MX.reset & ~MX.zm);
    expect(doubles('div', 'pd', [1, 1], [1, 0])).toEqual({
      status: 1,
      result: expect.anything(),
      mxcsr: (MX.reset & ~MX.zm) | MX.ze,
    });
    expect([cpu.get32(STATE.faultVector), cpu.get32(STATE.faultError)]).toEqual([VECTOR.xm, 0xffff_ffff]);
  });
  test('are #UD while CR4.OSXMMEXCPT is clear', () => {
    cpu.set32(STATE.cr4, CR4.osfxsr);
    cpu.set32(STATE.mxcsr, MX.reset & ~MX.pm);
    expect(doubles('div', 'sd', [1, 0], [3, 0]).status).toBe(1);
    expect(cpu.get32(STATE.faultVector)).toBe(VECTOR.ud);
  });
  test('an exact result raises nothing', () => {
    cpu.set32(STATE.mxcsr, 0);
    expect(doubles('mul', 'pd', [2, -3], [4, 5])).toEqual({ status: 0, result: [8, -15], mxcsr: 0 });
  });
});

test('conversions to integers answer the indefinite integer and IE', () => {
  const { status, mxcsr } = doubles('truncateInt32', 'sd', [0, 0], [2 ** 31, 0]);
  expect([status, cpu.get64(FP_SLOT.answer), mxcsr]).toEqual([0, 0x8000_0000n, MX.reset | MX.ie]);
});
test('comparisons answer EFLAGS', () => {
  doubles('ucomi', 'sd', [Number.NaN, 0], [1, 0]);
  expect([cpu.get32(FP_SLOT.answer), cpu.get32(STATE.mxcsr)]).toEqual([0x45, MX.reset]);
  doubles('comi', 'sd', [Number.NaN, 0], [1, 0]);
  expect([cpu.get32(FP_SLOT.answer), cpu.get32(STATE.mxcsr)]).toEqual([0x45, MX.reset | MX.ie]);
});
