// Code that changes while it runs: the next fetch sees every store. SDM vol. 3, 11.6.
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { CR4, SEGMENT } from '../../src/cpu/state.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, bytesOf, le } from './bench-machine.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rbx, rsp, rsi, rdi } = GPR;
const SUB = AT.data;
/** A function that returns its 8-bit immediate in EAX, at SUB. */
const RETURNS = (value: number): string => `b8${le(value)} c3`;
const { p: P, w: W } = PTE;

/** Calls SUB, runs `between`, calls it again: what the two calls gave. RDI points at SUB. */
function twice(between: string, ...registers: readonly (readonly [number, bigint])[]): readonly [bigint, bigint] {
  // mov r12,SUB; call r12; mov ebx,eax; between; call r12; hlt
  m.code(`49c7c4${le(SUB)} 41ffd4 89c3 ${between} 41ffd4 f4`).code(RETURNS(1), SUB);
  m.set([rdi, BigInt(SUB)], ...registers);
  expect(m.run().vector).toBe(-1);
  return [m.gpr(rbx), m.gpr(rax)];
}

describe('stores to another page of code', () => {
  it.each<readonly [string, string, readonly (readonly [number, bigint])[]]>([
    ['byte store', 'c6470102', []],
    ['dword store', `c74701${le(2)}`, []],
    ['qword store', `48b8${le(0xc3_0000_0002b8n, 8)} 488907`, []],
    ['read-modify-write', '80470101', []],
    ['LOCK read-modify-write', 'f080470101', []],
    ['XCHG', 'b002 864701', []],
    ['MOVSB', '48ffc7 a4', [[rsi, BigInt(AT.data + 0x2000)]]],
    ['REP MOVSB', '4883c701 b901000000 f3a4', [[rsi, BigInt(AT.data + 0x2000)]]],
    ['REP STOSB', '48ffc7 b002 b901000000 f3aa', []],
    ['SSE store', '0f1106', [[rsi, BigInt(SUB)]]],
    ['CMPXCHG', 'b001 b102 f00fb04f01', []],
    ['PUSH', `4989e5 488d6708 48b8${le(0xc3_0000_0002b8n, 8)} 50 4c89ec`, []],
    ['FST', 'dbe3 dd4620 dd5f00', [[rsi, BigInt(AT.data + 0x2000)]]],
  ])('%s', (_name, between, registers) => {
    m.start('long', { cr4: CR4.osfxsr });
    m.ram[AT.data + 0x2000] = 2;
    m.ram.set(bytesOf(RETURNS(2)), AT.data + 0x2020);
    // For the SSE store: the second function in XMM0. For FST: a double whose bytes are it.
    m.ram.fill(0, AT.data + 0x2026, AT.data + 0x2030);
    m.cpu.u8.set(bytesOf(RETURNS(2)), 0x480);
    expect(twice(between, ...registers)).toEqual([1n, 2n]);
  });
  it('a store beside the code does not matter, one into it does', () => {
    m.start('long');
    expect(twice('c6872008000055 c687ff0f000055')).toEqual([1n, 1n]);
  });
  it('a store from outside, as a device makes it', () => {
    m.start('long')
      .code(`49c7c4${le(SUB)} 41ffd4 89c3 e780 41ffd4 f4`)
      .code(RETURNS(1), SUB); // out 80,eax in between
    m.run();
    m.memory.write((SUB + 1) as never, Uint8Array.of(2));
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([1n, 2n]);
  });
  it('a store through another mapping of the page', () => {
    m.start('long');
    m.tables.map(0x40_0000n, SUB, P | W);
    expect(twice('c6460102', [rsi, 0x40_0000n])).toEqual([1n, 2n]);
  });
  it('a store through another mapping that was written to before the page held code', () => {
    m.start('long');
    m.tables.map(0x40_0000n, SUB, P | W);
    m.code(`c6860008000000 49c7c4${le(SUB)} 41ffd4 89c3 c6460102 41ffd4 f4`).code(RETURNS(1), SUB);
    m.set([rsi, 0x40_0000n]);
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([1n, 2n]);
  });
  it('another page mapped in its place, after INVLPG', () => {
    m.start('long').code(RETURNS(2), SUB + 0x1000);
    const entry = m.tables.entryAt(BigInt(SUB));
    expect(twice(`48c7c0${le(entry)} 8130${le(0x1000)} 0f013f`)).toEqual([1n, 2n]);
  });
  it('another frame of memory put in its place', () => {
    m.start('long')
      .code(`49c7c4${le(SUB)} 41ffd4 89c3 e780 41ffd4 f4`)
      .code(RETURNS(1), SUB)
      .code(RETURNS(2), SUB + 0x1000);
    m.run();
    m.memory.map((SUB >> 12) as never, m.memory.host((SUB + 0x1000) as never));
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([1n, 2n]);
  });
});

describe('stores to the code that is running', () => {
  it('the very next instruction', () => {
    // mov byte [rip+1],2 (the immediate behind the opcode); mov eax,1; hlt
    m.start('long').code(`c6050100000002 b8${le(1)} f4`);
    m.run();
    expect(m.gpr(rax)).toBe(2n);
  });
  it('further ahead in the same block', () => {
    m.start('long').code(`c6050400000002 90 90 90 b8${le(1)} f4`);
    m.run();
    expect(m.gpr(rax)).toBe(2n);
  });
  it('an instruction turned into a jump', () => {
    // mov word [rip+1],02eb; nop; inc eax; inc eax; inc ebx; hlt -- the first INC becomes JMP +2
    m.start('long').code('66c70501000000eb02 90 ffc0 ffc0 ffc3 f4');
    m.run();
    expect([m.gpr(rax), m.gpr(rbx)]).toEqual([0n, 1n]);
  });
  it('a loop that changes its own immediate', () => {
    // l: mov eax,0; add byte [rip-?],1 ; add ebx,eax; loop l
    m.start('long')
      .code(`b8${le(0)} 8005f5ffffff01 01c3 e2f0 f4`)
      .set([rcx, 10n]);
    m.run();
    expect(m.gpr(rbx)).toBe(45n);
  });
  it('an instruction that overwrites itself is finished first', () => {
    // mov dword [rip-?],90909090 over its own opcode; jmp back once
    m.start('long').code('c705f6ffffff90909090 ffc0 f4');
    m.run();
    expect(m.gpr(rax)).toBe(1n);
    expect([...m.ram.subarray(AT.code, AT.code + 4)]).toEqual([0x90, 0x90, 0x90, 0x90]);
  });
  it('a string store that runs over itself', () => {
    m.start('long')
      .code('f3aa 90 90 ffc3 f4')
      .set([rcx, 6n], [rdi, BigInt(AT.code)], [rax, 0x90n]);
    m.code('f4', AT.code + 6);
    m.run();
    expect(m.gpr(rbx)).toBe(0n);
  });
});

describe('instructions across a page border', () => {
  const AHEAD = AT.data + 0xffe;
  it('unchanged, they do not leave WebAssembly', () => {
    m.start('long')
      .code(`49c7c4${le(AHEAD)} 41ffd4 ffcb 75f9 f4`)
      .code(RETURNS(1), AHEAD); // l: call r12; dec ebx; jnz l
    m.set([rbx, 50n]);
    const looks = vi.spyOn(m.engine.mmu, 'codeTable');
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([0n, 1n]);
    expect(looks.mock.calls.length).toBeLessThan(5);
    looks.mockRestore();
  });
  it('changed in their second page', () => {
    m.start('long')
      .code(`49c7c4${le(AHEAD)} 41ffd4 89c3 c60602 41ffd4 f4`)
      .code(RETURNS(1), AHEAD);
    m.set([rsi, BigInt(AHEAD + 2)]);
    m.ram[AHEAD + 1] = 0x55;
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([0x55n, 0x255n]);
  });
  it('changed in their first page', () => {
    m.start('long')
      .code(`49c7c4${le(AHEAD)} 41ffd4 89c3 c60602 41ffd4 f4`)
      .code(RETURNS(1), AHEAD);
    m.set([rsi, BigInt(AHEAD + 1)]);
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([1n, 2n]);
  });
  it('the second page mapped elsewhere', () => {
    m.start('long')
      .code(RETURNS(1), AHEAD)
      .code('0000 00 c3', AT.data + 0x2000);
    m.ram[AT.data + 0x2000] = 0x77;
    const entry = m.tables.entryAt(BigInt(AT.data + 0x1000));
    m.code(`49c7c4${le(AHEAD)} 41ffd4 89c3 48c7c0${le(entry)} 8130${le(0x3000)} 0f013e 41ffd4 f4`).set([
      rsi,
      BigInt(AT.data + 0x1000),
    ]);
    m.run();
    expect([m.gpr(rbx), m.gpr(rax)]).toEqual([1n, 0x7701n]);
  });
  it('in two modes: the same bytes mean different things', () => {
    // 48 ffc0: in 64-bit mode inc rax; in 32-bit mode dec eax, inc eax
    m.start('long').code('48ffc0 cb', AT.data);
    m.code('ff1e ff1f f4').set([rsi, BigInt(AT.data + 0x100)], [rdi, BigInt(AT.data + 0x200)], [rax, 7n]);
    m.put64(AT.data + 0x100, BigInt(AT.data) | (0x28n << 32n));
    m.put64(AT.data + 0x200, BigInt(AT.data) | (0x08n << 32n));
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(rax)).toBe(8n);
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack));
  });
});

describe('16-bit code', () => {
  it('patches itself through DS', () => {
    m.start('real').code('c606060002 b80100 f4'); // mov byte [6],2; mov ax,1
    m.load(SEGMENT.ds, AT.code >> 4, 0x93, 0xffff, BigInt(AT.code));
    m.run();
    expect(m.gpr(rax)).toBe(2n);
  });
});
