import { describe, expect, it } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import {
  EACCES,
  EDOM,
  EFAULT,
  EILSEQ,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSYS,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
  ESRCH,
} from '../../abi/xen/errno.ts';
import { XENMAPSPACE, XENMEM } from '../../abi/xen/memory.ts';
import { P2M_FRAMES } from '../../memory/guest-memory.ts';
import { DOMID, RAM_PAGES, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;
const IDXS = 0x3000;
const GPFNS = 0x3800;
const ERRS = 0x4000;
const WALLCLOCK_SECONDS = 0x2345_6789;

const reservation = (g: TestGuest) => g.call('memory_op', XENMEM.current_reservation, g.poke(ARG, SELF));
const move = (g: TestGuest, from: number, to: number) =>
  g.call('memory_op', XENMEM.add_to_physmap, g.poke(ARG, SELF, XENMAPSPACE.gmfn, from, 0, to, 0));
const range = (g: TestGuest, from: number, to: number, size: number, start = 0) =>
  g.call(
    'memory_op',
    XENMEM.add_to_physmap | (start << 6),
    g.poke(ARG, SELF | (size << 16), XENMAPSPACE.gmfn_range, from, 0, to, 0),
  );

describe('XENMAPSPACE_gmfn', () => {
  it("moves a page, and the page that was there becomes the host's", () => {
    const g = new TestGuest();
    g.poke(0x20000, 0x1111);
    g.poke(0x21000, 0x2222);
    expect(move(g, 0x20, 0x21)).toBe(0);
    expect(g.memory.isRam(0x20 as Gfn)).toBe(false);
    expect(g.peek(0x21000)).toBe(0x1111);
    expect(reservation(g)).toBe(RAM_PAGES - 1);
    expect(move(g, 0x21, 0xe0000)).toBe(0);
    expect(g.peek(0xe000_0000)).toBe(0x1111);
    expect(reservation(g)).toBe(RAM_PAGES - 1);
    expect(move(g, 0xe0000, 0xe0000)).toBe(0);
    expect(g.peek(0xe000_0000)).toBe(0x1111);
    expect(move(g, 0xe0000, 0x10_0000)).toBe(0);
    expect(g.peek(0x1_0000_0000)).toBe(0x1111);
  });

  it('moves an overlay, and takes the place of one', () => {
    const g = new TestGuest();
    g.mapSharedInfo(0x10);
    expect(move(g, 0x10, 0x11)).toBe(0);
    expect(g.peek(0x11c04)).toBe(WALLCLOCK_SECONDS);
    g.poke(0x12000, 0x3333);
    expect(move(g, 0x12, 0x11)).toBe(0);
    expect(g.peek(0x11000)).toBe(0x3333);
    expect(g.domain.overlays.gfn(0)).toBe(0xffff_ffff);
  });

  it('moves a ring and lets one go', () => {
    const g = new TestGuest();
    g.memory.u8[g.domain.at + g.domain.plan.console] = 0x77;
    expect(move(g, 0xfefff, 0x20)).toBe(0);
    expect(g.peek(0x20000)).toBe(0x77);
    expect(move(g, 0x21, 0xfeffc)).toBe(0);
    expect(reservation(g)).toBe(RAM_PAGES - 1); // what was at 0x20
  });

  it('refuses a frame without a page, one out of reach, and a balloon that is full', () => {
    const g = new TestGuest({ config: { balloonPages: 0 } });
    expect(move(g, 0x999, 0x10)).toBe(-EINVAL);
    expect(move(g, 0x10, P2M_FRAMES)).toBe(-EINVAL);
    expect(move(g, 0x10, 0x11)).toBe(-ENOMEM);
    expect([0x10, 0x11].map((gfn) => g.memory.isRam(gfn as Gfn))).toEqual([true, true]);
    expect(move(g, 0x10, 0x200)).toBe(0);
  });
});

describe('XENMAPSPACE_gmfn_range', () => {
  it('moves consecutive pages, from where a continuation says, up to the first that fails', () => {
    const g = new TestGuest();
    g.poke(0x20000, 0x1111);
    g.poke(0x21000, 0x2222);
    expect(range(g, 0x20, 0x200, 2)).toBe(0);
    expect([g.peek(0x200_000), g.peek(0x201_000)]).toEqual([0x1111, 0x2222]);
    expect(range(g, 0x1f0, 0x300, 18, 17)).toBe(0); // frame 0x201 alone
    expect(g.peek(0x311_000)).toBe(0x2222);
    expect(range(g, 0x3e, 0x400, 3)).toBe(-EINVAL); // RAM ends at 0x3f
    expect([0x3e, 0x3f, 0x400, 0x401].map((gfn) => g.memory.isRam(gfn as Gfn))).toEqual([false, false, true, true]);
    expect(range(g, 0x20, 0x200, 0)).toBe(0);
  });

  it('refuses what wraps and what starts beyond its end', () => {
    const g = new TestGuest();
    expect(range(g, 0x20, 0x200, 2, 3)).toBe(-EILSEQ);
    expect(range(g, 0x20, 0x200, 2, 0x1_0000)).toBe(-EDOM);
    const at = (idx: number[], gfn: number[]) =>
      g.call('memory_op', XENMEM.add_to_physmap, g.poke(ARG, SELF | (4 << 16), XENMAPSPACE.gmfn_range, ...idx, ...gfn));
    expect(at([0xffff_fffe, 0xffff_ffff], [0x20, 0])).toBe(-EOVERFLOW);
    expect(at([0x20, 0], [0xffff_fffe, 0xffff_ffff])).toBe(-EOVERFLOW);
    expect(at([0x20, 0], [0xffff_ffff, 0xffff_ffff])).toBe(-EINVAL);
  });

  it('comes back for more after 4096 pages', () => {
    const g = new TestGuest();
    // One page at the range's start; the next is a hole, so that the range ends at once: no continuation.
    expect(range(g, 0x3f, 0x200, 5000)).toBe(-EINVAL);
    expect(g.continuations).toBe(0);
    for (let gfn = 0x40; gfn < 0x40 + 5000; gfn++) g.memory.map(gfn as Gfn, (g.memory.entry(0 as Gfn) & ~0xfff) as never);
    expect(range(g, 0x40, 0x2000, 5000)).toBe(0);
    expect(g.continuations).toBe(1);
    expect(g.memory.isRam((0x2000 + 4999) as Gfn)).toBe(true);
  });
});

describe('add_to_physmap_batch', () => {
  const batch = (g: TestGuest, space: number, entries: [idx: number, gfn: number][], foreign = 0, start = 0) => {
    g.poke(IDXS, ...entries.flatMap(([idx]) => [idx, 0]));
    g.poke(GPFNS, ...entries.flatMap(([, gfn]) => [gfn, 0]));
    g.poke(ERRS, ...entries.map(() => 0x7777));
    g.poke(ARG, SELF | (space << 16), entries.length | (foreign << 16), IDXS, 0, GPFNS, 0, ERRS, 0);
    return g.call('memory_op', XENMEM.add_to_physmap_batch | (start << 6), ARG);
  };
  const errs = (g: TestGuest, count: number) => Array.from({ length: count }, (_, i) => g.peek(ERRS + i * 4) | 0);

  it('answers each entry by itself', () => {
    const g = new TestGuest();
    expect(
      batch(g, XENMAPSPACE.grant_table, [
        [0, 0x10],
        [9, 0x11],
        [1, 0x12],
        [2, P2M_FRAMES],
      ]),
    ).toBe(0);
    expect(errs(g, 4)).toEqual([0, -EINVAL, 0, -EINVAL]);
    expect([1, 2].map((page) => g.domain.overlays.gfn(page))).toEqual([0x10, 0x12]);
    expect(
      batch(g, XENMAPSPACE.gmfn, [
        [0x20, 0x30],
        [0x20, 0x31],
      ]),
    ).toBe(0);
    expect(errs(g, 2)).toEqual([0, -EINVAL]);
    expect(
      batch(g, XENMAPSPACE.shared_info, [
        [0, 0x13],
        [1, 0x14],
      ]),
    ).toBe(0);
    expect(errs(g, 2)).toEqual([0, -EINVAL]);
    expect(batch(g, 9, [[0, 0x13]])).toBe(0);
    expect(errs(g, 1)).toEqual([-EINVAL]);
  });

  it('does not map pages of another domain for an ordinary one', () => {
    const g = new TestGuest();
    for (const [domid, error] of [
      [0, -EPERM],
      [DOMID, -EPERM],
      [SELF, -ESRCH],
      [99, -ESRCH],
    ] as const) {
      expect(batch(g, XENMAPSPACE.gmfn_foreign, [[0, 0x10]], domid)).toBe(0);
      expect(errs(g, 1)).toEqual([error]);
    }
  });

  it('fails as a whole for bad arguments and lists, with what is done done', () => {
    const g = new TestGuest();
    expect(batch(g, XENMAPSPACE.gmfn_range, [[0, 0x10]])).toBe(-EOPNOTSUPP);
    expect(batch(g, XENMAPSPACE.dev_mmio, [[0, 0x10]])).toBe(-EACCES);
    expect(batch(g, XENMAPSPACE.shared_info, [])).toBe(0);
    expect(batch(g, XENMAPSPACE.shared_info, [[0, 0x10]], 0, 1)).toBe(-EILSEQ);
    expect(batch(g, XENMAPSPACE.shared_info, [[0, 0x10]], 0, 2)).toBe(-EILSEQ);
    expect(batch(g, XENMAPSPACE.shared_info, [[0, 0x10]], 0, 0x1_0000)).toBe(-EDOM);
    expect(
      batch(
        g,
        XENMAPSPACE.grant_table,
        [
          [9, 0x10],
          [0, 0x11],
        ],
        0,
        1,
      ),
    ).toBe(0);
    expect(errs(g, 2)).toEqual([0x7777, 0]);
    g.poke(ARG, SELF | (1 << 16), 3, IDXS, 0, 0x3_fff8, 0, ERRS, 0); // the list of frames ends with RAM
    g.poke(0x3_fff8, 0x15, 0);
    g.poke(IDXS, 0, 0, 0, 0);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, ARG)).toBe(-EFAULT);
    expect(g.domain.overlays.gfn(1)).toBe(0x15);
    g.poke(ARG, SELF | (1 << 16), 1, IDXS, 0, GPFNS, 0, 0xdead_0000, 0);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, ARG)).toBe(-EFAULT);
    g.poke(GPFNS, 0xffff_ffff, 0xffff_ffff);
    g.poke(ARG, SELF | (1 << 16), 1, IDXS, 0, GPFNS, 0, ERRS, 0);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, ARG)).toBe(-EINVAL);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, g.poke(ARG, 99, 1))).toBe(-ESRCH);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, g.poke(ARG, 0, 1))).toBe(-EPERM);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, 0xdead_0000)).toBe(-EFAULT);
  });

  it('reads the 20-byte structure and 4-byte lists of a 32-bit caller, across pages', () => {
    const g = new TestGuest();
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    g.poke(0x3ffc, 1, 0, 2);
    g.poke(0x4ffc, 0x20, 0x21, 0x22);
    g.poke(0x5ff4, SELF | (XENMAPSPACE.grant_table << 16), 3, 0x3ffc, 0x4ffc, 0x6ffc);
    expect(g.call('memory_op', XENMEM.add_to_physmap_batch, 0x5ff4)).toBe(0);
    expect([0x6ffc, 0x7000, 0x7004].map((at) => g.peek(at))).toEqual([0, 0, 0]);
    expect([1, 2, 3].map((page) => g.domain.overlays.gfn(page))).toEqual([0x21, 0x20, 0x22]);
  });
});

describe('overlays and RAM', () => {
  it('comes back to a hole, and to the RAM beneath, in any order', () => {
    const g = new TestGuest();
    const add = (space: number, idx: number, gfn: number) =>
      g.call('memory_op', XENMEM.add_to_physmap, g.poke(ARG, SELF, space, idx, 0, gfn, 0));
    const remove = (gfn: number) => g.call('memory_op', XENMEM.remove_from_physmap, g.poke(ARG, SELF, 0, gfn, 0));
    g.poke(0x10000, 0x1111);
    expect([add(0, 0, 0x10), add(1, 0, 0xf0000), add(1, 0, 0x10), add(0, 0, 0xf0000)]).toEqual([0, 0, 0, 0]);
    expect(g.peek(0xf000_0c04)).toBe(WALLCLOCK_SECONDS);
    expect([remove(0xf0000), remove(0xf0000)]).toEqual([0, -ENOENT]);
    expect(remove(0x10)).toBe(0);
    expect(g.peek(0x10000)).toBe(0x1111);
    expect(add(0, 0, 0x10)).toBe(0);
    expect(remove(0x10)).toBe(0);
    expect(g.peek(0x10000)).toBe(0x1111);
  });

  it('notes the highest frame that ever had memory', () => {
    const g = new TestGuest();
    const highest = () => g.call('memory_op', XENMEM.maximum_gpfn, g.poke(ARG, SELF));
    expect(highest()).toBe(0xfefff);
    g.mapSharedInfo(0xff123);
    g.mapSharedInfo(0x10);
    expect(highest()).toBe(0xff123);
    expect(g.call('memory_op', XENMEM.maximum_ram_page)).toBe(0xff124);
  });

  it('does not know an operation beyond those of Xen', () => {
    const g = new TestGuest();
    for (const op of [8, 12, 20, 22, 29, 63]) expect(g.call('memory_op', op, g.poke(ARG, SELF))).toBe(-ENOSYS);
  });
});
