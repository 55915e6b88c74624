// Paging: rights, accessed and dirty bits, error codes, and when cached translations end. SDM vol. 3, chapter 4.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR0, CR4, EFER, FLAG } from '../../src/cpu/state.ts';
import { EXIT } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, DONE, le } from './bench-machine.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

const { p: P, w: W, u: U, a: A, d: D, g: G, nx: NX, large: PS } = PTE;
/** Linear address of the page under test, in reach of 32-bit addresses and of a 2-MiB page of its own. */
const PAGE_AT = 0x40_0000n;
const RSI = 6;
const PF = 14;
const E = { p: 1, w: 2, u: 4, rsvd: 8, i: 16 } as const;

type Access = 'read' | 'write' | 'fetch';
/** Ends in INT 80, so that it can run at both levels. RSI points at the page. */
const CODE: Readonly<Record<Access, string>> = {
  read: '8b06 cd80', // mov eax,[rsi]
  write: '8906 cd80', // mov [rsi],eax
  fetch: 'ffe6', // jmp rsi: the page holds int 80
};

function access(kind: Access, linear = PAGE_AT): number | undefined {
  m.rewind().code(CODE[kind]).code('cd80', AT.data).set([RSI, linear]);
  const stop = m.run();
  if (stop.vector === DONE) return undefined;
  expect(stop.vector).toBe(PF);
  expect(m.cr2).toBe(linear);
  expect(stop.rip).toBe(kind === 'fetch' ? linear : BigInt(AT.code));
  return stop.error;
}

const MODES: readonly BenchMode[] = ['paged', 'pae', 'long'];
const ok = undefined;

describe('rights of a 4-KiB page (SDM vol. 3, 4.6.1, 4.7)', () => {
  interface Case {
    readonly name: string;
    readonly bits: bigint;
    readonly above?: bigint;
    readonly level: 0 | 3;
    readonly cr0?: number;
    readonly cr4?: number;
    readonly flags?: number;
    readonly expected: Readonly<Record<Access, number | undefined>>;
  }
  const table: readonly Case[] = [
    { name: 'not present', bits: 0n, level: 0, expected: { read: 0, write: E.w, fetch: 0 } },
    { name: 'not present, from level 3', bits: 0n, level: 3, expected: { read: E.u, write: E.u | E.w, fetch: E.u } },
    { name: 'supervisor, writable', bits: P | W, level: 0, expected: { read: ok, write: ok, fetch: ok } },
    {
      name: 'supervisor, writable, from level 3',
      bits: P | W,
      level: 3,
      expected: { read: E.u | E.p, write: E.u | E.p | E.w, fetch: E.u | E.p },
    },
    { name: 'supervisor, read-only, WP = 0', bits: P, level: 0, expected: { read: ok, write: ok, fetch: ok } },
    {
      name: 'supervisor, read-only, WP = 1',
      bits: P,
      level: 0,
      cr0: CR0.wp,
      expected: { read: ok, write: E.p | E.w, fetch: ok },
    },
    { name: 'user, read-only, from level 0, WP = 0', bits: P | U, level: 0, expected: { read: ok, write: ok, fetch: ok } },
    {
      name: 'user, read-only, from level 0, WP = 1',
      bits: P | U,
      level: 0,
      cr0: CR0.wp,
      expected: { read: ok, write: E.p | E.w, fetch: ok },
    },
    { name: 'user, read-only, WP = 0', bits: P | U, level: 3, expected: { read: ok, write: E.p | E.w | E.u, fetch: ok } },
    { name: 'user, writable', bits: P | U | W, level: 3, expected: { read: ok, write: ok, fetch: ok } },
    {
      name: 'writable below a read-only table',
      bits: P | U | W,
      above: P | U,
      level: 3,
      expected: { read: ok, write: E.p | E.w | E.u, fetch: ok },
    },
    {
      name: 'user below a supervisor table',
      bits: P | U | W,
      above: P | W,
      level: 3,
      expected: { read: E.p | E.u, write: E.p | E.w | E.u, fetch: E.p | E.u },
    },
    { name: 'not-present table', bits: P | U | W, above: W | U, level: 3, expected: { read: E.u, write: E.w | E.u, fetch: E.u } },
    { name: 'SMEP: user page', bits: P | U | W, level: 0, cr4: CR4.smep, expected: { read: ok, write: ok, fetch: E.p | E.i } },
    { name: 'SMEP: supervisor page', bits: P | W, level: 0, cr4: CR4.smep, expected: { read: ok, write: ok, fetch: ok } },
    { name: 'SMEP: from level 3', bits: P | U | W, level: 3, cr4: CR4.smep, expected: { read: ok, write: ok, fetch: ok } },
    {
      name: 'SMEP gives fetches their bit in every error code',
      bits: 0n,
      level: 3,
      cr4: CR4.smep,
      expected: { read: E.u, write: E.u | E.w, fetch: E.u | E.i },
    },
    {
      name: 'SMAP, AC = 0: user page',
      bits: P | U | W,
      level: 0,
      cr4: CR4.smap,
      expected: { read: E.p, write: E.p | E.w, fetch: ok },
    },
    {
      name: 'SMAP, AC = 1: user page',
      bits: P | U | W,
      level: 0,
      cr4: CR4.smap,
      flags: FLAG.ac,
      expected: { read: ok, write: ok, fetch: ok },
    },
    {
      name: 'SMAP, AC = 1: read-only user page, WP = 1',
      bits: P | U,
      level: 0,
      cr4: CR4.smap,
      cr0: CR0.wp,
      flags: FLAG.ac,
      expected: { read: ok, write: E.p | E.w, fetch: ok },
    },
    { name: 'SMAP: from level 3', bits: P | U | W, level: 3, cr4: CR4.smap, expected: { read: ok, write: ok, fetch: ok } },
    { name: 'SMAP: supervisor page', bits: P | W, level: 0, cr4: CR4.smap, expected: { read: ok, write: ok, fetch: ok } },
  ];
  for (const mode of MODES) {
    describe(mode, () => {
      it.each(table)('$name', ({ bits, above, level, cr0 = 0, cr4 = 0, flags = 0, expected }) => {
        for (const kind of ['read', 'write', 'fetch'] as const) {
          m.start(mode, { level, cr0, cr4, flags });
          m.tables.map(PAGE_AT, AT.data, bits, 1, above);
          expect(access(kind), kind).toBe(expected[kind]);
        }
      });
    });
  }

  for (const mode of ['pae', 'long'] as const) {
    it.each([
      ['NX page', P | U | W | NX, P | U | W, E.p | E.i],
      ['NX table', P | U | W, P | U | W | NX, E.p | E.i],
      ['neither', P | U | W, P | U | W, ok],
      ['NX page that is not present', NX, P | U | W, E.i],
    ] as const)(`${mode}: %s`, (_name, bits, above, error) => {
      for (const level of [0, 3] as const) {
        m.start(mode, { level, efer: EFER.nxe });
        m.tables.map(PAGE_AT, AT.data, bits, 1, above);
        expect(access('fetch')).toBe(error === undefined ? undefined : error | (level === 3 ? E.u : 0));
        if (bits & P) expect(access('read')).toBeUndefined();
      }
    });
    it(`${mode}: without EFER.NXE bit 63 is reserved`, () => {
      m.start(mode);
      m.tables.map(PAGE_AT, AT.data, P | W | NX);
      expect(access('read')).toBe(E.p | E.rsvd);
      expect(access('write')).toBe(E.p | E.rsvd | E.w);
    });
  }
});

describe('large pages (SDM vol. 3, 4.3 to 4.5)', () => {
  it.each([
    ['4 MiB', 'paged', 2, CR4.pse],
    ['2 MiB, PAE', 'pae', 2, 0],
    ['2 MiB', 'long', 2, 0],
    ['1 GiB', 'long', 3, 0],
  ] as const)('%s: address, rights, accessed and dirty', (_name, mode, level, cr4) => {
    m.start(mode, { cr4, cr0: CR0.wp });
    const base = 0x4000_0000n;
    const at = base + BigInt(AT.data);
    m.tables.map(base, 0, P | W, level);
    m.put64(AT.data + 8, 0x1122_3344n);
    m.code('8b4608 f4').set([RSI, at]); // mov eax,[rsi+8]; hlt
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(0)).toBe(0x1122_3344n);
    expect(m.tables.entry(base, level) & (A | D)).toBe(A);
    expect(access('write', at)).toBeUndefined();
    expect(m.tables.entry(base, level) & (A | D)).toBe(A | D);
    m.tables.setEntry(base, P | PS, level);
    m.engine.flushTlb();
    expect(access('write', at)).toBe(E.p | E.w);
    expect(access('fetch', at)).toBeUndefined();
  });

  it.each([
    ['2-MiB page with bit 13', 'long', 2, 1n << 13n],
    ['2-MiB page with bit 20', 'long', 2, 1n << 20n],
    ['1-GiB page with bit 29', 'long', 3, 1n << 29n],
    ['PAE 2-MiB page with bit 13', 'pae', 2, 1n << 13n],
    ['PAE entry with bit 52', 'pae', 1, 1n << 52n],
    ['PAE entry with bit 62', 'pae', 1, 1n << 62n],
    ['address bit 40 of 40', 'long', 1, 1n << 40n],
    ['address bit 51', 'long', 1, 1n << 51n],
    ['PAE address bit 40', 'pae', 1, 1n << 40n],
    ['4-MiB page with bit 21', 'paged', 2, 1n << 21n],
  ] as const)('reserved: %s', (_name, mode, level, bit) => {
    m.start(mode, { cr4: CR4.pse });
    const at = 0x4000_0000n;
    m.tables.map(at, 0, P | W | bit, level);
    expect(access('read', at)).toBe(E.p | E.rsvd);
    expect(access('write', at)).toBe(E.p | E.rsvd | E.w);
  });
  it('a PML4 entry with PS set is reserved', () => {
    m.start('long');
    m.tables.map(0x80_0000_0000n, AT.data, P | W, 1, P | W);
    m.tables.setEntry(0x80_0000_0000n, m.tables.entry(0x80_0000_0000n, 4) | PS, 4);
    expect(access('read', 0x80_0000_0000n)).toBe(E.p | E.rsvd);
  });
  it('bits 52 to 58 are free in long mode', () => {
    m.start('long');
    m.tables.map(PAGE_AT, AT.data, P | W | (0x7fn << 52n));
    expect(access('read')).toBeUndefined();
  });
  it('PS means nothing to 32-bit paging without CR4.PSE', () => {
    m.start('paged');
    m.tables.map(PAGE_AT, AT.data, P | W);
    m.tables.setEntry(PAGE_AT, m.tables.entry(PAGE_AT, 2) | PS, 2);
    expect(access('read')).toBeUndefined();
  });
  it('bit 7 of a 4-KiB entry is PAT, not PS', () => {
    for (const mode of MODES) {
      m.start(mode);
      m.tables.map(PAGE_AT, AT.data, P | W | PS);
      expect(access('read')).toBeUndefined();
    }
  });
});

describe('accessed and dirty bits (SDM vol. 3, 4.8)', () => {
  it.each(MODES)('%s: a read sets A on every level, a write D on the leaf', (mode) => {
    m.start(mode);
    m.tables.map(PAGE_AT, AT.data, P | W);
    const top = mode === 'long' ? 4 : 2;
    expect(access('read')).toBeUndefined();
    for (let level = 1; level <= top; level++) expect(m.tables.entry(PAGE_AT, level) & (A | D), `level ${level}`).toBe(A);
    expect(access('write')).toBeUndefined();
    expect(m.tables.entry(PAGE_AT) & (A | D)).toBe(A | D);
    expect(m.tables.entry(PAGE_AT, 2) & D).toBe(0n);
  });
  it('a fetch sets A; a refused access sets nothing on the leaf', () => {
    m.start('long', { level: 3 });
    m.tables.map(PAGE_AT, AT.data, P | U);
    expect(access('write')).toBe(E.p | E.w | E.u);
    expect(m.tables.entry(PAGE_AT) & (A | D)).toBe(0n);
    expect(access('fetch')).toBeUndefined();
    expect(m.tables.entry(PAGE_AT) & (A | D)).toBe(A);
  });
  it('a compare-and-exchange that fails is a write', () => {
    m.start('long');
    m.tables.map(PAGE_AT, AT.data, P | W);
    m.put64(AT.data, 1n);
    m.code('f00fb10e f4').set([RSI, PAGE_AT], [0, 7n]); // lock cmpxchg [rsi],ecx; hlt
    m.run();
    expect(m.tables.entry(PAGE_AT) & (A | D)).toBe(A | D);
  });
  it('segment loads, tables and stacks of the system set them as well', () => {
    m.start('long');
    m.code('cd20 f4'); // int 20
    m.run();
    expect(m.tables.entry(BigInt(AT.idt)) & A).toBe(A);
    expect(m.tables.entry(BigInt(AT.kernelStack - 8)) & (A | D)).toBe(A | D);
  });
});

describe('cached translations (SDM vol. 3, 4.10)', () => {
  const OTHER = AT.data + 0x1000;
  beforeAll(() => {
    m.start('long');
  });
  const prepare = (bits = P | W, cr4 = 0) => {
    m.start('long', { cr4 });
    m.tables.map(PAGE_AT, AT.data, bits);
    m.put64(AT.data, 0xaaaan);
    m.put64(OTHER, 0xbbbbn);
  };
  /** Reads the page, lets the table point elsewhere, does `between`, reads again. */
  const readTwice = (between: string): bigint => {
    const entry = BigInt(m.tables.entryAt(PAGE_AT));
    // mov eax,[rsi]; mov rdi,entry; xor dword [rdi],1000; between; mov ebx,[rsi]; hlt
    m.code(`8b06 48bf${le(entry, 8)} 8137${le(AT.data ^ OTHER)} ${between} 8b1e f4`).set([RSI, PAGE_AT]);
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(0)).toBe(0xaaaan);
    return m.gpr(3);
  };
  const INVLPG = '0f013e'; // invlpg [rsi]
  const RELOAD = '4889c2 0f20d8 0f22d8 4889d0'; // mov rdx,rax; mov rax,cr3; mov cr3,rax; mov rax,rdx
  const PGE = '4889c2 0f20e0 3480 0f22e0 3480 0f22e0 4889d0'; // mov rdx,rax; mov rax,cr4; (xor al,80; mov cr4,rax) twice; mov rax,rdx
  it('INVLPG ends a translation', () => {
    prepare();
    expect(readTwice(INVLPG)).toBe(0xbbbbn);
  });
  it('a CR3 load ends it', () => {
    prepare();
    expect(readTwice(RELOAD)).toBe(0xbbbbn);
  });
  it('a global translation survives a CR3 load', () => {
    prepare(P | W | G, CR4.pge);
    expect(readTwice(RELOAD)).toBe(0xaaaan);
  });
  it('but not without CR4.PGE', () => {
    prepare(P | W | G);
    expect(readTwice(RELOAD)).toBe(0xbbbbn);
  });
  it('a global translation ends with INVLPG and with a change of CR4.PGE', () => {
    prepare(P | W | G, CR4.pge);
    expect(readTwice(INVLPG)).toBe(0xbbbbn);
    prepare(P | W | G, CR4.pge);
    expect(readTwice(PGE)).toBe(0xbbbbn);
  });
  it('INVLPG of any address in a large page ends all of it', () => {
    m.start('long');
    m.tables.map(0x4000_0000n, 0, P | W, 2);
    m.put64(AT.data, 0xaaaan);
    // mov eax,[rsi]; mov dword [entry],0; invlpg [rsi+1000]; mov ebx,[rsi]
    m.code(`8b06 48bf${le(m.tables.entryAt(0x4000_0000n, 2), 8)} c70700000000 0f01be00100000 8b1e f4`).set([
      RSI,
      0x4000_0000n + BigInt(AT.data),
    ]);
    expect(m.run()).toMatchObject({ vector: PF, error: 0 });
  });
  it('INVLPG of a non-canonical address does nothing', () => {
    prepare();
    m.code('0f013f 8b06 f4').set([7, 1n << 50n], [RSI, PAGE_AT]);
    expect(m.run().vector).toBe(-1);
    expect(m.gpr(0)).toBe(0xaaaan);
  });
  it('with PCIDs, bit 63 of a CR3 load spares the translations of that PCID', () => {
    prepare(P | W, CR4.pcide);
    // mov rdx,rax; mov rax,cr3; bts rax,63; mov cr3,rax; mov rax,cr3; mov rcx,rax; mov rax,rdx
    expect(readTwice('4889c2 0f20d8 480fbae83f 0f22d8 0f20d8 4889c1 4889d0')).toBe(0xaaaan);
    expect(m.gpr(1)).toBe(BigInt(m.tables.root));
  });
  it('another PCID does not see them', () => {
    prepare(P | W, CR4.pcide);
    // as above, with `or al,5` for PCID 5
    expect(readTwice('4889c2 0f20d8 0c05 480fbae83f 0f22d8 4889d0')).toBe(0xbbbbn);
  });
  it('a changed CR0.WP holds at once', () => {
    m.start('long');
    m.tables.map(PAGE_AT, AT.data, P);
    // mov [rsi],eax; mov rax,cr0; bts eax,16; mov cr0,rax; mov [rsi],eax
    m.code('8906 0f20c0 0fbae810 0f22c0 8906 f4').set([RSI, PAGE_AT]);
    expect(m.run()).toMatchObject({ vector: PF, error: E.p | E.w, rip: BigInt(AT.code + 12) });
  });
  it('a changed EFLAGS.AC holds at once under SMAP', () => {
    m.start('long', { cr4: CR4.smap });
    m.tables.map(PAGE_AT, AT.data, P | W | U);
    m.code('0f01cb 8b06 0f01ca 8b06 f4').set([RSI, PAGE_AT]); // stac; mov eax,[rsi]; clac; mov eax,[rsi]
    expect(m.run()).toMatchObject({ vector: PF, error: E.p, rip: BigInt(AT.code + 8) });
  });
  it('turning a present page off is seen at the faulting instruction after INVLPG', () => {
    prepare();
    m.code(`8906 48bf${le(m.tables.entryAt(PAGE_AT), 8)} 832700 0f013e 8906 f4`).set([RSI, PAGE_AT]); // and dword [rdi],0
    expect(m.run()).toMatchObject({ vector: PF, error: E.w, rip: BigInt(AT.code + 18) });
  });
});

describe('accesses across a page border', () => {
  const border = PAGE_AT + 0x1000n;
  const setUp = (second: bigint, level: 0 | 3 = 0) => {
    m.start('long', { level, cr0: CR0.wp, cr4: CR4.osfxsr });
    m.tables.map(PAGE_AT, AT.data, P | W | U);
    m.tables.map(border, AT.data + 0x2000, second);
    m.put64(AT.data + 0xff8, 0x1111_1111_1111_1111n);
    m.put64(AT.data + 0x2000, 0x2222_2222_2222_2222n);
  };
  it('joins pages that do not lie side by side', () => {
    setUp(P | W | U);
    m.code('488b06 480106 f4').set([RSI, border - 3n]); // mov rax,[rsi]; add [rsi],rax
    m.run();
    expect(m.gpr(0)).toBe(0x2222_2222_2211_1111n);
    expect([m.get64(AT.data + 0xff8), m.get64(AT.data + 0x2000)]).toEqual([0x2222_2211_1111_1111n, 0x2222_2244_4444_4444n]);
  });
  it.each([
    ['read', '488b06', 0],
    ['write', '488906', E.w],
    ['read-modify-write', '480106', E.w],
    ['LOCK read-modify-write', 'f0480106', E.w],
    ['16-byte store', '0f1106', E.w],
    ['16-byte load', '0f1006', 0],
  ] as const)('%s: the fault names the second page, nothing is written', (_name, code, error) => {
    setUp(0n);
    m.code(`${code} f4`).set([RSI, border - 3n], [0, 0x55n]);
    expect(m.run()).toMatchObject({ vector: PF, error, rip: BigInt(AT.code) });
    expect(m.cr2).toBe(border);
    expect(m.get64(AT.data + 0xff8)).toBe(0x1111_1111_1111_1111n);
    expect(m.gpr(0)).toBe(0x55n);
  });
  it('a read-only second page refuses the whole write', () => {
    setUp(P | U);
    m.code('488906 f4').set([RSI, border - 3n]);
    expect(m.run()).toMatchObject({ vector: PF, error: E.p | E.w });
    expect(m.get64(AT.data + 0xff8)).toBe(0x1111_1111_1111_1111n);
  });
  it('a first page that is missing is reported first', () => {
    setUp(0n);
    m.tables.setEntry(PAGE_AT, 0n);
    m.code('488906 f4').set([RSI, border - 3n]);
    m.run();
    expect(m.cr2).toBe(border - 3n);
  });
  it('an instruction whose second half is missing faults with the address of the second page', () => {
    setUp(0n);
    m.code('b8', AT.data + 0xfff); // mov eax,imm32
    m.code('ffe6').set([RSI, border - 1n]);
    expect(m.run()).toMatchObject({ vector: PF, error: 0, rip: border - 1n });
    expect(m.cr2).toBe(border);
  });
  it('linear addresses wrap at 4 GiB in 32-bit modes', () => {
    m.start('paged');
    m.tables.map(0xffff_f000n, AT.data, P | W);
    m.view.setUint16(AT.data + 0xffe, 0x1234, true);
    m.view.setUint16(0, 0x5678, true);
    m.code('8b06 f4').set([RSI, 0xffff_fffen]);
    m.run();
    expect(m.gpr(0)).toBe(0x5678_1234n);
  });
});

describe('physical addresses beyond 4 GiB', () => {
  it.each([
    ['PSE-36: bits 13 to 20 of a 4-MiB page', 'paged', 2, 3n << 13n, 0x3_0002_0000],
    ['PAE', 'pae', 1, 0x9_0002_0000n, 0x9_0002_0000],
    ['long mode', 'long', 1, 0xff_0002_0000n, 0xff_0002_0000],
    ['a 1-GiB page', 'long', 3, 0x40_0000_0000n, 0x40_0002_0000],
  ] as const)('%s', (_name, mode, level, address, gpa) => {
    m.start(mode, { cr4: CR4.pse });
    const at = 0x4000_0000n;
    m.tables.map(at + (level === 1 ? BigInt(AT.data) : 0n), 0, P | W | address, level);
    m.code('8b06').set([RSI, at + BigInt(AT.data)]);
    expect(m.run().exit).toBe(EXIT.mmio);
    expect(m.engine.exit.gpa).toBe(gpa);
  });
});

describe('page-directory-pointer entries of PAE paging (4.4.1)', () => {
  it('are loaded with CR3 and not read again before the next load', () => {
    m.start('pae');
    m.tables.map(0x4000_0000n, AT.data, P | W);
    const entry = m.tables.root + 8;
    // mov dword [entry],0; mov eax,[rsi]; mov eax,cr3; mov cr3,eax; mov eax,[rsi]
    m.code(`c705${le(entry)}00000000 8b06 0f20d8 0f22d8 8b06`).set([RSI, 0x4000_0000n]);
    m.put64(entry, m.get64(entry));
    expect(m.run()).toMatchObject({ vector: PF, error: 0, rip: BigInt(AT.code + 18) });
  });
  it.each([1, 2, 5, 6, 7, 8, 40, 63])('reserved bit %i is #GP at MOV CR3', (bit) => {
    m.start('pae').code('0f20d8 0f22d8');
    m.put64(m.tables.root + 8, m.get64(m.tables.root + 8) | (1n << BigInt(bit)));
    expect(m.run()).toMatchObject({ vector: 13, error: 0, rip: BigInt(AT.code + 3) });
  });
  it('an absent one may hold anything', () => {
    m.start('pae').code('0f20d8 0f22d8 f4');
    m.put64(m.tables.root + 8, 0xffff_ffff_ffff_fffen);
    expect(m.run().vector).toBe(-1);
  });
});

describe('access from outside (GuestCaller)', () => {
  beforeAll(() => {
    m.start('long', { cr0: CR0.wp, level: 3 });
    m.tables.map(PAGE_AT, AT.data, P | W);
    m.tables.map(PAGE_AT + 0x1000n, AT.data + 0x3000, P);
  });
  it('translates without touching accessed bits', () => {
    expect([m.engine.translate(PAGE_AT + 5n), m.engine.translate(PAGE_AT + 0x2000n), m.engine.translate(1n << 50n)]).toEqual([
      AT.data + 5,
      -1,
      -1,
    ]);
    expect(m.tables.entry(PAGE_AT) & A).toBe(0n);
  });
  it('reads across pages with the rights of level 0, and refuses what is missing', () => {
    m.ram.set([1, 2], AT.data + 0xffe);
    m.ram.set([3, 4], AT.data + 0x3000);
    const into = new Uint8Array(4);
    expect(m.engine.readVirtual(PAGE_AT + 0xffen, into)).toBe(true);
    expect([...into]).toEqual([1, 2, 3, 4]);
    expect(m.engine.readVirtual(PAGE_AT + 0x1ffen, into)).toBe(false);
  });
  it('the machine may set control registers while level 3 runs, within the rules', () => {
    m.engine.setControl('cr3', BigInt(m.tables.root));
    expect(m.engine.cpl).toBe(3);
    expect(() => m.engine.setControl('cr4', 0n)).toThrow();
    expect(m.engine.cpl).toBe(3);
  });
  it('writes set the dirty bit, and respect read-only pages', () => {
    expect(m.engine.writeVirtual(PAGE_AT, Uint8Array.of(9))).toBe(true);
    expect([m.ram[AT.data], m.tables.entry(PAGE_AT) & D]).toEqual([9, D]);
    expect(m.engine.writeVirtual(PAGE_AT + 0x1000n, Uint8Array.of(9))).toBe(false);
  });
});

describe('implicit accesses', () => {
  it('tables may lie in supervisor pages while level 3 runs', () => {
    m.start('long', { level: 3 });
    m.code('cc');
    expect(m.run()).toMatchObject({ vector: 3, rip: BigInt(AT.code + 1), rsp: BigInt(AT.userStack) });
  });
  it('under SMAP they may not lie in user pages, whatever AC says', () => {
    m.start('long', { cr4: CR4.smap, flags: FLAG.ac });
    m.tables.setEntry(BigInt(AT.gdt), BigInt(AT.gdt) | P | W | U);
    m.code('8ed8 f4').set([0, 0x10n]); // mov ds,eax
    m.run();
    expect(m.cr2 >> 12n).toBe(BigInt(AT.gdt >> 12));
  });
});
