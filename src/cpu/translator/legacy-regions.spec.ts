// Regions of 16- and 32-bit code: what they are made for, and that they are left to the interpreter where it does not hold.
import { beforeEach, describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { SEGMENT, STATE, VECTOR } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';
import type { Regions } from './regions.ts';

const [RAX, RCX, RBX, RSP, RSI] = [0, 1, 3, 4, 6];
const PLENTY = 100_000;
const HLT_BYTES = 1;
const CODE32 = 0xc09b;
const CODE16 = 0x009b;
const DATA = 0xc093;
const NOT_ENTERED = 2;

const machine = new LongModeEngine();
const { engine, memory } = machine;
const { cpu, mmu } = engine;
const regions = engine.regions as Regions;

/** Adds up the doublewords from [ESI + 4 × ECX] down, pushing each sum. */
const SUM = machineCode(`
  03 04 8e ; 00 add eax,d[esi+ecx*4]
  50 ; 03 push eax
  5b ; 04 pop ebx
  49 ; 05 dec ecx
  75 f8 ; 06 jne 0x0
  f4 ; 08 hlt
`);
/** The same in 16-bit code, at [SI], with a loop count in CX. */
const SUM16 = machineCode(`
  03 04 ; 00 add ax,w[si]
  50 ; 02 push ax
  5b ; 03 pop bx
  e2 fa ; 04 loop 0x0
  f4 ; 06 hlt
`);

/** From the start of the code. What is there already is not written again, which would drop what was made of it. */
function start(code: Uint8Array, attributes: number, base = 0): void {
  machine.reset();
  const there = new Uint8Array(code.length);
  memory.read(AT.code as Gpa, there);
  if (!there.every((byte, i) => byte === code[i])) memory.write(AT.code as Gpa, code);
  cpu.setSegment(SEGMENT.cs, 8, attributes, attributes === CODE16 ? 0xffff : 0xffff_ffff, BigInt(base));
  engine.rip = BigInt(AT.code - base);
  cpu.setGpr(RCX, 100n);
  cpu.setGpr(RSI, BigInt(AT.data));
  cpu.updateMode();
}
/** Translates what begins at AT.code, after it was run once. */
function translate(prepare: () => void): void {
  prepare();
  expect(engine.run(PLENTY)).toBe(EXIT.hlt);
  prepare();
  cpu.set64(STATE.slowAddress, BigInt(AT.code));
  expect(regions.translate(BigInt(AT.code), mmu.codeTable(), AT.code & 4095)).toBe(true);
}
function runsTranslated(): boolean {
  cpu.set32(STATE.codeDropped, NOT_ENTERED);
  expect(engine.run(PLENTY)).toBe(EXIT.hlt);
  return cpu.get32(STATE.codeDropped) !== NOT_ENTERED;
}

beforeEach(() => {
  const words = new Uint32Array(1024).map((_, i) => i * 3);
  memory.write(AT.data as Gpa, new Uint8Array(words.buffer));
});

describe('a region of 32-bit code', () => {
  const flat = () => start(SUM, CODE32);
  const sum = 3n * 5050n;

  it('does what the interpreter does', () => {
    translate(flat);
    expect(runsTranslated()).toBe(true);
    expect([engine.gpr(RAX), engine.gpr(RBX), engine.gpr(RSP)]).toEqual([sum, sum, BigInt(AT.stack)]);
  });

  it('is not entered when a segment has another base, and the interpreter adds it', () => {
    translate(flat);
    cpu.setSegment(SEGMENT.ds, 16, DATA, 0xffff_ffff, 4n);
    expect(runsTranslated()).toBe(false);
    expect(engine.gpr(RAX)).toBe(sum + 300n);
  });

  it('adds a base and keeps a limit that it was made for', () => {
    const limited = () => {
      flat();
      // Room for the elements up to number 50.
      cpu.setSegment(SEGMENT.ds, 16, DATA & ~0x8000, AT.data + 51 * 4 - 1 - 8, 8n);
      cpu.setGpr(RCX, 48n);
    };
    translate(limited);
    expect(runsTranslated()).toBe(true);
    expect(engine.gpr(RAX)).toBe(3n * ((50n * 51n) / 2n - 3n));
    limited();
    cpu.setGpr(RCX, 60n);
    expect(runsTranslated()).toBe(true);
    expect(engine.rip).toBe(BigInt(AT.handlers + VECTOR.gp + HLT_BYTES));
  });

  it('wraps addresses around at 4 GiB', () => {
    const wrapping = () => {
      flat();
      cpu.setSegment(SEGMENT.ds, 16, DATA, 0xffff_ffff, 0xffff_f000n);
      cpu.setGpr(RSI, BigInt(AT.data + 0x1000));
    };
    translate(wrapping);
    expect(runsTranslated()).toBe(true);
    expect(engine.gpr(RAX)).toBe(sum);
  });

  it('has a stack pointer as wide as SS says', () => {
    const narrow = () => {
      flat();
      cpu.setSegment(SEGMENT.ss, 16, 0x93, 0xffff, BigInt(AT.stack));
      cpu.setGpr(RSP, 0x1234_0000n);
      cpu.updateMode();
    };
    translate(narrow);
    expect(runsTranslated()).toBe(true);
    expect(engine.gpr(RSP)).toBe(0x1234_0000n);
    flat();
    expect(runsTranslated()).toBe(false);
    expect(engine.gpr(RAX)).toBe(sum);
  });
});

describe('a region of 16-bit code', () => {
  const real = () => {
    start(SUM16, CODE16, AT.code & ~0xffff);
    cpu.setSegment(SEGMENT.ds, 16, 0x93, 0xffff, BigInt(AT.data));
    cpu.setSegment(SEGMENT.ss, 16, 0x93, 0xffff, 0n);
    cpu.setGpr(RSI, 8n);
    cpu.setGpr(RSP, BigInt(AT.stack - 16));
    cpu.updateMode();
  };

  it('counts from the base of CS, and does what the interpreter does', () => {
    translate(real);
    expect(runsTranslated()).toBe(true);
    expect([engine.gpr(RAX), engine.gpr(RBX), engine.gpr(RCX)]).toEqual([600n, 600n, 0n]);
  });

  it('is not entered when its code does not lie within CS', () => {
    translate(real);
    cpu.setSegment(SEGMENT.cs, 8, CODE16, (AT.code & 0xffff) + SUM16.length - 2, BigInt(AT.code & ~0xffff));
    cpu.set32(STATE.codeDropped, NOT_ENTERED);
    engine.run(PLENTY);
    expect(cpu.get32(STATE.codeDropped)).toBe(NOT_ENTERED);
    expect(engine.rip).toBe(BigInt(AT.handlers + VECTOR.gp + HLT_BYTES));
  });
});
