// Regions over several pages, regions in regions' places, and what changes while one runs.
import { beforeEach, describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { CR4, FLAG, STATE } from '../state.ts';
import { AT, LongModeEngine } from './fixtures/long-mode-engine.ts';
import { machineCode } from './fixtures/machine-code.ts';
import type { Regions } from './regions.ts';

const [RAX, RSP, RBP, RSI, R15] = [0, 4, 5, 6, 15];
const PAGE = 4096;
const PAGE_TABLE = 0x4000;
const PLENTY = 1_000_000;
const PTE = { present: 1n, write: 2n, user: 4n } as const;
const NEXT = AT.code + PAGE;

const machine = new LongModeEngine();
const { engine, memory } = machine;
const { cpu, mmu } = engine;
const regions = engine.regions as Regions;

function map(linear: number, physical: number, rights: bigint = PTE.present | PTE.write): void {
  const entry = new Uint8Array(8);
  new DataView(entry.buffer).setBigUint64(0, BigInt(physical) | rights, true);
  memory.write((PAGE_TABLE + (linear >> 12) * 8) as Gpa, entry);
  mmu.invalidatePage(BigInt(linear));
}
const put = (at: number, code: Uint8Array) => memory.write(at as Gpa, code);

function start(at: number, registers: Readonly<Record<number, bigint>> = {}): void {
  machine.reset();
  for (const [register, value] of Object.entries(registers)) cpu.setGpr(Number(register), value);
  engine.rip = BigInt(at);
  // As FNINIT leaves it.
  cpu.view.setUint16(STATE.fcw, 0x37f, true);
  cpu.u8[STATE.ftw] = 0;
}
function translate(at: number): void {
  cpu.set64(STATE.slowAddress, BigInt(at));
  expect(regions.translate(BigInt(at), mmu.codeTable(), at & (PAGE - 1))).toBe(true);
}
/** Whether a region was run. */
function runToHalt(): boolean {
  cpu.set32(STATE.codeDropped, 2);
  expect(engine.run(PLENTY)).toBe(EXIT.hlt);
  return cpu.get32(STATE.codeDropped) !== 2;
}

beforeEach(() => {
  machine.reset();
  for (const page of [AT.code, NEXT, AT.data]) {
    put(page, new Uint8Array(PAGE).fill(0xf4));
    map(page, page);
  }
});

const COUNT = machineCode(`
  48 ff c0 ; 00 inc rax
  41 ff cf ; 03 dec r15d
  75 f8 ; 06 jne 0x0
  f4 ; 08 hlt
`);

describe('a region', () => {
  it('takes the place of another one that begins where it does', () => {
    put(AT.code, COUNT);
    start(AT.code, { [R15]: 100n });
    runToHalt();
    const { translated, dropped } = regions.counters;
    translate(AT.code);
    translate(AT.code);
    expect(regions.counters).toMatchObject({ translated: translated + 2, dropped: dropped + 1 });
    start(AT.code, { [R15]: 100n });
    expect(runToHalt()).toBe(true);
    expect(engine.gpr(RAX)).toBe(100n);
    // A privilege it was not made for: the interpreter does it all, and does not come back for ever.
    start(AT.code, { [R15]: 100n });
    cpu.set64(STATE.cr4, cpu.get64(STATE.cr4) | BigInt(CR4.smap));
    cpu.updateMode();
    runToHalt();
    expect(engine.gpr(RAX)).toBe(100n);
  });

  it('whose first instruction reaches into a page that is not in the TLB is left to the interpreter once', () => {
    const at = NEXT - 2;
    put(at, COUNT);
    start(at, { [R15]: 100n });
    runToHalt();
    translate(at);
    start(at, { [R15]: 100n });
    expect(runToHalt()).toBe(true);
    expect(engine.gpr(RAX)).toBe(100n);
  });

  it('gives instructions of TypeScript their own address in each page', () => {
    // Once through the second page, then FLD1 in the first again: FIP says where it was.
    put(
      AT.code,
      machineCode(`
      90 ; 00 nop
      d9 e8 ; 01 fld1
      dd d8 ; 03 fstp st(0)
      41 ff cf ; 05 dec r15d
      0f 85 f2 0f 00 00 ; 08 jne 0x1000
      f4 ; 0e hlt
    `),
    );
    put(
      NEXT,
      machineCode(`
      d9 e8 ; 00 fld1
      dd d8 ; 02 fstp st(0)
      e9 f7 ef ff ff ; 04 jmp -0x1000
    `),
    );
    start(AT.code, { [R15]: 10n });
    runToHalt();
    const expected = cpu.get64(STATE.fip);
    expect(expected).toBe(BigInt(AT.code + 3));
    translate(AT.code);
    start(AT.code, { [R15]: 10n });
    expect(runToHalt()).toBe(true);
    expect(cpu.get64(STATE.fip)).toBe(expected);
  });

  it('ends where the page of the code behind has become another one', () => {
    put(
      AT.code,
      machineCode(`
      41 f6 c7 07 ; 00 test r15b,7
      75 03 ; 04 jne 0x9
      0f 01 3e ; 06 invlpg [rsi]
      e9 f2 0f 00 00 ; 09 jmp 0x1000
    `),
    );
    const next = machineCode(`
      41 ff cf ; 00 dec r15d
      74 0e ; 03 je 0x13
      4c 89 1a ; 05 mov q[rdx],r11
      48 ff c0 ; 08 inc rax
      e9 f0 ef ff ff ; 0b jmp -0x1000
      f4 f4 f4 ;
      f4 ; 13 hlt
    `);
    put(NEXT, next);
    // The same code at AT.data, but that it adds 256.
    const other = next.slice();
    other.set([0xfe, 0xc4, 0x90], 8); // inc ah
    put(AT.data, other);
    // Each round maps the page anew, but only INVLPG in each eighth makes it so.
    const entry = BigInt(AT.data) | PTE.present | PTE.write | 0x60n;
    const registers = { [RSI]: BigInt(NEXT), 2: BigInt(PAGE_TABLE + (NEXT >> 12) * 8), 11: entry, [R15]: 22n };
    const run = () => {
      map(NEXT, NEXT);
      start(AT.code, registers);
      return runToHalt();
    };
    run();
    const expected = engine.gpr(RAX);
    // Rounds 22 to 17 add 1, those from 16 on 256.
    expect(expected).toBe(6n + (15n << 8n));
    map(NEXT, NEXT);
    translate(AT.code);
    run();
    expect(engine.gpr(RAX)).toBe(expected);
  });

  it('keeps the supervisor out of user pages after CLAC', () => {
    put(
      AT.code,
      machineCode(`
      0f 01 cb ; 00 stac
      90 ; 03 nop
      48 8b 06 ; 04 mov rax,q[rsi]
      41 ff cf ; 07 dec r15d
      74 05 ; 0a je 0x11
      0f 1f 00 ; 0c nop
      eb f2 ; 0f jmp 0x3
      0f 01 ca ; 11 clac
      48 8b 06 ; 14 mov rax,q[rsi]
      f4 ; 17 hlt
    `),
    );
    map(AT.data, AT.data, PTE.present | PTE.write | PTE.user);
    const smap = () => {
      start(AT.code, { [RSI]: BigInt(AT.data), [R15]: 50n });
      cpu.set64(STATE.cr4, cpu.get64(STATE.cr4) | BigInt(CR4.smap));
      cpu.updateMode();
    };
    // The user bit counts on every level.
    for (const table of [0x1000, 0x2000, 0x3000]) put(table, Uint8Array.of(((table + 0x1000) & 0xff) | 7));
    smap();
    const halted = () => engine.rip - 1n;
    runToHalt();
    expect(halted()).toBe(BigInt(AT.handlers + 14));
    // The loop runs with AC set: so does the region.
    smap();
    cpu.rflags |= FLAG.ac;
    cpu.updateMode();
    translate(AT.code + 3);
    smap();
    expect(runToHalt()).toBe(true);
    expect(halted()).toBe(BigInt(AT.handlers + 14));
  });

  it('goes on after STAC and CLAC', () => {
    put(
      AT.code,
      machineCode(`
      0f 01 cb ; 00 stac
      48 03 06 ; 03 add rax,q[rsi]
      48 89 46 08 ; 06 mov q[rsi+0x8],rax
      0f 01 ca ; 0a clac
      41 ff cf ; 0d dec r15d
      75 ee ; 10 jne 0x0
      48 8b 06 ; 12 mov rax,q[rsi]
      f4 ; 15 hlt
    `),
    );
    map(AT.data, AT.data, PTE.present | PTE.write | PTE.user);
    put(AT.data, Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0));
    for (const table of [0x1000, 0x2000, 0x3000]) put(table, Uint8Array.of(((table + 0x1000) & 0xff) | 7));
    const sum = new Uint8Array(1);
    for (const [translated, ac] of [
      [false, 0],
      [true, 0],
      [true, FLAG.ac],
    ] as const) {
      start(AT.code, { [RSI]: BigInt(AT.data), [R15]: 50n });
      cpu.set64(STATE.cr4, cpu.get64(STATE.cr4) | BigInt(CR4.smap));
      cpu.updateMode();
      if (translated) translate(AT.code);
      cpu.rflags |= ac;
      cpu.updateMode();
      const before = cpu.get32(STATE.inRegions);
      runToHalt();
      // The last read finds the user's page forbidden again.
      expect(engine.rip - 1n).toBe(BigInt(AT.handlers + 14));
      expect(engine.gpr(RAX)).toBe(150n);
      memory.read((AT.data + 8) as Gpa, sum);
      expect(sum[0]).toBe(150);
      // Six instructions a round.
      if (translated) expect(cpu.get32(STATE.inRegions) - before).toBe(300);
    }
  });

  it('does ENTER once, also when the new frame is not there', () => {
    // The list of frames is copied on to itself, 8 bytes further down; then the allocation fails.
    put(
      AT.code,
      machineCode(`
      48 ff c0 ; 00 inc rax
      c8 00 20 14 ; 03 enter 0x2000,20
      f4 ; 07 hlt
    `),
    );
    const list = Uint8Array.from({ length: 256 }, (_, i) => i * 7);
    const absent = AT.stack - 0x2000 - PAGE;
    const run = () => {
      put(AT.stack - 256, list);
      map(absent, 0, 0n);
      map(absent + PAGE, 0, 0n);
      start(AT.code, { [RBP]: BigInt(AT.stack - 16), [RSP]: BigInt(AT.stack) });
      runToHalt();
      // Above that the fault was pushed.
      const after = new Uint8Array(256 - 48);
      memory.read((AT.stack - 256) as Gpa, after);
      return Buffer.from(after).toString('hex');
    };
    const expected = run();
    translate(AT.code);
    expect(run()).toBe(expected);
    map(absent, absent);
    map(absent + PAGE, absent + PAGE);
  });

  it('is gone for code that runs into it, when only its other page was written to', () => {
    put(
      AT.code,
      machineCode(`
      48 ff c2 ; 00 inc rdx
      48 ff c0 ; 03 inc rax
      e9 f5 0f 00 00 ; 06 jmp 0x1000
      f4 ; 0b hlt
    `),
    );
    put(
      NEXT,
      machineCode(`
      41 ff cf ; 00 dec r15d
      0f 85 fa ef ff ff ; 03 jne -0xffd
      f4 ; 09 hlt
    `),
    );
    start(AT.code + 3, { [R15]: 10n });
    runToHalt();
    translate(AT.code + 3);
    // What comes before is decoded now.
    start(AT.code, { [R15]: 10n });
    expect(runToHalt()).toBe(true);
    put(NEXT, Uint8Array.of(0x41));
    start(AT.code, { [R15]: 10n });
    expect(runToHalt()).toBe(false);
    expect(engine.gpr(RAX)).toBe(10n);
  });
});
