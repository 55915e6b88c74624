// The same code on the interpreter and translated, over the same state: every register, flag and byte must agree.
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { FLAG, REQUEST, STATE } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';
import { MOST_REGIONS, OLDEST_REGIONS, type Regions } from './regions.ts';

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
  48 ff c6 ; 00 inc rsi
  0f a2 ; 03 cpuid
  41 ff cf ; 05 dec r15d
  75 f6 ; 08 jne 0x0
  f4 ; 0a hlt
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

/** A loop that calls two functions, one of which calls the other. */
const CALLS = machineCode(`
  48 89 c3 ; 00 mov rbx,rax
  e8 0d 00 00 00 ; 03 call 0x15
  48 01 c2 ; 08 add rdx,rax
  e8 12 00 00 00 ; 0b call 0x22
  41 ff cf ; 10 dec r15d
  75 eb ; 13 jne 0x0
  48 83 c0 05 ; 15 add rax,5
  e8 04 00 00 00 ; 19 call 0x22
  48 31 d0 ; 1e xor rax,rdx
  c3 ; 21 ret
  48 d1 c0 ; 22 rol rax,1
  45 85 ff ; 25 test r15d,r15d
  74 01 ; 28 je 0x2b
  c3 ; 2a ret
  f4 ; 2b hlt
`);
const CALLEE = 0x15;
const NESTED = machineCode(`
  b9 0a 00 00 00 ; 00 mov ecx,0xa
  90 ; 05 nop
  48 01 c8 ; 06 add rax,rcx
  48 0f af d0 ; 09 imul rdx,rax
  ff c9 ; 0d dec ecx
  75 f5 ; 0f jne 0x6
  48 85 d2 ; 11 test rdx,rdx
  78 03 ; 14 js 0x19
  48 ff c3 ; 16 inc rbx
  41 ff cf ; 19 dec r15d
  75 e2 ; 1c jne 0x0
  f4 ; 1e hlt
`);
/** Each round enters the loop between 8 and 0x12 at one of two places. */
const IRREDUCIBLE = machineCode(`
  a8 01 ; 00 test al,1
  b9 03 00 00 00 ; 02 mov ecx,3
  75 04 ; 07 jne 0xd
  48 83 c0 07 ; 09 add rax,7
  48 d1 c0 ; 0d rol rax,1
  ff c9 ; 10 dec ecx
  75 f5 ; 12 jne 0x9
  41 ff cf ; 14 dec r15d
  75 e7 ; 17 jne 0x0
  f4 ; 19 hlt
`);
/** Every other round the callee returns three bytes further on. */
const RETURNS = machineCode(`
  e8 08 00 00 00 ; 00 call 0xd
  48 ff c0 ; 05 inc rax
  41 ff cf ; 08 dec r15d
  75 f3 ; 0b jne 0x0
  45 85 ff ; 0d test r15d,r15d
  74 0c ; 10 je 0x1e
  41 f6 c7 01 ; 12 test r15b,1
  74 05 ; 16 je 0x1d
  48 83 04 24 03 ; 18 add q[rsp],3
  c3 ; 1d ret
  f4 ; 1e hlt
`);
const COMPUTED = machineCode(`
  48 8d 1d 14 00 00 00 ; 00 lea rbx,[rip+0x14]
  89 c1 ; 07 mov ecx,eax
  83 e1 01 ; 09 and ecx,1
  48 8d 0c 49 ; 0c lea rcx,[rcx+rcx*2]
  48 01 cb ; 10 add rbx,rcx
  48 05 35 01 00 00 ; 13 add rax,0x135
  ff e3 ; 19 jmp rbx
  48 ff c2 ; 1b inc rdx
  41 ff cf ; 1e dec r15d
  75 dd ; 21 jne 0x0
  f4 ; 23 hlt
`);
/** Changes the constant of its first instruction every 50th round. */
const PATCHES = machineCode(`
  48 83 c0 01 ; 00 add rax,1
  48 01 c2 ; 04 add rdx,rax
  41 f6 c7 3f ; 07 test r15b,0x3f
  75 02 ; 0b jne 0xf
  fe 07 ; 0d inc b[rdi]
  41 ff cf ; 0f dec r15d
  75 ec ; 12 jne 0x0
  f4 ; 14 hlt
`);
/** F(200), which calls G, which calls F with one less. */
const RECURSIVE = machineCode(`
  b9 c8 00 00 00 ; 00 mov ecx,0xc8
  e8 06 00 00 00 ; 05 call 0x10
  41 ff cf ; 0a dec r15d
  75 f1 ; 0d jne 0x0
  f4 ; 0f hlt
  48 ff c0 ; 10 inc rax
  ff c9 ; 13 dec ecx
  74 09 ; 15 je 0x20
  51 ; 17 push rcx
  e8 04 00 00 00 ; 18 call 0x21
  59 ; 1d pop rcx
  01 ca ; 1e add edx,ecx
  c3 ; 20 ret
  48 d1 c0 ; 21 rol rax,1
  e8 e7 ff ff ff ; 24 call 0x10
  48 01 c2 ; 29 add rdx,rax
  c3 ; 2c ret
`);
/** A function that calls itself 20 times and then, more or less every other time, goes back to the first caller at once. */
const UNWINDING = machineCode(`
  48 89 e5 ; 00 mov rbp,rsp
  b9 14 00 00 00 ; 03 mov ecx,0x14
  e8 06 00 00 00 ; 08 call 0x13
  41 ff cf ; 0d dec r15d
  75 ee ; 10 jne 0x0
  f4 ; 12 hlt
  48 ff c0 ; 13 inc rax
  ff c9 ; 16 dec ecx
  74 08 ; 18 je 0x22
  e8 f4 ff ff ff ; 1a call 0x13
  48 ff c2 ; 1f inc rdx
  a8 20 ; 22 test al,0x20
  74 05 ; 24 je 0x2b
  48 89 ec ; 26 mov rsp,rbp
  eb e2 ; 29 jmp 0xd
  c3 ; 2b ret
`);
/** Jumps between RCX and RBX, which is RSI from half way on. */
const CHANGING = machineCode(`
  48 ff c0 ; 00 inc rax
  41 ff cf ; 03 dec r15d
  74 02 ; 06 je 0xa
  ff e3 ; 08 jmp rbx
  f4 ; 0a hlt
  48 ff c2 ; 0b inc rdx
  41 81 ff 10 27 00 00 ; 0e cmp r15d,0x2710
  48 0f 42 de ; 15 cmovb rbx,rsi
  ff e1 ; 19 jmp rcx
  48 83 c2 05 ; 1b add rdx,5
  ff e1 ; 1f jmp rcx
`);
/** A callee that changes the caller's first instruction in every 64th round. */
const PATCHING_CALLEE = machineCode(`
  48 83 c0 01 ; 00 add rax,1
  ff d3 ; 04 call rbx
  41 ff cf ; 06 dec r15d
  75 f5 ; 09 jne 0x0
  f4 ; 0b hlt
  48 01 c2 ; 0c add rdx,rax
  41 f6 c7 3f ; 0f test r15b,0x3f
  75 02 ; 13 jne 0x17
  fe 07 ; 15 inc b[rdi]
  c3 ; 17 ret
`);
/** Two jumps to each other, for ever. */
const PING_PONG = machineCode(`
  48 ff c0 ; 00 inc rax
  ff e3 ; 03 jmp rbx
  48 ff c2 ; 05 inc rdx
  ff e1 ; 08 jmp rcx
`);
/** RAX: its own address; RBX: what is at an address relative to it. */
const POSITION = machineCode(`
  48 8d 05 f9 ff ff ff ; 00 lea rax,[rip-7]
  48 8b 1d 02 00 00 00 ; 07 mov rbx,q[rip+2]
  e8 00 00 00 00 ; 0e call 0x13
  59 ; 13 pop rcx
  41 ff cf ; 14 dec r15d
  75 e7 ; 17 jne 0x0
  f4 ; 19 hlt
`);

const [RAX, RCX, RDX, RBX, RSI, RDI, R15] = [0, 1, 2, 3, 6, 7, 15];
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
/** Registers for CHANGING. */
const between = (rounds: number) => ({
  [RCX]: BigInt(AT.code),
  [RBX]: BigInt(AT.code + 0x0b),
  [RSI]: BigInt(AT.code + 0x1b),
  [R15]: BigInt(rounds),
});
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

const regions = machine.engine.regions as Regions;

/** Translates what is at an offset of the machine's code page; what ran there before counts as run. */
function translate(offset = 0): void {
  const { engine } = machine;
  const linear = BigInt(AT.code + offset);
  engine.cpu.set64(STATE.slowAddress, linear);
  const table = engine.mmu.codeTable();
  expect(regions.translate(linear, table, offset)).toBe(true);
}

/** Runs to HLT on the interpreter alone. */
function interpreted(setup: Setup) {
  start(setup);
  const before = machine.engine.retired;
  expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
  const end = { ...image(), retired: machine.engine.retired - before };
  restore(setup);
  return end;
}

/** The same with a region at each of these offsets, once the interpreter has been there. */
function translated(setup: Setup, ...heads: readonly number[]) {
  start(setup);
  machine.engine.run(1000);
  for (const head of heads.length === 0 ? [0] : heads) translate(head);
  start({ ...setup, code: new Uint8Array() });
  const { engine } = machine;
  const before = engine.retired;
  engine.cpu.set32(STATE.codeDropped, 1);
  expect(engine.run(PLENTY)).toBe(EXIT.hlt);
  expect(engine.cpu.get32(STATE.codeDropped)).toBe(0); // a region was entered
  const end = { ...image(), retired: engine.retired - before };
  restore(setup);
  return end;
}

/** Data at AT.data and 0x4000 behind it, counters at 0 and `rounds`. */
const arrays = (rounds: number, source = 0, target = 0) => ({
  [RSI]: BigInt(AT.data + source),
  [RDI]: BigInt(AT.data + 0x4000 + target),
  [RCX]: 0n,
  [R15]: BigInt(rounds),
});

describe('a translated region ends in the state the interpreter ends in', () => {
  it.each<[string, Setup, ...number[]]>([
    ['arithmetic on registers of all sizes', { code: ALU, registers: { [R15]: 1000n } }],
    ['loads, stores, a locked increment, the stack and vectors', { code: MEMORY, registers: arrays(700) }],
    ['accesses across a page border', { code: MEMORY, registers: arrays(1200, 3, -5) }],
    ['branches inside', { code: BRANCHES, registers: { [R15]: 5000n } }],
    ['a branch that leaves it', { code: LEAVE, registers: { [RAX]: 0n, [R15]: 1000n } }],
    ['an instruction that only the interpreter has', { code: HELPER, registers: { [R15]: 100n } }],
    ['calls and returns', { code: CALLS, registers: { [R15]: 800n } }],
    ['a loop in a loop', { code: NESTED, registers: { [R15]: 200n } }],
    ['a way into the middle of a loop', { code: IRREDUCIBLE, registers: { [R15]: 900n } }],
    ['a return to somewhere else', { code: RETURNS, registers: { [R15]: 300n } }],
    ['a computed jump', { code: COMPUTED, registers: { [R15]: 600n } }],
    ['functions that call each other deeper than a region goes', { code: RECURSIVE, registers: { [R15]: 20n } }],
    ['such functions as regions of their own', { code: RECURSIVE, registers: { [R15]: 20n } }, 0x10, 0x21, 0],
    ['returns that leave out their callers', { code: UNWINDING, registers: { [R15]: 300n } }],
    ['an indirect jump that changes its target', { code: CHANGING, registers: between(20_000) }, 0, 0x0b],
    ['several regions that lead to each other', { code: CALLS, registers: { [R15]: 800n } }, 0, CALLEE],
    ['a region in the middle of a loop', { code: NESTED, registers: { [R15]: 200n } }, 6, 0],
  ])('with %s', (_, setup, ...heads) => {
    expect(translated(setup, ...heads)).toEqual(interpreted(setup));
  });

  it('with a page fault of a read', () => {
    const setup = { code: SUM, registers: arrays(100, 0x1000 - 40), absent: [AT.data + 0x1000] };
    const expected = interpreted(setup);
    expect(expected.cr2).toBe((AT.data + 0x1000).toString(16));
    // What ran before has to get as far as the loop once.
    expect(translated(setup)).toEqual(expected);
  });

  it('with a page fault of a write', () => {
    const setup = { code: MEMORY, registers: arrays(100, 0, -0x880), absent: [AT.data + 0x4000] };
    expect(translated(setup)).toEqual(interpreted(setup));
  });

  it('with code that changes itself', () => {
    const setup = { code: PATCHES, registers: { [RDI]: BigInt(AT.code + 3), [R15]: 200n } };
    const expected = interpreted(setup);
    start(setup);
    machine.engine.run(3);
    translate();
    expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
    expect(image()).toEqual({ ...expected, retired: undefined });
  });
});

describe('a chain of regions', () => {
  /** PING_PONG as two regions, counted from here. */
  const pingPong = () => {
    start({ code: PING_PONG, registers: { [RBX]: BigInt(AT.code + 5), [RCX]: BigInt(AT.code) } });
    const { engine } = machine;
    engine.run(40);
    translate(0);
    translate(5);
    const [rax, rdx, retired] = [engine.gpr(RAX), engine.gpr(RDX), engine.retired];
    return () => [Number(engine.gpr(RAX) - rax + engine.gpr(RDX) - rdx), engine.retired - retired] as const;
  };

  it('ends when the budget is spent, and every instruction is counted', () => {
    const progress = pingPong();
    for (let turn = 1; turn <= 50; turn++) {
      expect(machine.engine.run(1000)).toBe(EXIT.budget);
      const [jumps, retired] = progress();
      expect(retired).toBe(2 * jumps);
      expect(retired - 1000 * turn).toBeLessThan(4 * turn);
    }
  });

  it('sees a request', () => {
    const progress = pingPong();
    machine.engine.cpu.set32(STATE.request, REQUEST.kick);
    expect(machine.engine.run(PLENTY)).toBe(EXIT.budget);
    expect(progress()[1]).toBeLessThan(5);
  });

  it('becomes one region when it is known where the jumps go', () => {
    pingPong();
    const { translated, dropped } = regions.counters;
    machine.engine.run(500_000);
    expect(regions.counters.translated - translated).toBeGreaterThan(0);
    expect(regions.counters.dropped - dropped).toBe(regions.counters.translated - translated);
  });

  it('goes on in the interpreter when its code is dropped on the way', () => {
    const registers = { [RBX]: BigInt(AT.code + 0x0c), [RDI]: BigInt(AT.code + 3), [R15]: 1000n };
    const setup = { code: PATCHING_CALLEE, registers };
    const expected = interpreted(setup);
    start(setup);
    machine.engine.run(20);
    translate(0);
    translate(0x0c);
    const { dropped } = regions.counters;
    expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
    expect(image()).toEqual({ ...expected, retired: undefined });
    expect(regions.counters.dropped).toBeGreaterThan(dropped);
  });
});

describe('a region', () => {
  it('comes to be where regions lead to', () => {
    // The callee alone is a region at first: its caller is found by the returns.
    start({ code: CALLS, registers: { [R15]: 1_000_000n } });
    machine.engine.run(60);
    translate(CALLEE);
    const { translated } = regions.counters;
    // Fewer slices than make code hot.
    machine.engine.run(1_400_000);
    expect(regions.counters.translated).toBeGreaterThan(translated);
  });

  it('stops at the head of a loop when the budget is spent, and goes on', () => {
    const setup = { code: ALU, registers: { [R15]: 1000n } };
    const expected = interpreted(setup);
    start(setup);
    machine.engine.run(40);
    translate();
    start({ ...setup, code: new Uint8Array() });
    for (let turn = 1; turn <= 9; turn++) {
      expect(machine.engine.run(170)).toBe(EXIT.budget);
      expect(machine.engine.rip).toBe(BigInt(AT.code));
      expect(machine.engine.gpr(R15)).toBe(BigInt(1000 - 10 * turn));
    }
    expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
    expect(image()).toEqual({ ...expected, retired: undefined });
  });

  it('sees a request', () => {
    start({ code: ALU, registers: { [R15]: 1000n } });
    machine.engine.run(40);
    translate();
    machine.engine.cpu.set32(STATE.request, REQUEST.kick);
    const before = machine.engine.retired;
    expect(machine.engine.run(PLENTY)).toBe(EXIT.budget);
    expect(machine.engine.retired - before).toBeLessThan(2 * 17);
  });

  it('is forgotten when its code is written', () => {
    start({ code: ALU, registers: { [R15]: 1000n } });
    machine.engine.run(40);
    translate();
    const before = regions.counters.dropped;
    machine.memory.write(AT.code as Gpa, Uint8Array.of(0xf4));
    expect(regions.counters.dropped).toBe(before + 1);
  });

  it('runs at each address that its page is mapped at', () => {
    const setup = { code: POSITION, registers: { [R15]: 100n } };
    start(setup);
    machine.engine.run(40);
    translate();
    // The page at AT.alias is the same physical page.
    const run = (at: number) => {
      start({ ...setup, code: new Uint8Array() });
      machine.engine.rip = BigInt(at);
      expect(machine.engine.run(PLENTY)).toBe(EXIT.hlt);
      return machine.engine.gpr(RAX);
    };
    const [here, there] = [run(AT.code), run(AT.alias)];
    expect(there - here).toBe(BigInt(AT.alias - AT.code));
  });

  it('is found where the guest spends its time', () => {
    start({ code: ALU, registers: { [R15]: 1_000_000n } });
    const before = regions.counters.translated;
    machine.engine.run(2_000_000);
    expect(regions.counters.translated).toBe(before + 1);
  });

  it('goes when there are as many as may be and it is one of the oldest; its code runs on', () => {
    const { engine, memory } = new LongModeEngine();
    const made = engine.regions as Regions;
    const place = (i: number): number => AT.data + 16 * i;
    const turns = (i: number): void => {
      engine.rip = BigInt(place(i));
      engine.setGpr(R15, 3n);
      expect(engine.run(PLENTY)).toBe(EXIT.hlt);
      expect(engine.gpr(R15)).toBe(0n);
    };
    const loop = Uint8Array.of(0x41, 0xff, 0xcf, 0x75, 0xfb, 0xf4); // dec r15d; jne; hlt
    for (let i = 0; i <= MOST_REGIONS; i++) memory.write(place(i) as Gpa, loop);
    for (let i = 0; i <= MOST_REGIONS; i++) {
      turns(i);
      engine.cpu.set64(STATE.slowAddress, BigInt(place(i)));
      const table = engine.mmu.codeTable();
      expect(made.alive).toBe(i);
      expect(made.translate(BigInt(place(i)), table, place(i) & 4095)).toBe(true);
    }
    expect(made.alive).toBe(MOST_REGIONS - OLDEST_REGIONS + 1);
    expect(made.counters.reasons).toEqual({ written: 0, full: OLDEST_REGIONS, replaced: 0 });
    turns(0);
    turns(MOST_REGIONS - 1);
    turns(MOST_REGIONS);
  });
});
