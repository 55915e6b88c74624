import { describe, expect, it } from 'vitest';
import { DATA_BASE } from './address-map.ts';
import type { Undefined } from './compare.ts';
import { agree, describeDifference, differences } from './compare.ts';
import type { CpuResult, Emulator } from './cpu-image.ts';
import { CpuImage, FLAG } from './cpu-image.ts';
import { compareCpus } from './fuzz-cpu.ts';
import { NativeCpu } from './oracle.ts';
import { Random } from './random.ts';
import { StateGenerator } from './state.ts';

const before = new CpuImage();
new StateGenerator(new Random(3)).fill(before, 64);
const resultWith = (change: (image: CpuImage) => void): CpuResult => {
  const image = before.clone();
  change(image);
  return { outcome: 'done', image };
};
const same = resultWith(() => undefined);
const fault = (vector: number, errorCode: number, cr2: bigint): CpuResult => ({
  outcome: 'fault',
  fault: { vector, errorCode, cr2 },
  image: before,
});

describe('comparison of two results', () => {
  it.each<readonly [string, (image: CpuImage) => void]>([
    [
      'rip',
      (image) => {
        image.rip += 1n;
      },
    ],
    [
      'rflags',
      (image) => {
        image.rflags ^= FLAG.cf;
      },
    ],
    [
      'rbx',
      (image) => {
        image.gpr[3]! ^= 1n << 63n;
      },
    ],
    [
      'es',
      (image) => {
        image.selectors[0]! ^= 8;
      },
    ],
    [
      'gsBase',
      (image) => {
        image.gsBase = 1n;
      },
    ],
    [
      'fsw',
      (image) => {
        image.fsw ^= 0x4000;
      },
    ],
    [
      'ftw',
      (image) => {
        image.ftw ^= 1;
      },
    ],
    [
      'mxcsr',
      (image) => {
        image.mxcsr ^= 1;
      },
    ],
    [
      'st7',
      (image) => {
        image.fxsave[32 + 7 * 16 + 9]! ^= 0x80;
      },
    ],
    [
      'xmm15',
      (image) => {
        image.xmm[31]! ^= 1n;
      },
    ],
    [
      `[${(DATA_BASE + 0x1fff).toString(16)}]`,
      (image) => {
        image.data[0x1fff]! ^= 1;
      },
    ],
  ])('finds a difference in %s and nowhere else', (what, change) => {
    const other = resultWith(change);
    expect(agree(same, other)).toBe(false);
    expect(differences(before, same, other).map((difference) => difference.what)).toEqual([what]);
  });

  it('finds none where there is none', () => {
    expect(
      agree(
        same,
        resultWith(() => undefined),
      ),
    ).toBe(true);
    expect(
      differences(
        before,
        same,
        resultWith(() => undefined),
      ),
    ).toEqual([]);
  });

  it.each<readonly [string, Undefined, (image: CpuImage) => void]>([
    [
      'flags',
      { flags: FLAG.af },
      (image) => {
        image.rflags ^= FLAG.af;
      },
    ],
    [
      'registers',
      { gprs: 1 << 9 },
      (image) => {
        image.gpr[9]! ^= 5n;
      },
    ],
    [
      'condition codes',
      { fsw: 0x4700 },
      (image) => {
        image.fsw ^= 0x0300;
      },
    ],
  ])('lets undefined %s differ', (_, undefinedState, change) => {
    const other = resultWith(change);
    expect([agree(same, other), agree(same, other, undefinedState)]).toEqual([false, true]);
    expect(differences(before, same, other, undefinedState)).toEqual([]);
  });

  it('compares faults, but not the P bit of one at a kernel address', () => {
    expect(agree(fault(14, 4, 5n), fault(14, 4, 5n))).toBe(true);
    expect(agree(fault(14, 4, 5n), fault(14, 4, 6n))).toBe(false);
    expect(agree(fault(14, 5, 5n), fault(14, 4, 5n))).toBe(false);
    expect(agree(fault(13, 0, 0n), same)).toBe(false);
    expect(agree(fault(14, 5, 0xffff_8000_0000_0000n), fault(14, 4, 0xffff_8000_0000_0000n))).toBe(true);
    expect(agree(fault(14, 5, 0xffff_8000_0000_0000n), fault(14, 6, 0xffff_8000_0000_0000n))).toBe(false);
  });

  it('describes a difference with its code and disassembly', () => {
    const other = resultWith((image) => {
      image.gpr[0] = 0x1234n;
    });
    const text = describeDifference(
      { code: Uint8Array.of(0x48, 0x01, 0xc8), state: before },
      differences(before, same, other),
      'add',
    );
    expect(text).toMatch(/^add: 64-bit 48 01 c8\n {2}10000800 {2}add rax,rcx\n/);
    expect(text).toMatch(/\n {2}rax +[0-9a-f]{16} +[0-9a-f]{16} +0000000000001234\nfrom\n/);
  });
});

const cpu = NativeCpu.open();
describe.skipIf(!(cpu instanceof NativeCpu))('compareCpus', () => {
  /** An "emulator" of INC EAX that forgets that CF stays as it is. */
  const forgetful: Emulator = {
    run(code, state) {
      const image = state.clone();
      const old = image.gpr32[0]!;
      image.gpr[0] = BigInt((old + 1) >>> 0);
      const low = image.gpr32[0]!;
      let flags = 0;
      if (low === 0) flags |= FLAG.zf | FLAG.cf;
      if (low >>> 31) flags |= FLAG.sf;
      if (low === 0x8000_0000) flags |= FLAG.of;
      if ((low & 15) === 0) flags |= FLAG.af;
      let parity = low & 0xff;
      parity ^= parity >> 4;
      parity ^= parity >> 2;
      if (((parity ^ (parity >> 1)) & 1) === 0) flags |= FLAG.pf;
      image.rflags = (image.rflags & ~0x8d5) | flags;
      image.rip += BigInt(code.length);
      return { outcome: 'done', image };
    },
  };

  it('finds a wrong flag, and nothing when that flag is called undefined', () => {
    const fuzz = (flags: number) =>
      compareCpus({
        native: cpu as NativeCpu,
        emulator: forgetful,
        seed: 11,
        count: 600,
        next: () => ({ name: 'inc', mode: 64, code: Uint8Array.of(0xff, 0xc0), undefinedState: { flags } }),
      });
    const wrong = fuzz(0);
    expect(wrong.differing.get('inc')).toBeGreaterThan(200);
    expect(wrong.descriptions).toHaveLength(1);
    expect(wrong.descriptions[0]).toMatch(/^inc, case \d+ of seed 11: 64-bit ff c0\n.*inc eax\n.*\n {2}rflags/);
    expect(fuzz(FLAG.cf)).toMatchObject({
      tested: 600,
      descriptions: [],
      differing: new Map(),
      outcomes: new Map([['done', 600]]),
    });
  });
});
