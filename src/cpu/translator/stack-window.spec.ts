// Accesses around the stack pointer in regions, where pages that follow each other lie far apart: the interpreter says what is right.
import { beforeEach, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { STATE } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';
import type { Regions } from './regions.ts';

const [RAX, RCX, RDX, RBX, RSP, RBP, RSI] = [0, 1, 2, 3, 4, 5, 6];
const PAGE = 4096;
const PAGE_TABLE = 0x4000;
const PLENTY = 1_000_000;
/** Linear pages of the stack, and where they lie. */
const [LOWER, UPPER] = [AT.data, AT.data + PAGE];
const [LOWER_FRAME, UPPER_FRAME, OTHER_FRAME] = [0x40000, 0x30000, 0x50000];
const entryOf = (linear: number): number => PAGE_TABLE + (linear >> 12) * 8;

const machine = new LongModeEngine();
const { engine, memory } = machine;
const { cpu, mmu } = engine;
const regions = engine.regions as Regions;

function map(linear: number, physical: number): void {
  const entry = new Uint8Array(8);
  new DataView(entry.buffer).setBigUint64(0, BigInt(physical) | 3n, true);
  memory.write(entryOf(linear) as Gpa, entry);
  mmu.invalidatePage(BigInt(linear));
}
function start(pointer: number): void {
  machine.reset();
  map(LOWER, LOWER_FRAME);
  map(UPPER, UPPER_FRAME);
  for (const frame of [LOWER_FRAME, UPPER_FRAME, OTHER_FRAME])
    memory.write(
      frame as Gpa,
      new Uint8Array(PAGE).map((_, i) => (i * 7 + (frame >> 12)) & 0xff),
    );
  cpu.setGpr(RSP, BigInt(pointer));
  cpu.setGpr(RBP, BigInt(pointer));
  cpu.setGpr(RAX, 0x1122_3344_5566_7788n);
  cpu.setGpr(RCX, 0x99aa_bbcc_ddee_ff00n);
  cpu.setGpr(RDX, BigInt(OTHER_FRAME) | 3n);
  cpu.setGpr(RSI, BigInt(entryOf(UPPER)));
  engine.rip = BigInt(AT.code);
}
/** Registers and memory when it halts; whether a region was run. */
function outcome(): { entered: boolean; registers: bigint[]; frames: string[] } {
  const before = cpu.get32(STATE.inRegions);
  expect(engine.run(PLENTY)).toBe(EXIT.hlt);
  const frames = [LOWER_FRAME, UPPER_FRAME, OTHER_FRAME].map((frame) => {
    const bytes = new Uint8Array(PAGE);
    memory.read(frame as Gpa, bytes);
    return Buffer.from(bytes).toString('hex');
  });
  const registers = [RAX, RCX, RDX, RBX, RSP, RBP, RSI].map((register) => engine.gpr(register));
  return { entered: cpu.get32(STATE.inRegions) !== before, registers, frames };
}

beforeEach(() => {
  engine.code.flush();
});

it.each([
  [
    'what reaches into the next page',
    UPPER + 8,
    `
    50 ; 00 push rax
    48 8b 5c 24 fc ; 01 mov rbx,q[rsp-4]
    48 89 4c 24 f9 ; 06 mov q[rsp-7],rcx
    48 01 44 24 fa ; 0b add q[rsp-6],rax
    f4 ; 10 hlt
  `,
  ],
  [
    'what is not aligned',
    UPPER + 0x20,
    `
    50 ; 00 push rax
    48 8b 5c 24 03 ; 01 mov rbx,q[rsp+3]
    48 89 4c 24 f9 ; 06 mov q[rsp-7],rcx
    66 01 44 24 05 ; 0b add w[rsp+5],ax
    f4 ; 10 hlt
  `,
  ],
  [
    'a stack that grows through both pages, and what lies above',
    UPPER + PAGE - 8,
    `
    b9 00 03 00 00 ; 00 mov ecx,0x300
    51 ; 05 push rcx
    48 03 5c 24 08 ; 06 add rbx,q[rsp+8]
    48 01 4d 00 ; 0b add q[rbp],rcx
    ff c9 ; 0f dec ecx
    75 f2 ; 11 jne 0x5
    b9 00 03 00 00 ; 13 mov ecx,0x300
    5a ; 18 pop rdx
    48 01 d0 ; 19 add rax,rdx
    ff c9 ; 1c dec ecx
    75 f8 ; 1e jne 0x18
    48 89 ec ; 20 mov rsp,rbp
    f4 ; 23 hlt
  `,
  ],
  [
    'a page that is another one from INVLPG on',
    UPPER + 0x20,
    `
    50 ; 00 push rax
    48 89 16 ; 01 mov q[rsi],rdx
    0f 01 3c 24 ; 04 invlpg [rsp]
    48 8b 1c 24 ; 08 mov rbx,q[rsp]
    51 ; 0c push rcx
    f4 ; 0d hlt
  `,
  ],
  [
    'a stack that is elsewhere from CPUID on, which a handler does',
    UPPER + 0x20,
    `
    50 ; 00 push rax
    48 8d a4 24 00 f0 ff ff ; 01 lea rsp,[rsp-0x1000]
    31 c0 ; 09 xor eax,eax
    31 c9 ; 0b xor ecx,ecx
    0f a2 ; 0d cpuid
    48 03 1c 24 ; 0f add rbx,q[rsp]
    51 ; 13 push rcx
    f4 ; 14 hlt
  `,
  ],
])('translated code accesses %s as the interpreter does', (_, pointer, text) => {
  memory.write(AT.code as Gpa, machineCode(text));
  start(pointer);
  const interpreted = outcome();
  expect(interpreted.entered).toBe(false);
  start(pointer);
  cpu.set64(STATE.slowAddress, BigInt(AT.code));
  expect(regions.translate(BigInt(AT.code), mmu.codeTable(), AT.code & (PAGE - 1))).toBe(true);
  expect(outcome()).toEqual({ ...interpreted, entered: true });
});
