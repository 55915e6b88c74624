import { expect, it } from 'vitest';
import { XENMEM } from '../../abi/xen/memory.ts';
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
  expect(op(XENMEM.populate_physmap, [0x1f], 1)).toBe(0); // 0x1f is still there
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
  expect(op(XENMEM.populate_physmap, [0x10_0000])).toBe(0);
  expect(g.call('memory_op', XENMEM.populate_physmap, 0xdead_0000)).toBe(0);
});

it('lets an overlay go to a frame the balloon emptied', () => {
  const { g, op } = guest();
  op(XENMEM.decrease_reservation, [0x20]);
  expect(g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x20, 0))).toBe(0);
  expect(op(XENMEM.populate_physmap, [0x20])).toBe(0);
  expect(g.call('memory_op', 15, g.poke(ARG, SELF, 0, 0x20, 0))).toBe(0);
  expect(op(XENMEM.populate_physmap, [0x20])).toBe(1);
});
