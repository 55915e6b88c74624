// Regions under watch: what is right passes and leaves the state that it should, what is wrong is found and named.
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { i64 } from '../../wasm/expr.ts';
import { STATE } from '../state.ts';
import { AT, LongModeEngine } from '../translator/fixtures/long-mode-engine.ts';
import { machineCode } from '../translator/fixtures/machine-code.ts';
import { RegisterLocals } from '../translator/register-locals.ts';
import type { SharedPages } from './access-journal.ts';
import { TierMismatch } from './tier-mismatch.ts';

const SUM = machineCode(`
  48 03 06 ; 00 add rax,q[rsi]
  48 83 d2 00 ; 03 adc rdx,0x0
  48 89 47 08 ; 07 mov q[rdi+0x8],rax
  48 83 c6 08 ; 0b add rsi,0x8
  48 ff c1 ; 0f inc rcx
  4c 39 f9 ; 12 cmp rcx,r15
  75 e9 ; 15 jne 0x0
  f4 ; 17 hlt
`);
const CLOCK = machineCode(`
  48 ff c1 ; 00 inc rcx
  0f 31 ; 03 rdtsc
  48 89 07 ; 05 mov q[rdi],rax
  0f c7 f3 ; 08 rdrand ebx
  41 ff cf ; 0b dec r15d
  75 f0 ; 0e jne 0x0
  f4 ; 10 hlt
`);
const COPY = machineCode(`
  b9 00 04 00 00 ; 00 mov ecx,0x400
  f3 48 a5 ; 05 rep movsq
  41 ff cf ; 08 dec r15d
  75 f3 ; 0b jne 0x0
  f4 ; 0d hlt
`);
const SCAN = machineCode(`
  b9 04 00 00 00 ; 00 mov ecx,0x4
  48 be ec 1f 02 00 00 00 00 00 ; 05 movabs rsi,0x21fec
  f3 48 ad ; 0f rep lodsq
  41 ff cf ; 12 dec r15d
  75 e9 ; 15 jne 0x0
  f4 ; 17 hlt
`);
const ROUNDS = 50n;

const alone = (isPrivate: SharedPages['isPrivate'] = () => true): SharedPages => ({
  isPrivate,
  begin: () => false,
  end: () => {},
});

/** Runs the code to its HLT with its first instruction as the head of a region; `ticks` is the clock. */
function watch(code: Uint8Array, shared: SharedPages, ticks = () => 0): LongModeEngine {
  const machine = new LongModeEngine(true, { lockstep: shared, ticks });
  const { engine } = machine;
  const { cpu } = engine;
  const start = () => {
    machine.reset();
    cpu.setGpr(6, BigInt(AT.data));
    cpu.setGpr(7, BigInt(AT.data + 0x8000));
    cpu.setGpr(15, ROUNDS);
  };
  machine.load(code);
  start();
  expect(engine.run(1_000_000)).toBe(EXIT.hlt);
  start();
  cpu.set64(STATE.slowAddress, BigInt(AT.code));
  expect(engine.regions?.translate(BigInt(AT.code), engine.mmu.codeTable(), AT.code & 4095)).toBe(true);
  for (let i = 0; i < 512; i++) machine.memory.writeU32((AT.data + i * 4) as Gpa, i * 0x9e37_79b9);
  expect(engine.run(1_000_000)).toBe(EXIT.hlt);
  return machine;
}

describe('a region under watch', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('leaves what the interpreter leaves, once', () => {
    const { engine, memory } = watch(SUM, alone());
    let sum = 0n;
    for (let i = 0; i < Number(ROUNDS); i++)
      sum += BigInt(memory.readU32((AT.data + i * 8) as Gpa)) | (BigInt(memory.readU32((AT.data + i * 8 + 4) as Gpa)) << 32n);
    expect(engine.gpr(0)).toBe(BigInt.asUintN(64, sum));
    expect(engine.gpr(6)).toBe(BigInt(AT.data) + 8n * ROUNDS);
    expect(engine.lockstep?.counters).toMatchObject({ checked: 1, instructions: 350, givenUp: 0 });
  });

  it('is given the same time and the same random numbers again', () => {
    let now = 0;
    const { engine } = watch(CLOCK, alone(), () => ++now);
    expect(engine.lockstep?.counters.checked).toBeGreaterThan(0);
  });

  it('may write many pages', () => {
    const { engine } = watch(COPY, alone());
    expect(engine.lockstep?.counters.checked).toBeGreaterThan(0);
    expect(engine.gpr(7)).toBe(BigInt(AT.data + 0x8000) + 8192n * ROUNDS);
  });

  it('may be left in the middle of a repeated instruction', () => {
    const { engine } = watch(SCAN, alone());
    // The third element lies in two pages: that is the interpreter's.
    expect(engine.gpr(6)).toBe(BigInt(AT.data + 0x1fec) + 8n * 4n);
    expect(engine.gpr(1)).toBe(0n);
    expect(engine.lockstep?.counters.checked).toBeGreaterThan(0);
  });

  it('does not touch pages that others use: the interpreter does', () => {
    const result = 0x28;
    const asked: number[] = [];
    const first = new LongModeEngine().memory.host((result * 4096) as Gpa);
    const { engine, memory } = watch(
      SUM,
      alone((host) => {
        asked.push(host);
        return host < first || host >= first + 4096;
      }),
    );
    expect(asked).toContain(first + 8);
    expect(memory.readU32((AT.data + 0x8008) as Gpa)).toBe(engine.cpu.gpr32(0));
    expect(engine.lockstep?.counters.instructions).toBeLessThan(150);
  });

  /** The region is wrong in one register. */
  function watchWrong(wrong: number): TierMismatch {
    const { set } = RegisterLocals.prototype;
    vi.spyOn(RegisterLocals.prototype, 'set').mockImplementation(function (this: RegisterLocals, register, size, value, high) {
      set.call(this, register, size, register === wrong && size === 8 ? value.add(i64(1)) : value, high);
    });
    try {
      watch(SUM, alone());
    } catch (error) {
      expect(error).toBeInstanceOf(TierMismatch);
      return error as TierMismatch;
    }
    throw new Error('it was not found');
  }

  it('is stopped where a register is wrong, with a report that names the place and both values', () => {
    const { entry, differences, message } = watchWrong(1);
    expect(entry).toBe(BigInt(AT.code));
    expect(differences.find(({ what }) => what === 'rcx')).toEqual({
      what: 'rcx',
      translated: '0000000000000032',
      interpreted: '0000000000000019',
    });
    expect(message).toContain('translated code at 0000000000012000');
    expect(message).toMatch(/0000000000012000 {2}48 03 06 +add/);
  });

  it('is stopped where memory is wrong', () => {
    const { differences, message } = watchWrong(0);
    expect(message).toContain('guest memory 28008 (was 00000000)');
    const sum = differences.find(({ what }) => what.startsWith('guest memory 28008'));
    expect(Number.parseInt(sum?.translated ?? '', 16) - Number.parseInt(sum?.interpreted ?? '', 16)).toBe(Number(ROUNDS));
  });
});
