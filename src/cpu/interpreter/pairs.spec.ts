// Pairs, repeated tails and links against single steps: stepping takes each instruction's own handler.
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { instructionSet } from '../instruction-set.ts';
import { STATE } from '../state.ts';
import { AT, LongModeEngine } from '../translator/fixtures/long-mode-engine.ts';
import { machineCode } from '../translator/fixtures/machine-code.ts';

const PROGRAM = machineCode(`
  48 89 c3 ; 00 mov rbx,rax
  48 89 d9 ; 03 mov rcx,rbx
  89 ca ; 06 mov edx,ecx
  48 c1 ea 07 ; 08 shr rdx,0x7
  48 0f af d3 ; 0c imul rdx,rbx
  48 0f af d9 ; 10 imul rbx,rcx
  48 89 de ; 14 mov rsi,rbx
  48 01 d6 ; 17 add rsi,rdx
  48 01 f6 ; 1a add rsi,rsi
  48 c1 e6 03 ; 1d shl rsi,0x3
  48 01 c6 ; 21 add rsi,rax
  48 39 c6 ; 24 cmp rsi,rax
  41 0f 92 c0 ; 27 setb r8b
  48 39 d6 ; 2b cmp rsi,rdx
  4c 0f 43 cb ; 2e cmovae r9,rbx
  4c 8d 54 4e 05 ; 32 lea r10,[rsi+rcx*2+0x5]
  4d 89 d3 ; 37 mov r11,r10
  48 83 c0 03 ; 3a add rax,0x3
  48 39 c8 ; 3e cmp rax,rcx
  72 09 ; 41 jb 0x4c
  48 29 c8 ; 43 sub rax,rcx
  85 c0 ; 46 test eax,eax
  78 09 ; 48 js 0x53
  74 07 ; 4a je 0x53
  3c 55 ; 4c cmp al,0x55
  7e 03 ; 4e jle 0x53
  49 ff c4 ; 50 inc r12
  f6 c1 01 ; 53 test cl,0x1
  75 09 ; 56 jne 0x61
  39 d1 ; 58 cmp ecx,edx
  77 05 ; 5a ja 0x61
  49 ff cd ; 5c dec r13
  74 00 ; 5f je 0x61
  e8 2b 00 00 00 ; 61 call 0x91
  50 ; 66 push rax
  53 ; 67 push rbx
  48 89 e7 ; 68 mov rdi,rsp
  48 89 47 c0 ; 6b mov q[rdi-0x40],rax
  48 89 5f c8 ; 6f mov q[rdi-0x38],rbx
  48 8b 77 c0 ; 73 mov rsi,q[rdi-0x40]
  4c 8b 4f c4 ; 77 mov r9,q[rdi-0x3c]
  80 7f c2 07 ; 7b cmp b[rdi-0x3e],0x7
  75 07 ; 7f jne 0x88
  49 11 c6 ; 81 adc r14,rax
  4c 89 77 d0 ; 84 mov q[rdi-0x30],r14
  5b ; 88 pop rbx
  58 ; 89 pop rax
  41 83 ef 01 ; 8a sub r15d,0x1
  75 aa ; 8e jne 0x3a
  f4 ; 90 hlt
  49 89 f0 ; 91 mov r8,rsi
  41 50 ; 94 push r8
  41 58 ; 96 pop r8
  c3 ; 98 ret
`);
const [RAX, RSP, R15] = [0, 4, 15];
/** Enables a breakpoint at an address that nothing reaches: the engine then steps. */
const STEPPED = { dr0: 0x1f_0000n, dr7: 2n };
const PATIENCE = 100_000;

const machine = new LongModeEngine();

function finish(seed: bigint, stepped: boolean, stack: number = AT.stack) {
  machine.load(PROGRAM);
  const { engine, memory } = machine;
  const { cpu } = engine;
  memory.write((AT.stack - 4096) as Gpa, new Uint8Array(4096));
  for (let i = 0; i < 16; i++) cpu.setGpr(i, BigInt.asUintN(64, seed * 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)));
  cpu.setGpr(RSP, BigInt(stack));
  cpu.setGpr(R15, 25n);
  if (stepped) {
    cpu.set64(STATE.dr, STEPPED.dr0);
    cpu.set64(STATE.dr + 7 * 8, STEPPED.dr7);
  }
  const before = engine.retired;
  const exit = engine.run(PATIENCE);
  const bytes = new Uint8Array(4096);
  memory.read((AT.stack - 4096) as Gpa, bytes);
  return {
    exit,
    registers: Array.from({ length: 16 }, (_, i) => cpu.gpr(i).toString(16)),
    rip: engine.rip.toString(16),
    rflags: engine.rflags.toString(16),
    cr2: engine.control('cr2').toString(16),
    memory: Buffer.from(bytes).toString('base64'),
    retired: engine.retired - before,
  };
}

describe('instructions done in pairs', () => {
  it('are what the program is made of', () => {
    const keys = instructionSet().variants.handlers.flatMap(({ pair, key }) => (pair === undefined ? [] : [key]));
    expect(keys.length).toBeGreaterThan(100);
    expect(keys.length).toBeLessThan(300);
  });

  it('leave the same state as one by one', () => {
    for (let seed = 1n; seed <= 20n; seed++) expect(finish(seed, false), `seed ${seed}`).toEqual(finish(seed, true));
    expect(finish(1n, false).exit).toBe(EXIT.hlt);
  });

  it('fault one by one', () => {
    // Each start puts the border of an absent page under another push, call or store of the program. The exception has no
    // stack either, so the guest ends where it came from.
    machine.present(AT.stack - 0x2000, false);
    const ends = new Set<string>();
    for (let slots = 0; slots < 12; slots++) {
      const stack = AT.stack - 0x1000 + slots * 8;
      const end = finish(3n, false, stack);
      expect(end, `${slots} slots`).toEqual(finish(3n, true, stack));
      expect(end.exit === EXIT.shutdown || end.exit === EXIT.hlt).toBe(true);
      ends.add(end.rip);
    }
    machine.present(AT.stack - 0x2000, true);
    expect(ends.size).toBeGreaterThan(4);
  });

  it('see a store to the second of them', () => {
    // mov [rip+1f], al patches the immediate of `cmp al, imm8` before its pair runs again.
    const code = machineCode(`
      b9 03 00 00 00 ; 00 mov ecx,3
      88 05 07 00 00 00 ; 05 mov b[rip+7],al
      48 ff c3 ; 0b inc rbx
      48 89 d8 ; 0e mov rax,rbx
      3c 00 ; 11 cmp al,0
      75 03 ; 13 jne 18
      48 ff c2 ; 15 inc rdx
      ff c9 ; 18 dec ecx
      75 e9 ; 1a jne 05
      f4 ; 1c hlt
    `);
    machine.load(code);
    machine.engine.cpu.setGpr(RAX, 1n);
    expect(machine.engine.run(PATIENCE)).toBe(EXIT.hlt);
    // Rounds compare 1 with 1, 2 with 1, 3 with 2.
    expect(machine.engine.gpr(2)).toBe(1n);
  });
});
