// Generated x87 code against the exact arithmetic, in both tiers: every bit of the unit, the operand, AX and the flags.
import { describe, expect, test, vi } from 'vitest';
import { DATA_BASE, SELECTOR } from '../../../../test/native/address-map.ts';
import { ARITHMETIC_FLAGS, CpuImage, FXSAVE, IMAGE } from '../../../../test/native/cpu-image.ts';
import { EngineEmulator, type Tier } from '../../../../test/native/engine-emulator.ts';
import { Random } from '../../../../test/native/random.ts';
import { StateGenerator } from '../../../../test/native/state.ts';
import { X87 } from '../../fp/x87.ts';
import { x87Operand } from '../../fp/x87-operand.ts';
import { STATE } from '../../state.ts';
import { hex, type Result, RSI, reference } from './fixtures/reference.ts';
import { makeOrdinary, memoryOperand, settle } from './fixtures/x87-cases.ts';

/** By the tier: a translation is a module. */
const CASES = { interpreted: 1500, translated: 250 };
const SEED = Number(process.env.X87_SEED ?? 1);

function run(emulator: EngineEmulator, state: CpuImage, opcode: number, modrm: number): Result {
  const { cpu } = emulator.engine;
  const { outcome, fault, image } = emulator.run(Uint8Array.of(opcode, modrm), state);
  if (outcome === 'timeout') throw new Error('the engine does not end');
  const at = Number((state.gpr[RSI] as bigint) - BigInt(DATA_BASE));
  return {
    vector: outcome === 'fault' ? (fault?.vector ?? -1) : 0,
    unit: hex(cpu.u8.slice(STATE.fcw, STATE.x87 + 128)),
    ax: Number((image.gpr[0] as bigint) & 0xffffn),
    flags: image.rflags & ARITHMETIC_FLAGS,
    memory: hex(image.data.subarray(at, at + 16)),
  };
}

describe.each<Tier>(['interpreted', 'translated'])('x87 instructions, %s', (tier) => {
  const emulator = new EngineEmulator(tier);
  const state = new CpuImage();

  test.each([0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf])('escape %d: as the exact arithmetic', (opcode) => {
    const random = new Random(SEED * 8 + (opcode & 7));
    const states = new StateGenerator(random, { unmaskOneIn: 8 });
    for (let n = 0; n < CASES[tier]; n++) {
      states.fill(state, 64);
      if (!random.oneIn(4)) makeOrdinary(state, random);
      memoryOperand(state, random);
      settle(state, SELECTOR.data);
      const modrm = random.oneIn(2) ? 0xc0 | random.below(64) : (random.below(8) << 3) | RSI;
      const what = `${opcode.toString(16)} ${modrm.toString(16)}, case ${n} of seed ${SEED}`;
      const expected = reference(state, opcode, modrm);
      expect({ what, ...run(emulator, state, opcode, modrm) }).toEqual({ what, ...expected });
    }
  });

  test('only rare instructions leave generated code when operands are ordinary', () => {
    const helper = vi.spyOn(X87.prototype, 'execute');
    const left: string[] = [];
    state.reset(64);
    state.gpr[RSI] = BigInt(DATA_BASE);
    settle(state, SELECTOR.data);
    // An ordinary number as a float of 4 and of 8 bytes, and as an integer of 2, 4 and 8.
    for (let at = 0; at < 16; at += 4) state.view.setUint32(IMAGE.data + at, 0x3f80_0001, true);
    for (let i = 0; i < 8; i++) {
      state.view.setBigUint64(IMAGE.fxsave + FXSAVE.st + 16 * i, 0xc90f_daa2_2168_c235n, true);
      state.view.setUint16(IMAGE.fxsave + FXSAVE.st + 16 * i + 8, 0x4000 - i, true);
    }
    for (let opcode = 0xd8; opcode <= 0xdf; opcode++) {
      for (let modrm = 0; modrm < 0x100; modrm++) {
        const memory = modrm < 0xc0;
        if (memory ? (modrm & 0xc7) !== RSI : (modrm & 7) === 7 && (opcode !== 0xd9 || modrm < 0xe0)) continue;
        if (!x87Operand(opcode, modrm).valid) continue;
        // ST(7) is empty, for what pushes.
        state.ftw = 0x7f;
        // What was not looked up before is the helper's: once through for each tier's TLB.
        run(emulator, state, 0xd9, 0x3e);
        run(emulator, state, 0xd9, 0x06);
        helper.mockClear();
        run(emulator, state, opcode, modrm);
        if (helper.mock.calls.length > 0) left.push(`${opcode.toString(16)} ${modrm.toString(16)}`);
      }
    }
    helper.mockRestore();
    expect(left).toEqual(RARE);
  });
});

/** Environments, the state whole, decimal numbers, the transcendental functions and their kin, control. */
const RARE = `d9 26,d9 36,d9 f0,d9 f1,d9 f2,d9 f3,d9 f4,d9 f5,d9 f8,d9 f9,d9 fb,d9 fd,d9 fe,d9 ff,\
db e0,db e1,db e2,db e3,db e4,dd 26,dd 36,df 26,df 36`.split(',');
