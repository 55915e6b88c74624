// A domain of many vCPUs has engines above 2 GiB of the shared memory, one with much memory has frames there: as i32 negative.
import { describe, expect, it } from 'vitest';
import { EXIT, GPR } from '../vcpu/contract.ts';
import { STATE } from './state.ts';
import { AT, LongModeEngine } from './translator/fixtures/long-mode-engine.ts';

const ROUNDS = 3000;
/** Lies so that the ADD reaches into the next page. */
const START = 4096 - 23;
const CODE = Uint8Array.from([
  ...[0xb9, ROUNDS & 0xff, ROUNDS >> 8, 0, 0], // mov ecx, ROUNDS
  ...[0x51, 0x31, 0xc0, 0x0f, 0xa2, 0x59], // loop: push rcx; xor eax, eax; cpuid; pop rcx
  ...[0x48, 0x8d, 0x05, 0x02, 0, 0, 0], // lea rax, [over]
  ...[0xff, 0xe0], // jmp rax
  ...[0x01, 0x0c, 0x25, ...[AT.data & 0xff, (AT.data >> 8) & 0xff, AT.data >> 16, 0]], // over: add [data], ecx
  ...[0x48, 0xff, 0x04, 0x25, 0xfc, 0x0f, AT.data >> 16, 0], // inc q[data + 0xffc]
  ...[0xff, 0xc9], // dec ecx
  ...[0x75, -34 & 0xff], // jnz loop
  0xf4,
]);
const BELOW = 0x8000_0000;

describe('an engine above 2 GiB', () => {
  it.each([
    ['interpreted', false],
    ['translated', true],
  ] as const)('runs helpers and instructions across pages, %s', (_name, translate) => {
    const m = new LongModeEngine(translate, { below: BELOW });
    const { engine, memory } = m;
    expect(engine.cpu.base).toBeGreaterThan(BELOW);
    m.load(new Uint8Array());
    memory.write((AT.code + START) as never, CODE);
    engine.cpu.rip = BigInt(AT.code + START);
    let exit: number = EXIT.budget;
    for (let i = 0; i < 200 && exit === EXIT.budget; i++) {
      exit = engine.run(1000);
      if (i !== 3 || engine.regions === undefined) continue;
      engine.cpu.set64(STATE.slowAddress, engine.rip);
      expect(engine.regions.translate(engine.rip, engine.mmu.codeTable(), Number(engine.rip & 0xfffn))).toBe(true);
    }
    expect(exit).toBe(EXIT.hlt);
    expect(engine.gpr(GPR.rcx)).toBe(0n);
    expect(memory.readU32(AT.data as never)).toBe((ROUNDS * (ROUNDS + 1)) / 2);
    expect(memory.readU32((AT.data + 0xffc) as never)).toBe(ROUNDS);
    expect(engine.counts.region_instructions > 0).toBe(translate);
  });
});
