import { describe, expect, it } from 'vitest';
import type { Row } from '../../src/cpu/x86/row.ts';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import { agree } from './compare.ts';
import { CpuImage, type CpuResult, FLAG } from './cpu-image.ts';
import { type HostVendor, vendorOf } from './host-vendor.ts';
import { Random } from './random.ts';
import { rowName } from './row-cases.ts';
import { StateGenerator } from './state.ts';
import { type CaseSubject, excusesFor, VENDOR_DIFFERENCES } from './vendor-differences.ts';

const before = new CpuImage();
new StateGenerator(new Random(5)).fill(before, 64);
before.rflags &= ~(FLAG.ac | FLAG.tf);

type Change = (image: CpuImage) => void;
const ended = (change: Change): CpuResult => {
  const image = before.clone();
  change(image);
  return { outcome: 'done', image };
};
const faulted = (vector: number, change: Change = () => {}, cr2 = 0n): CpuResult => ({
  ...ended(change),
  outcome: 'fault',
  fault: { vector, errorCode: 0, cr2 },
});
const at =
  (rip: bigint): Change =>
  (image) => {
    image.rip = rip;
  };
const stores =
  (offset: number, value: number): Change =>
  (image) => {
    image.data[offset] = value;
  };
const both =
  (...changes: Change[]): Change =>
  (image) => {
    for (const change of changes) change(image);
  };
const rowOf = (pattern: RegExp): Row => {
  const row = ROWS.find((candidate) => pattern.test(rowName(candidate)));
  if (row === undefined) throw new Error(`no row is like ${pattern}`);
  return row;
};

interface Sample extends Partial<CaseSubject> {
  readonly native: CpuResult;
  readonly emulated: CpuResult;
  readonly vendor?: HostVendor;
}

function agrees(pattern: RegExp, code: readonly number[], { vendor = 'amd', ...sample }: Sample): boolean {
  const row = rowOf(pattern);
  const differing = {
    row,
    code: Uint8Array.from(code),
    before,
    mode: 64 as const,
    osize: 4 as const,
    asize: 8 as const,
    rex: 0,
    memory: false,
    rm: 0,
    count: () => 0,
    withoutAlignmentCheck: () => sample.emulated,
    ...sample,
  };
  const { undefinedState } = excusesFor(vendor, rowName(row), differing, {});
  return agree(sample.native, sample.emulated, undefinedState);
}

describe('the vendor of a host', () => {
  it.each([
    ['GenuineIntel', 'intel'],
    ['AuthenticAMD', 'amd'],
    ['HygonGenuine', 'amd'],
    ['CentaurHauls', 'other'],
  ])('%s is %s', (id, vendor) => expect(vendorOf(`processor\t: 0\nvendor_id\t: ${id}\ncpu family\t: 6\n`)).toBe(vendor));
  it('is unknown where cpuinfo has none', () => expect(vendorOf('processor : 0\n')).toBe('other'));
});

describe('rules for hosts of another vendor', () => {
  it('are each about some row', () => {
    const names = ROWS.map(rowName);
    const idle = Object.values(VENDOR_DIFFERENCES)
      .flat()
      .filter(({ rows }) => !names.some((name) => rows.test(name)));
    expect(idle.map(({ what }) => what)).toEqual([]);
  });

  it('are none on an Intel host, or one of unknown make', () => {
    const sample = { native: faulted(6), emulated: ended(at(0x1000_0803n)) };
    expect([
      agrees(/^prefetch /, [0x0f, 0x0d, 0xd9], sample),
      agrees(/^prefetch /, [0x0f, 0x0d, 0xd9], { ...sample, vendor: 'intel' }),
      agrees(/^prefetch /, [0x0f, 0x0d, 0xd9], { ...sample, vendor: 'other' }),
    ]).toEqual([true, false, false]);
  });

  it('excuse the target of a short branch with a 66 prefix, if its low half is right, and nothing else', () => {
    const jo = (native: CpuResult, prefixes = [0x66]) =>
      agrees(/^jo \(70\)/, [...prefixes, 0x70, 0x23], { native, emulated: ended(at(0x1000_0826n)) });
    expect(jo(faulted(14, at(0x826n), 0x826n))).toBe(true);
    expect(jo(faulted(14, at(0x828n), 0x828n))).toBe(false);
    expect(jo(faulted(14, both(at(0x826n), stores(0, before.data[0]! ^ 1)), 0x826n))).toBe(false);
    expect(jo(faulted(14, at(0x826n), 0x826n), [])).toBe(false);
  });

  it('excuse a zeroed upper half of a pushed selector, and no other byte', () => {
    const state = both(stores(0x102, 7), stores(0x103, 8));
    const push = (native: CpuResult) => agrees(/^push fs /, [0x0f, 0xa0], { native, emulated: ended(() => {}), osize: 4 });
    const upper = both(stores(0x102, 0), stores(0x103, 0));
    expect(push(ended(upper))).toBe(true);
    expect(push(ended(state))).toBe(false);
    expect(push(ended(both(upper, stores(0x105, 0))))).toBe(before.data[0x105] === 0);
  });

  it('excuse PAUSE with REX.B for the exchange of R8 and RAX only', () => {
    const pause = (change: Change, rex = 0x49) =>
      agrees(/^pause /, [0xf3, rex, 0x90], { rex, osize: 8, native: ended(change), emulated: ended(() => {}) });
    const exchange: Change = (image) => {
      [image.gpr[0], image.gpr[8]] = [before.gpr[8]!, before.gpr[0]!];
    };
    expect([
      pause(exchange),
      pause(exchange, 0x48),
      pause((image) => {
        image.gpr[0]! ^= 1n;
      }),
    ]).toEqual([true, false, false]);
  });

  it('excuse one bit of what FXSAVE stores', () => {
    const fxsave = (native: CpuResult) =>
      agrees(/^fxsave /, [0x0f, 0xae, 0x00], { native, emulated: ended(stores(0x5e, 0)), memory: true });
    expect([fxsave(ended(stores(0x5e, 2))), fxsave(ended(stores(0x5e, 3)))]).toEqual([true, false]);
    expect(fxsave(ended(both(stores(0x5e, 2), stores(0x60, before.data[0x60]! ^ 1))))).toBe(false);
  });

  it('excuse approximations within the error of both', () => {
    const rcp = (native: number) => {
      const lane =
        (value: number): Change =>
        (image) =>
          image.view.setFloat32(0xc0 + 160, value, true);
      return agrees(/^rcpps /, [0x0f, 0x53, 0xc7], { native: ended(lane(native)), emulated: ended(lane(1)) });
    };
    expect([rcp(1 + 2.9 * 2 ** -12), rcp(1 - 2.9 * 2 ** -12), rcp(1 + 3.1 * 2 ** -12), rcp(-1), rcp(Number.NaN)]).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('excuse the flags of a repeated comparison that faults, not of one that ends', () => {
    const scas = (native: CpuResult, emulated: CpuResult) => agrees(/^scas /, [0xf2, 0xaf], { native, emulated });
    const flags: Change = (image) => {
      image.rflags ^= FLAG.cf;
    };
    expect([
      scas(faulted(14, flags), faulted(14)),
      scas(
        ended(flags),
        ended(() => {}),
      ),
    ]).toEqual([true, false]);
  });

  it('excuse an #AC of 16 unaligned bytes only if nothing has changed', () => {
    const load = (native: CpuResult) =>
      agrees(/^movups \(0f 10\)/, [0x0f, 0x10, 0x03], { native, emulated: ended(at(0x1000_0803n)), memory: true });
    expect([load(faulted(17)), load(faulted(17, stores(9, before.data[9]! ^ 1))), load(faulted(13))]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('excuse a limit violation only at the end of 4 GiB', () => {
    const load = (cr2: bigint) =>
      agrees(/^cmovz /, [0x0f, 0x44, 0x31], {
        mode: 32,
        memory: true,
        native: faulted(13),
        emulated: faulted(14, () => {}, cr2),
      });
    expect([load(0xffff_ffffn), load(0x2000_2000n)]).toEqual([true, false]);
  });

  it('excuse a doubly shifted word for counts above 16 only', () => {
    const shld = (count: number, bit: bigint) =>
      agrees(/^shld \(0f a4\)/, [0x66, 0x0f, 0xa4, 0xc3, count], {
        osize: 2,
        rm: 3,
        count: () => count,
        emulated: ended(() => {}),
        native: ended((image) => {
          image.gpr[3]! ^= bit;
        }),
      });
    expect([shld(17, 1n), shld(31, 0x8000n), shld(16, 1n), shld(32 + 5, 1n), shld(17, 0x1_0000n)]).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
