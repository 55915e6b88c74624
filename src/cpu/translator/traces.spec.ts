// A region is made of what was seen from its head, not of everything that was ever run near it.
import { expect, it } from 'vitest';
import { EXIT } from '../../vcpu/contract.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';

/** A loop of nine instructions. The four at 1b are run in the first of R15 turns and once in each 65,536 after it. */
const SELDOM = machineCode(`
  48 ff c0 ; 00 inc rax
  48 01 c2 ; 03 add rdx,rax
  66 45 85 ff ; 06 test r15w,r15w
  74 0f ; 0a je 0x1b
  48 c1 c2 05 ; 0c rol rdx,0x5
  48 31 c1 ; 10 xor rcx,rax
  41 ff cf ; 13 dec r15d
  75 e8 ; 16 jne 0x0
  f4 ; 18 hlt
  66 90 ; 19 nop
  48 ff c3 ; 1b inc rbx
  48 31 da ; 1e xor rdx,rbx
  48 ff c6 ; 21 inc rsi
  eb e6 ; 24 jmp 0xc
`);
/** Through a table of two addresses, at RDI, in turns. */
const INDIRECT = machineCode(`
  89 c1 ; 00 mov ecx,eax
  83 e1 01 ; 02 and ecx,0x1
  ff c0 ; 05 inc eax
  ff 24 cf ; 07 jmp q[rdi+rcx*8]
  48 ff c3 ; 0a inc rbx
  eb 03 ; 0d jmp 0x12
  48 ff c2 ; 0f inc rdx
  41 ff cf ; 12 dec r15d
  75 e9 ; 15 jne 0x0
  f4 ; 17 hlt
`);
const [RAX, RCX, RDX, RBX, RSI, RDI, R15] = [0, 1, 2, 3, 6, 7, 15];

function run(translate: boolean, code: Uint8Array, turns: number, budget = 50_000_000) {
  const machine = new LongModeEngine(translate);
  machine.load(code);
  const { cpu } = machine.engine;
  for (const register of [RAX, RCX, RDX, RBX, RSI]) cpu.setGpr(register, 0n);
  cpu.setGpr(RDI, BigInt(AT.data));
  cpu.setGpr(R15, BigInt(turns));
  const table = new BigUint64Array([BigInt(AT.code + 0x0a), BigInt(AT.code + 0x0f)]);
  machine.memory.write(AT.data as never, new Uint8Array(table.buffer));
  while (machine.engine.run(budget) !== EXIT.hlt);
  const registers = [RAX, RCX, RDX, RBX, RSI, RDI, R15].map((register) => cpu.gpr(register));
  return { counters: machine.engine.regions?.counters, registers, retired: machine.engine.retired };
}

/** One region of so many instructions is made, and the guest cannot tell. */
function expectRegion(instructions: number, code: Uint8Array, turns: number, budget?: number): void {
  const translated = run(true, code, turns, budget);
  expect(translated.counters).toMatchObject({ translated: 1, instructions });
  const { registers, retired } = run(false, code, turns);
  expect(translated).toMatchObject({ registers, retired });
}

it('leaves out what is seldom run, and the interpreter does that', () => expectRegion(8, SELDOM, 0x30_0000));

it('knows where an indirect jump goes when the region is first made', () => expectRegion(9, INDIRECT, 0x10_0000));

it('is made of whatever was run where budgets are too small for a trace', () => expectRegion(13, SELDOM, 0x10_0000, 500));
