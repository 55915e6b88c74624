import { expect, it } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import { XENMEM } from '../../abi/xen/memory.ts';
import { P2M_FRAMES } from '../../memory/guest-memory.ts';
import { RAM_PAGES, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const LIST = 0x3000;
const SELF = 0x7ff0;

function guest(balloonPages = 8) {
  const g = new TestGuest({ config: { balloonPages } });
  const op = (cmd: number, frames: number[], order = 0, domid = SELF) => {
    g.poke(LIST, ...frames.flatMap((gfn) => [gfn, 0]));
    return g.call('memory_op', cmd, g.poke(ARG, LIST, 0, frames.length, 0, order, 0, domid, 0));
  };
  const pages = () => g.call('memory_op', XENMEM.current_reservation, g.poke(ARG, SELF));
  return { g, op, pages };
}

it('takes pages and gives them back zeroed, elsewhere if asked', () => {
  const { g, op, pages } = guest();
  g.poke(0x20000, 0x1234);
  expect(op(XENMEM.decrease_reservation, [0x20, 0x21])).toBe(2);
  expect(pages()).toBe(RAM_PAGES - 2);
  expect(g.peek(0x20000)).toBe(0xffff_ffff);
  expect(op(XENMEM.populate_physmap, [0x1000, 0x21])).toBe(2);
  expect([g.peek(0x1000_000), g.peek(0x21000)]).toEqual([0, 0]);
  expect(pages()).toBe(RAM_PAGES);
  expect(op(XENMEM.populate_physmap, [0x1001])).toBe(0);
});

it('moves extents of several pages whole', () => {
  const { g, op, pages } = guest();
  expect(op(XENMEM.decrease_reservation, [0x20], 2)).toBe(1);
  expect(pages()).toBe(RAM_PAGES - 4);
  expect(op(XENMEM.populate_physmap, [P2M_FRAMES - 1], 1)).toBe(0); // beyond the last frame
  expect(op(XENMEM.populate_physmap, [0x20], 2)).toBe(1);
  expect(g.peek(0x23000)).toBe(0);
  expect(op(XENMEM.decrease_reservation, [0x20], 10)).toBe(0);
});

it('stops at the first extent that cannot be done', () => {
  const { g, op } = guest(3);
  expect(op(XENMEM.decrease_reservation, [0x20, 0x999, 0x21])).toBe(1);
  expect(op(XENMEM.decrease_reservation, [0x21, 0x22, 0x23])).toBe(2); // three pages are remembered at most
  expect(op(XENMEM.decrease_reservation, [0xfefff])).toBe(0); // the console ring
  g.mapSharedInfo(0x30);
  expect(op(XENMEM.decrease_reservation, [0x30])).toBe(0);
  expect(op(XENMEM.populate_physmap, [0x20], 0, 0)).toBe(0);
  expect(op(XENMEM.populate_physmap, [P2M_FRAMES])).toBe(0);
  expect(g.call('memory_op', XENMEM.populate_physmap, 0xdead_0000)).toBe(0);
});

it('lets an overlay go to a frame the balloon emptied', () => {
  const { g, op } = guest();
  op(XENMEM.decrease_reservation, [0x20]);
  expect(g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x20, 0))).toBe(0);
  g.poke(0x20000, 0x1234);
  expect(g.call('memory_op', 15, g.poke(ARG, SELF, 0, 0x20, 0))).toBe(0);
  expect(g.memory.isRam(0x20 as Gfn)).toBe(false);
  expect(op(XENMEM.populate_physmap, [0x20])).toBe(1);
  expect(g.peek(0x20000)).toBe(0);
});

it('replaces what is at a frame by a fresh page, as Xen does', () => {
  const { g, op, pages } = guest();
  g.poke(0x20000, 0x1111);
  g.poke(0x21000, 0x2222);
  expect(op(XENMEM.populate_physmap, [0x20])).toBe(1);
  expect([g.peek(0x20000), g.peek(0x21000)]).toEqual([0, 0x2222]);
  expect(pages()).toBe(RAM_PAGES);
  // Over an overlay: it is gone, and the page it hid is zeroed.
  g.mapSharedInfo(0x21);
  expect(op(XENMEM.populate_physmap, [0x21])).toBe(1);
  expect(g.peek(0x21000)).toBe(0);
  expect(g.domain.overlays.gfn(0)).toBe(0xffff_ffff);
});

it('unmaps an overlay and takes the page beneath', () => {
  const { g, op, pages } = guest();
  g.mapSharedInfo(0x30);
  expect(op(XENMEM.decrease_reservation, [0x30])).toBe(1);
  expect(g.memory.isRam(0x30 as Gfn)).toBe(false);
  expect(pages()).toBe(RAM_PAGES - 1);
  // With nothing beneath, no page changes hands.
  g.mapSharedInfo(0x1234);
  expect(op(XENMEM.decrease_reservation, [0x1234])).toBe(1);
  expect(pages()).toBe(RAM_PAGES - 1);
});

it('grows beyond the start size with spare pages, up to the maximum', () => {
  const { g, op, pages } = guest(16);
  const spare = g.addSpare(12); // the maximum is 10 above the start
  expect(op(XENMEM.populate_physmap, [0x100, 0x101])).toBe(2);
  g.poke(0x100000, 7);
  expect(spare()).toContain(7);
  expect(pages()).toBe(RAM_PAGES + 2);
  expect(op(XENMEM.populate_physmap, [0x108], 4)).toBe(0);
  expect(op(XENMEM.populate_physmap, [0x108], 3)).toBe(1);
  expect(op(XENMEM.populate_physmap, [0x200])).toBe(0);
  expect(op(XENMEM.decrease_reservation, [0x108], 3)).toBe(1);
  expect(op(XENMEM.populate_physmap, [0x200])).toBe(1);
});

it('counts pages without a frame, which are of no use to a translated guest', () => {
  const { op, pages } = guest();
  expect(op(XENMEM.increase_reservation, [0, 0, 0])).toBe(3);
  expect(pages()).toBe(RAM_PAGES + 3);
  expect(op(XENMEM.increase_reservation, [0, 0], 2)).toBe(1); // the maximum is 10 above the start
  expect(pages()).toBe(RAM_PAGES + 7);
});

it('answers with the extent to begin with when it can do nothing', () => {
  const { g, op } = guest();
  const from = (start: number) => (cmd: number) => op(cmd | (start << 6), [0x20, 0x21]);
  for (const cmd of [XENMEM.increase_reservation, XENMEM.decrease_reservation, XENMEM.populate_physmap])
    expect([2, 5].map((start) => from(start)(cmd))).toEqual([2, 5]);
  expect(from(1)(XENMEM.decrease_reservation)).toBe(2);
  expect([g.memory.isRam(0x20 as Gfn), g.memory.isRam(0x21 as Gfn)]).toEqual([true, false]);
  g.poke(LIST, 0x20, 0);
  const flags = (bits: number) => g.call('memory_op', XENMEM.populate_physmap, g.poke(ARG, LIST, 0, 1, 0, 0, bits, SELF, 0));
  expect(flags(12)).toBe(0); // a page has more address bits than that
  expect(flags(1 << 16)).toBe(0); // populate on demand is for others
  expect(flags(32)).toBe(1);
  expect(g.call('memory_op', XENMEM.decrease_reservation, g.poke(ARG, LIST, 0, 0x400_0000, 0, 0, 0, SELF, 0))).toBe(0);
});

it('reads 4-byte frames and the 20-byte structure of a 32-bit caller', () => {
  const { g } = guest();
  const caller = g.callers[0];
  if (caller) caller.longMode = false;
  g.poke(LIST, 0x20, 0x21);
  const op = (cmd: number) => g.call('memory_op', cmd, g.poke(ARG, LIST, 2, 0, 0, SELF));
  expect(op(XENMEM.decrease_reservation)).toBe(2);
  expect(g.memory.isRam(0x21 as Gfn)).toBe(false);
  expect(op(XENMEM.populate_physmap)).toBe(2);
});

it('comes back for more when the list is long', () => {
  const { g, op } = guest(0);
  const frames = Array.from({ length: 9000 }, () => 0x1234);
  const far = 0x5000;
  g.poke(far, ...frames.flatMap((gfn) => [gfn, 0]));
  g.mapSharedInfo(0x1234);
  // Each extent of the list unmaps nothing but the first, so the call ends at the second.
  expect(g.call('memory_op', XENMEM.decrease_reservation, g.poke(ARG, far, 0, 9000, 0, 0, 0, SELF, 0))).toBe(1);
  const max = 9000;
  g.setMaxPages(RAM_PAGES + max);
  expect(g.call('memory_op', XENMEM.increase_reservation, g.poke(ARG, 0, 0, max, 0, 0, 0, SELF, 0))).toBe(max);
  expect(g.continuations).toBe(2);
  expect(op(XENMEM.increase_reservation, [0])).toBe(0);
});
