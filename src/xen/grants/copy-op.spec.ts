import { describe, expect, it } from 'vitest';
import { EFAULT } from '../../abi/xen/errno.ts';
import { GNTCOPY, GNTST, GNTTABOP, GTF } from '../../abi/xen/grant-table.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { ARG, GFN, GrantGuest, SELF } from '../fixtures/grant-guest.ts';
import { DOMID } from '../fixtures/test-guest.ts';

interface Side {
  readonly ref?: number;
  readonly gfn?: number;
  readonly domid?: number;
  readonly offset?: number;
}
const side = ({ ref, gfn = 0, domid = SELF, offset = 0 }: Side, wide: boolean) =>
  wide ? [ref ?? gfn, 0, domid | (offset << 16), 0] : [ref ?? gfn, domid | (offset << 16)];

function words(source: Side, dest: Side, length: number, wide: boolean): number[] {
  const flags = (source.ref === undefined ? 0 : GNTCOPY.source_gref) | (dest.ref === undefined ? 0 : GNTCOPY.dest_gref);
  return [...side(source, wide), ...side(dest, wide), length | (flags << 16), 0xeeee];
}

function guest(version: 1 | 2 = 1) {
  const g = new GrantGuest(version);
  const copy = (source: Side, dest: Side, length = 4): number =>
    g.operate('copy', 36, words(source, dest, length, true))[0] as number;
  return { g, copy };
}
const AT = GFN * 4096;

describe.each([1, 2] as const)('in version %i', (version) => {
  it('copies between frames and grants, each to each', () => {
    const { g, copy } = guest(version);
    g.poke(AT, 0x1111, 0x2222);
    g.grantOwn(8);
    g.grantOwn(9, { frame: GFN + 1 });
    expect(copy({ gfn: GFN, offset: 4 }, { gfn: GFN + 2, offset: 8 })).toBe(GNTST.okay);
    expect(g.peek(AT + 2 * 4096 + 8)).toBe(0x2222);
    expect(copy({ ref: 8 }, { gfn: GFN + 2 })).toBe(GNTST.okay);
    expect(g.peek(AT + 2 * 4096)).toBe(0x1111);
    expect(copy({ gfn: GFN }, { ref: 9, offset: 4092 })).toBe(GNTST.okay);
    expect(g.peek(AT + 4096 + 4092)).toBe(0x1111);
    expect(copy({ ref: 8, domid: DOMID }, { ref: 9, domid: DOMID })).toBe(GNTST.okay);
    expect(g.peek(AT + 4096)).toBe(0x1111);
    expect([g.inUse(8), g.inUse(9)]).toEqual([0, 0]);
  });

  it('copies a whole page onto itself and moves overlapping bytes', () => {
    const { g, copy } = guest(version);
    g.grantOwn(8);
    g.poke(AT, 1, 2, 3);
    expect(copy({ ref: 8 }, { ref: 8, offset: 4 }, 12)).toBe(GNTST.okay);
    expect([0, 4, 8, 12].map((o) => g.peek(AT + o))).toEqual([1, 1, 2, 3]);
    expect(copy({ gfn: GFN }, { ref: 8 }, 4096)).toBe(GNTST.okay);
  });

  it('does not write to a read-only grant', () => {
    const { g, copy } = guest(version);
    g.grantOwn(8, { flags: GTF.permit_access | GTF.readonly });
    expect(copy({ ref: 8 }, { gfn: GFN + 1 })).toBe(GNTST.okay);
    expect(copy({ gfn: GFN + 1 }, { ref: 8 })).toBe(GNTST.general_error);
    expect(g.inUse(8)).toBe(0);
  });

  it('checks entries and frames before offsets', () => {
    const { g, copy } = guest(version);
    g.grantOwn(8);
    expect(copy({ ref: 100_000, offset: 4096 }, { gfn: GFN })).toBe(GNTST.bad_gntref);
    expect(copy({ ref: 10 }, { gfn: GFN })).toBe(GNTST.general_error);
    expect(copy({ ref: 8 }, { ref: 10 })).toBe(GNTST.general_error);
    g.grantOwn(9, { frame: 0x5000 });
    expect(copy({ ref: 9 }, { gfn: GFN })).toBe(GNTST.bad_page);
    expect(copy({ gfn: GFN }, { ref: 9 })).toBe(GNTST.bad_page);
    expect(copy({ gfn: 0x5000 }, { gfn: GFN })).toBe(GNTST.bad_page);
    expect(copy({ gfn: GFN }, { gfn: 0xffff_ffff })).toBe(GNTST.bad_page);
    g.grantOwn(9, { domid: 0 });
    expect(copy({ ref: 9 }, { gfn: GFN })).toBe(GNTST.general_error);
    expect([g.inUse(8), g.inUse(9)]).toEqual([0, 0]);
  });
});

it('crosses no page', () => {
  const { g, copy } = guest();
  g.grantOwn(8);
  expect(copy({ gfn: GFN, offset: 4093 }, { gfn: GFN + 1 })).toBe(GNTST.bad_copy_arg);
  expect(copy({ ref: 8 }, { gfn: GFN + 1, offset: 4093 })).toBe(GNTST.bad_copy_arg);
  expect(copy({ ref: 8 }, { ref: 8 }, 4097)).toBe(GNTST.bad_copy_arg);
  expect(copy({ ref: 8, offset: 4096 }, { ref: 8, offset: 4096 }, 0)).toBe(GNTST.okay);
  expect(copy({ ref: 8, offset: 0xffff }, { ref: 8 }, 0xffff)).toBe(GNTST.bad_copy_arg);
});

it('asks nothing of a copy of no bytes', () => {
  expect(guest().copy({ ref: 0xffff_ffff, domid: 99 }, { gfn: 0x5000, domid: 3 }, 0)).toBe(GNTST.okay);
});

it('takes a frame of DOMID_SELF only, and a grant of a domain there is', () => {
  const { g, copy } = guest();
  g.grantOwn(8);
  expect(copy({ gfn: GFN, domid: DOMID }, { gfn: GFN })).toBe(GNTST.permission_denied);
  expect(copy({ gfn: GFN }, { gfn: GFN, domid: 0 })).toBe(GNTST.permission_denied);
  expect(copy({ ref: 8, domid: 99 }, { gfn: GFN })).toBe(GNTST.bad_domain);
  expect(copy({ gfn: GFN }, { ref: 8, domid: 99 })).toBe(GNTST.bad_domain);
  expect(copy({ ref: 8, domid: 0 }, { gfn: GFN })).toBe(GNTST.general_error);
  expect(copy({ gfn: GFN }, { ref: 512, domid: 0 })).toBe(GNTST.bad_gntref);
});

it('stays within what a sub-page grant grants', () => {
  const { g, copy } = guest(2);
  const sub = (offset: number, length: number) =>
    g.grantOwn(8, { flags: GTF.permit_access | GTF.sub_page, middle: offset | (length << 16) });
  sub(100, 8);
  g.poke(AT + 100, 0x1111, 0x2222);
  expect(copy({ ref: 8, offset: 104 }, { gfn: GFN + 1 })).toBe(GNTST.okay);
  expect(g.peek(AT + 4096)).toBe(0x2222);
  expect(copy({ ref: 8, offset: 105 }, { gfn: GFN + 1 })).toBe(GNTST.general_error);
  expect(copy({ gfn: GFN + 1 }, { ref: 8, offset: 99 })).toBe(GNTST.general_error);
  sub(0x8000 + 16, 16); // Xen keeps 15 bits
  expect(copy({ ref: 8, offset: 16 }, { gfn: GFN + 1 })).toBe(GNTST.okay);
  // Version 1 knows no sub-pages: the bit means nothing to a copy.
  const v1 = guest();
  v1.g.grantOwn(8, { flags: GTF.permit_access | GTF.sub_page });
  expect(v1.copy({ ref: 8, offset: 2000 }, { gfn: GFN + 1 })).toBe(GNTST.okay);
});

it('gets nowhere with a transitive grant', () => {
  const { g, copy } = guest(2);
  const transitive = (domid: number, gref: number) => {
    g.poke(0x38_000 + 8 * 16, ((DOMID << 16) | GTF.transitive) >>> 0, domid, gref, 0);
    return copy({ ref: 8 }, { gfn: GFN });
  };
  expect(transitive(DOMID, 9)).toBe(GNTST.general_error);
  expect(transitive(99, 9)).toBe(GNTST.general_error);
  expect(transitive(0, 9)).toBe(GNTST.general_error);
  expect(transitive(0, 512)).toBe(GNTST.bad_gntref);
  expect(g.inUse(8)).toBe(0);
});

it('drops code decoded from the page it writes', () => {
  const { g, copy } = guest();
  const changed: number[] = [];
  g.memory.onChange((gfn) => void changed.push(gfn));
  g.memory.flag((GFN + 1) as never, P2M.code, 0);
  copy({ gfn: GFN }, { gfn: GFN + 1 });
  copy({ gfn: GFN }, { gfn: GFN + 2 });
  expect(changed).toEqual([GFN + 1]);
});

it('gives each operation its own status', () => {
  const { g } = guest();
  const one = (offset: number) => words({ gfn: GFN }, { gfn: GFN + 1, offset }, 4, true);
  g.poke(AT, 0x77);
  expect(g.operate('copy', 36, one(0), one(4095), one(8))).toEqual([0, GNTST.bad_copy_arg, 0]);
  expect([g.peek(AT + 4096), g.peek(AT + 4096 + 8)]).toEqual([0x77, 0x77]);
  // Only the status is written.
  expect(g.peek(ARG + 40 + 32)).toBe(4);
  expect(g.call('grant_table_op', GNTTABOP.copy, 64 * 4096 - 40, 2)).toBe(-EFAULT);
});

it('reads the 24-byte structure of a 32-bit caller', () => {
  const { g } = guest();
  for (const caller of g.callers) caller.longMode = false;
  g.grantOwn(8, { frame: GFN + 1 });
  g.poke(AT, 0x55);
  const ops = [words({ gfn: GFN }, { ref: 8, offset: 8 }, 4, false), words({ gfn: GFN }, { ref: 7 }, 4, false)];
  expect(g.operate('copy', 20, ...ops)).toEqual([GNTST.okay, GNTST.general_error]);
  expect(g.peek(AT + 4096 + 8)).toBe(0x55);
});
