// What TLBs may hold and must drop, with PCIDs and global pages. SDM vol. 3, 4.10.
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, SECOND_TLB, STATE, TLB } from '../../src/cpu/state.ts';
import { setOf, Tlb } from '../../src/cpu/tlb.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine } from './bench-machine.ts';
import { PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

/** These share an entry of the arrays; all but the last two are far apart. */
const PAGES = [0x40_0000n, 0x80_0000n, 0xc0_0000n, 0x40_1000n] as const;
const FRAMES = [AT.data + 0x1000, AT.data + 0x2000, AT.data + 0x3000] as const;
const KEEP = 1n << 63n;
/** Each ends in HLT. RSI points at the page, RAX is what is written or loaded. */
const CODE = { read: '8b06f4', write: '890689f1f4', invlpg: '0f013ef4', cr3: '0f22d8f4', cr4: '0f22e0f4' } as const;
const PLACES = Object.keys(CODE) as readonly (keyof typeof CODE)[];

function start(): void {
  m.start('long', { cr4: CR4.pcide | CR4.pge });
  PLACES.forEach((name, n) => {
    m.code(CODE[name], AT.code + n * 0x10);
  });
  FRAMES.forEach((frame, n) => {
    m.view.setUint32(frame, n, true);
  });
}
function execute(what: keyof typeof CODE, rax: bigint, rsi: bigint): void {
  m.set([GPR.rax, rax], [GPR.rsi, rsi]);
  m.cpu.rip = BigInt(AT.code + PLACES.indexOf(what) * 0x10);
  expect(m.engine.run(1000)).toBe(EXIT.hlt);
}
const loadCr3 = (pcid: number, keep: boolean) => execute('cr3', BigInt(m.tables.root + pcid) | (keep ? KEEP : 0n), 0n);
const map = (page: number, frame: number, global: boolean) =>
  m.tables.map(PAGES[page] as bigint, FRAMES[frame] as number, PTE.p | PTE.w | (global ? PTE.g : 0n));
/** The frame that a page's data come from. */
function read(page: number): number {
  execute('read', 0n, PAGES[page] as bigint);
  return Number(m.gpr(GPR.rax));
}
/** The frame that a write goes to. */
function write(page: number): number {
  execute('write', 0x77n, PAGES[page] as bigint);
  const frame = FRAMES.findIndex((at) => m.view.getUint32(at, true) === 0x77);
  m.view.setUint32(FRAMES[frame] as number, frame, true);
  return frame;
}

describe('software TLBs', () => {
  type Step =
    | { readonly kind: 'map'; readonly page: number; readonly frame: number; readonly global: boolean }
    | { readonly kind: 'read' | 'write' | 'invlpg'; readonly page: number }
    | { readonly kind: 'cr3'; readonly pcid: number; readonly keep: boolean }
    | { readonly kind: 'pge' };
  const page = fc.nat(PAGES.length - 1);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('map' as const), page, frame: fc.nat(2), global: fc.boolean() }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('read' as const, 'write' as const), page }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('invlpg' as const), page }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('cr3' as const), pcid: fc.nat(2), keep: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'pge' as const }) },
  );

  it('never use a translation that had to be dropped', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        start();
        /** What may be cached, as frames by page: for each PCID, and for all. */
        const spaces = [0, 1, 2].map(() => PAGES.map(() => new Set<number>()));
        const everywhere = PAGES.map(() => new Set<number>());
        const now = PAGES.map(() => ({ frame: 0, global: false }));
        let pcid = 0;
        PAGES.forEach((_, n) => {
          map(n, 0, false);
        });
        for (const s of steps) {
          const own = spaces[pcid] as Set<number>[];
          if (s.kind === 'map') {
            map(s.page, s.frame, s.global);
            now[s.page] = { frame: s.frame, global: s.global };
          } else if (s.kind === 'cr3') {
            pcid = s.pcid;
            if (!s.keep) for (const frames of spaces[pcid] as Set<number>[]) frames.clear();
            loadCr3(s.pcid, s.keep);
          } else if (s.kind === 'invlpg') {
            own[s.page]?.clear();
            everywhere[s.page]?.clear();
            execute('invlpg', 0n, PAGES[s.page] as bigint);
          } else if (s.kind === 'pge') {
            for (const frames of [...spaces.flat(), ...everywhere]) frames.clear();
            for (const bits of [CR4.pae | CR4.pcide, CR4.pae | CR4.pcide | CR4.pge]) execute('cr4', BigInt(bits), 0n);
          } else {
            const { frame, global } = now[s.page] as { frame: number; global: boolean };
            (global ? everywhere : own)[s.page]?.add(frame);
            const allowed = [...(own[s.page] as Set<number>), ...(everywhere[s.page] as Set<number>)];
            expect(allowed).toContain(s.kind === 'read' ? read(s.page) : write(s.page));
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('have an address space again that MOV CR3 comes back to, and global pages in all of them', () => {
    start();
    map(0, 1, false);
    map(1, 1, true);
    const seen = () => [read(0), read(1)];
    expect(seen()).toEqual([1, 1]);
    map(0, 2, false);
    map(1, 2, true);
    loadCr3(1, false);
    expect(seen()).toEqual([2, 1]);
    loadCr3(0, true);
    expect(seen()).toEqual([1, 1]);
    execute('invlpg', 0n, PAGES[1]);
    expect(seen()).toEqual([1, 2]);
    loadCr3(1, true);
    expect(seen()).toEqual([2, 2]);
    loadCr3(0, false);
    expect(seen()).toEqual([2, 2]);
  });

  it('are empty after PCIDs were switched off and on, whichever was in use', () => {
    start();
    map(0, 1, false);
    loadCr3(2, false);
    execute('cr4', BigInt(CR4.pae | CR4.pge), 0n);
    loadCr3(0, false);
    execute('cr4', BigInt(CR4.pae | CR4.pge | CR4.pcide), 0n);
    expect(read(0)).toBe(1);
    map(0, 2, false);
    loadCr3(2, true);
    expect(read(0)).toBe(2);
  });

  it('keep pages that share an entry without walking again', () => {
    start();
    for (const n of [0, 1, 2]) map(n, n, n === 1);
    const seen = () => [0, 1, 2].map(read);
    expect(seen()).toEqual([0, 1, 2]);
    // Entries that nothing invalidates stay in use.
    for (const n of [0, 1, 2]) map(n, 0, n === 1);
    for (let turn = 0; turn < 4; turn++) expect(seen()).toEqual([0, 1, 2]);
  });

  it('lead no write past decoded code, in no address space', () => {
    start();
    map(0, 1, false);
    expect(write(0)).toBe(1);
    loadCr3(1, false);
    // mov eax,1; hlt: run at its own address, then changed through the other mapping.
    m.code('b801000000f4', FRAMES[1]);
    const call = () => {
      m.cpu.rip = BigInt(FRAMES[1]);
      expect(m.engine.run(1000)).toBe(EXIT.hlt);
      return m.gpr(GPR.rax);
    };
    expect(call()).toBe(1n);
    loadCr3(0, true);
    execute('write', 0x5b8n, PAGES[0]);
    expect(call()).toBe(5n);
  });

  it('keep apart in the second level what shares an entry in the first', () => {
    // Debian's per-CPU area, a kernel stack, and memory descriptors of theirs.
    const sets = [setOf(0x0f61_f000, 0xffff_8880, 0), setOf(0x0061_f000, 0xffff_c900, 0), setOf(0x0061_f000, 0xffff_ea00, 0)];
    expect(new Set(sets).size).toBe(3);
  });

  it.each([10, TLB.mostFilled, TLB.mostFilled + 1, 4 * TLB.mostFilled])(
    'drop what they must and no more, of %d entries of each kind',
    (count) => {
      start();
      const tlb = new Tlb(m.cpu, m.memory);
      tlb.flush(true);
      // Neighbours are of different kinds; those of a second round have the entries of the first one's other kind.
      const pages = Array.from({ length: 2 * count }, (_, n) => ({
        n,
        array: (n >> 10) % TLB.arrays,
        low: n << 12,
        global: n % 2 === 1,
      }));
      const held = () => pages.filter(({ array, low }) => tlb.addend(array, low, 7) !== 0);
      for (const round of [0, 1]) {
        const fill = () => {
          for (const { array, low, global } of pages) tlb.fill(array, low, 7, 0, 0x5000, global !== (round === 1), false);
        };
        fill();
        const filled = held();
        expect(filled.length).toBe(Math.min(pages.length, TLB.entries * TLB.arrays));
        tlb.flush(false);
        expect(held()).toEqual(filled.filter(({ global }) => global !== (round === 1)));
        fill();
        tlb.flush(true);
        expect(held()).toEqual([]);
        tlb.flush(true);
        fill();
        tlb.enterSpace(1, false);
        expect(held()).toEqual(filled.filter(({ global }) => global !== (round === 1)));
      }
    },
  );

  it('start again with their keys when these run out', () => {
    start();
    const tlb = new Tlb(m.cpu, m.memory, 8);
    tlb.flush(true);
    const keys = () => [m.cpu.get32(STATE.tlbKey), m.cpu.get32(STATE.tlbGlobalKey)];
    tlb.fill(0, 0x1000, 0, 0, 0x5000, false, true);
    const second = m.memory.u32.subarray((m.cpu.base + SECOND_TLB.at) >> 2, (m.cpu.base + SECOND_TLB.at + SECOND_TLB.bytes) >> 2);
    for (let n = 0; n < 4; n++) {
      tlb.enterSpace(n, false);
      expect(second.some((word) => word !== 0)).toBe(true);
    }
    for (let n = 0; n < 2; n++) tlb.enterSpace(n, false);
    expect(second.every((word) => word === 0)).toBe(true);
    expect(new Set(keys()).size).toBe(2);
    tlb.flush(true);
    expect(new Set(keys()).size).toBe(2);
  });
});
