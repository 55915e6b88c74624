// The same loops on the interpreter and translated, over the same state: every register, flag and byte must agree.
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { RUN } from '../interpreter/run-function.ts';
import { FLAG, REQUEST, STATE } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';
import { type TranslatedLoop, translated } from './fixtures/translated-loop.ts';
import { Untranslatable } from './untranslatable.ts';

const ALU = machineCode(`
  48 01 d8 ; 00 add rax,rbx
  48 11 ca ; 03 adc rdx,rcx
  31 c6 ; 06 xor esi,eax
  48 c1 c6 07 ; 08 rol rsi,0x7
  48 69 fe 67 45 23 01 ; 0c imul rdi,rsi,0x1234567
  28 dc ; 13 sub ah,bl
  41 c1 e8 03 ; 15 shr r8d,0x3
  4c 8d 44 b7 05 ; 19 lea r8,[rdi+rsi*4+0x5]
  66 45 19 c1 ; 1e sbb r9w,r8w
  41 fe c2 ; 22 inc r10b
  49 f7 db ; 25 neg r11
  0f 9f c1 ; 28 setg cl
  4c 0f 42 e0 ; 2b cmovb r12,rax
  41 0f cc ; 2f bswap r12d
  0f be ec ; 32 movsx ebp,ah
  41 ff cf ; 35 dec r15d
  75 c6 ; 38 jne 0x0
  f4 ; 3a hlt
`);
const MEMORY = machineCode(`
  48 8b 04 ce ; 00 mov rax,q[rsi+rcx*8]
  48 01 c2 ; 04 add rdx,rax
  48 89 04 cf ; 07 mov q[rdi+rcx*8],rax
  01 94 cf 00 08 00 00 ; 0b add d[rdi+rcx*8+0x800],edx
  0f b6 6c ce 03 ; 12 movzx ebp,b[rsi+rcx*8+0x3]
  40 30 6e 40 ; 17 xor b[rsi+0x40],bpl
  52 ; 1b push rdx
  41 59 ; 1c pop r9
  0f 10 0c ce ; 1e movups xmm1,x[rsi+rcx*8]
  66 0f fe d1 ; 22 paddd xmm2,xmm1
  f0 48 ff 86 80 00 00 00 ; 26 lock inc q[rsi+0x80]
  48 ff c1 ; 2e inc rcx
  4c 39 f9 ; 31 cmp rcx,r15
  72 ca ; 34 jb 0x0
  f4 ; 36 hlt
`);
const BRANCHES = machineCode(`
  48 89 c3 ; 00 mov rbx,rax
  69 c0 6d 4e c6 41 ; 03 imul eax,eax,0x41c64e6d
  05 39 30 00 00 ; 09 add eax,0x3039
  a9 00 00 01 00 ; 0e test eax,0x10000
  74 0d ; 13 je 0x22
  48 ff c1 ; 15 inc rcx
  a9 00 00 02 00 ; 18 test eax,0x20000
  75 10 ; 1d jne 0x2f
  48 ff ca ; 1f dec rdx
  48 83 c6 03 ; 22 add rsi,0x3
  38 d8 ; 26 cmp al,bl
  76 08 ; 28 jbe 0x32
  48 29 c7 ; 2a sub rdi,rax
  eb 03 ; 2d jmp 0x32
  48 31 fe ; 2f xor rsi,rdi
  7a 03 ; 32 jp 0x37
  49 f7 d0 ; 34 not r8
  41 ff cf ; 37 dec r15d
  75 c4 ; 3a jne 0x0
  f4 ; 3c hlt
`);
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
const HELPER = machineCode(`
  0f a2 ; 00 cpuid
  41 ff cf ; 02 dec r15d
  75 f9 ; 05 jne 0x0
  f4 ; 07 hlt
`);
const LEAVE = machineCode(`
  48 83 c0 03 ; 00 add rax,0x3
  48 3d 2c 01 00 00 ; 04 cmp rax,0x12c
  77 06 ; 0a ja 0x12
  41 ff cf ; 0c dec r15d
  75 ef ; 0f jne 0x0
  f4 ; 11 hlt
  bb 07 00 00 00 ; 12 mov ebx,0x7
  f4 ; 17 hlt
`);

const [RAX, RCX, RSI, RDI, R15] = [0, 1, 6, 7, 15];
const PLENTY = 1_000_000;
const RAM_BYTES = 0x60000;

const machine = new LongModeEngine();

interface Setup {
  readonly code: Uint8Array;
  readonly registers?: Readonly<Record<number, bigint>>;
  /** Linear addresses of pages that are not there. */
  readonly absent?: readonly number[];
}

/** Registers that start with bits everywhere, data that differs from byte to byte. */
function start({ code, registers = {}, absent = [] }: Setup): void {
  machine.load(code);
  const { cpu } = machine.engine;
  for (let i = 0; i < 16; i++) if (i !== 4) cpu.setGpr(i, BigInt.asUintN(64, 0x9e37_79b9_7f4a_7c15n * BigInt(i + 1)));
  for (const [register, value] of Object.entries(registers)) cpu.setGpr(Number(register), value);
  cpu.rflags = FLAG.cf | FLAG.pf | FLAG.of | 2;
  for (let i = 0; i < 256; i++) cpu.u8[STATE.xmm + i] = i * 37;
  const data = Uint8Array.from({ length: 0x8000 }, (_, i) => (i * 151 + (i >> 8) * 29) & 0xff);
  machine.memory.write(AT.data as Gpa, data);
  machine.memory.write((AT.stack - 256) as Gpa, new Uint8Array(256));
  for (const page of absent) machine.present(page, false);
}
const restore = ({ absent = [] }: Setup): void => {
  for (const page of absent) machine.present(page, true);
};

/** Everything a guest could see. */
function image() {
  const { engine, memory } = machine;
  const { cpu } = engine;
  const ram = new Uint8Array(RAM_BYTES);
  memory.read(0 as Gpa, ram);
  return {
    registers: Array.from({ length: 16 }, (_, i) => cpu.gpr(i).toString(16)),
    rip: engine.rip.toString(16),
    rflags: engine.rflags.toString(16),
    cr2: engine.control('cr2').toString(16),
    xmm: [...cpu.u8.subarray(STATE.xmm, STATE.xmm + 256)].join(),
    ram: Buffer.from(ram).toString('base64'),
  };
}

/** Runs to HLT on the interpreter alone. */
function interpreted(setup: Setup) {
  start(setup);
  expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
  const end = image();
  restore(setup);
  return end;
}

/** Runs the loop translated; what it leaves, the interpreter finishes: deliver the fault, run to HLT. */
function mixed(setup: Setup) {
  start(setup);
  const loop = translated(machine, 0);
  const { code, left } = loop.run(PLENTY);
  const after = { code, left, rip: Number(machine.engine.rip), gpr: Array.from({ length: 16 }, (_, i) => machine.engine.gpr(i)) };
  expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
  const end = image();
  restore(setup);
  return { ...after, end };
}

describe('a translated loop ends in the state the interpreter ends in', () => {
  it('with arithmetic on registers of all sizes', () => {
    const setup = { code: ALU, registers: { [R15]: 1000n } };
    const { code, left, rip, end } = mixed(setup);
    expect(code).toBe(RUN.poll);
    expect(rip).toBe(AT.code + ALU.length - 1); // on the HLT
    expect(PLENTY - left).toBe(1000 * 17);
    expect(end).toEqual(interpreted(setup));
  });

  it('with loads, stores, a locked increment, the stack and vectors', () => {
    const registers = { [RSI]: BigInt(AT.data), [RDI]: BigInt(AT.data + 0x4000), [RCX]: 0n, [R15]: 700n };
    const setup = { code: MEMORY, registers };
    const { code, end } = mixed(setup);
    expect(code).toBe(RUN.poll);
    expect(end).toEqual(interpreted(setup));
  });

  it('with accesses across a page border', () => {
    const registers = { [RSI]: BigInt(AT.data + 3), [RDI]: BigInt(AT.data + 0x4000 - 5), [RCX]: 0n, [R15]: 1200n };
    const setup = { code: MEMORY, registers };
    expect(mixed(setup).end).toEqual(interpreted(setup));
  });

  it('with branches inside', () => {
    const setup = { code: BRANCHES, registers: { [R15]: 5000n } };
    const { left, end } = mixed(setup);
    expect(end).toEqual(interpreted(setup));
    // Every instruction counts once, whichever way it was reached.
    start(setup);
    const before = machine.engine.retired;
    machine.engine.run(PLENTY);
    expect(PLENTY - left).toBe(machine.engine.retired - before - 1); // HLT
  });

  it('when a branch leaves it', () => {
    const setup = { code: LEAVE, registers: { [RAX]: 0n, [R15]: 1000n } };
    const { rip, end } = mixed(setup);
    expect(rip).toBe(AT.code + LEAVE.indexOf(0xbb));
    expect(end).toEqual(interpreted(setup));
  });
});

describe('a page fault in the middle', () => {
  it('of a read leaves the state before the instruction', () => {
    const registers = { [RSI]: BigInt(AT.data + 0x1000 - 40), [RDI]: BigInt(AT.data + 0x4000), [RCX]: 0n, [R15]: 100n };
    const setup = { code: SUM, registers, absent: [AT.data + 0x1000] };
    const { code, rip, gpr, end } = mixed(setup);
    expect(code).toBe(RUN.fault);
    expect(rip).toBe(AT.code);
    expect(gpr[RCX]).toBe(5n);
    expect(end).toEqual(interpreted(setup));
    expect(end.cr2).toBe((AT.data + 0x1000).toString(16));
    expect(end.rip).toBe((AT.handlers + 14 + 1).toString(16)); // after the HLT of the handler
  });

  it('of a write leaves what came before it in its round', () => {
    const registers = { [RSI]: BigInt(AT.data), [RDI]: BigInt(AT.data + 0x4000 - 0x800 - 0x80), [RCX]: 0n, [R15]: 100n };
    const setup = { code: MEMORY, registers, absent: [AT.data + 0x4000] };
    const { code, rip, gpr, end } = mixed(setup);
    expect(code).toBe(RUN.fault);
    expect(rip).toBe(AT.code + 0x0b);
    expect(gpr[RCX]).toBe(16n);
    expect(end).toEqual(interpreted(setup));
  });
});

describe('the back-edge', () => {
  it('stops where the budget is spent, as the interpreter does', () => {
    const setup = { code: ALU, registers: { [R15]: 1000n } };
    start(setup);
    machine.engine.run(170);
    const expected = image();
    start(setup);
    const { code, left } = translated(machine, 0).run(170);
    expect(code).toBe(RUN.poll);
    expect(left).toBe(0);
    expect(image()).toEqual(expected);
  });

  it('sees a request', () => {
    start({ code: ALU, registers: { [R15]: 1000n } });
    const loop: TranslatedLoop = translated(machine, 0);
    machine.engine.cpu.set32(STATE.request, REQUEST.kick);
    expect(loop.run(PLENTY)).toEqual({ code: RUN.poll, left: PLENTY - 17 });
    expect(machine.engine.rip).toBe(BigInt(AT.code));
  });
});

describe('what cannot be translated', () => {
  it('is refused by the name of what it calls', () => {
    start({ code: HELPER });
    expect(() => translated(machine, 0)).toThrow(new Untranslatable("cpuid calls the computation 'cpuid'"));
  });

  it('is refused when nothing branches back', () => {
    start({ code: ALU });
    expect(() => translated(machine, 3)).toThrow(Untranslatable);
  });
});
