import { describe, expect, it } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import { EACCES, EFAULT, EINVAL, ENOENT, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { XENMAPSPACE, XENMEM } from '../../abi/xen/memory.ts';
import { RAM_PAGES, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;

const add = (g: TestGuest, space: number, idx: number, gfn: number, domid = SELF) =>
  g.call('memory_op', XENMEM.add_to_physmap, g.poke(ARG, domid, space, idx, 0, gfn, 0));
const remove = (g: TestGuest, gfn: number) => g.call('memory_op', XENMEM.remove_from_physmap, g.poke(ARG, SELF, 0, gfn, 0));

describe('add_to_physmap', () => {
  it('maps shared_info over RAM, moves it, and gives the RAM back', () => {
    const g = new TestGuest();
    g.poke(0x10000, 0x1111);
    g.poke(0x11000, 0x2222);
    expect(add(g, XENMAPSPACE.shared_info, 0, 0x10)).toBe(0);
    expect(g.peek(0x10c04)).toBe(0x2345_6789); // wallclock seconds
    expect(add(g, XENMAPSPACE.shared_info, 0, 0x11)).toBe(0);
    expect(g.peek(0x10000)).toBe(0x1111);
    expect(g.peek(0x11c04)).toBe(0x2345_6789);
    expect(remove(g, 0x11)).toBe(0);
    expect(g.peek(0x11000)).toBe(0x2222);
  });

  it('maps over a hole, and leaves a hole', () => {
    const g = new TestGuest();
    expect(add(g, XENMAPSPACE.shared_info, 0, 0xf0000)).toBe(0);
    expect(g.memory.isRam(0xf0000 as Gfn)).toBe(true);
    expect(remove(g, 0xf0000)).toBe(0);
    expect(g.memory.isRam(0xf0000 as Gfn)).toBe(false);
    expect(remove(g, 0xf0000)).toBe(-ENOENT);
  });

  it('takes the place of another overlay without losing the RAM beneath', () => {
    const g = new TestGuest();
    g.poke(0x10000, 0x1111);
    add(g, XENMAPSPACE.shared_info, 0, 0x10);
    expect(add(g, XENMAPSPACE.grant_table, 0, 0x10)).toBe(0);
    expect(g.peek(0x10c04)).toBe(0);
    expect(remove(g, 0x10)).toBe(0);
    expect(g.peek(0x10000)).toBe(0x1111);
  });

  it('grows the grant table up to its maximum', () => {
    const g = new TestGuest();
    expect(add(g, XENMAPSPACE.grant_table, 3, 0x20)).toBe(0);
    expect(add(g, XENMAPSPACE.grant_table, 4, 0x21)).toBe(-EINVAL);
    expect(g.call('grant_table_op', 6, g.poke(ARG, SELF, 0, 0, 0), 1)).toBe(0);
    expect([g.peek(ARG + 4), g.peek(ARG + 8), g.peek(ARG + 12)]).toEqual([4, 4, 0]);
  });

  it('answers as Xen does to bad arguments', () => {
    const g = new TestGuest();
    expect(add(g, XENMAPSPACE.shared_info, 1, 0x10)).toBe(-EINVAL);
    expect(add(g, XENMAPSPACE.grant_table, 0x8000_0000, 0x10)).toBe(-EINVAL);
    expect(add(g, 9, 0, 0x10)).toBe(-EINVAL);
    expect(add(g, XENMAPSPACE.gmfn_foreign, 0, 0x10)).toBe(-ENOSYS);
    expect(add(g, XENMAPSPACE.dev_mmio, 0, 0x10)).toBe(-EACCES);
    expect(add(g, XENMAPSPACE.shared_info, 0, 0x10, 99)).toBe(-ESRCH);
    expect(add(g, XENMAPSPACE.shared_info, 0, 0x10, 0)).toBe(-EPERM);
    expect(add(g, XENMAPSPACE.shared_info, 0, 0xffff_ffff)).toBe(-EINVAL);
    expect(g.call('memory_op', XENMEM.add_to_physmap, 0xdead_0000)).toBe(-EFAULT);
    expect(g.call('memory_op', 50, ARG)).toBe(-ENOSYS);
  });

  it('reads the 16-byte structure of a 32-bit caller', () => {
    const g = new TestGuest();
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    g.poke(ARG, SELF, XENMAPSPACE.shared_info, 0, 0x12);
    expect(g.call('memory_op', XENMEM.add_to_physmap, ARG)).toBe(0);
    expect(g.peek(0x12c04)).toBe(0x2345_6789);
  });
});

describe('memory maps and sizes', () => {
  it('copies as many ranges as there is room for, 20 bytes each', () => {
    const g = new TestGuest();
    expect(g.call('memory_op', XENMEM.memory_map, g.poke(ARG, 128, 0, 0x3000, 0))).toBe(0);
    expect(g.peek(ARG)).toBe(2);
    expect([0x3000, 0x3008, 0x3010].map((a) => g.peek(a))).toEqual([0, RAM_PAGES * 4096, 1]);
    expect([0x3014, 0x301c, 0x3024].map((a) => g.peek(a))).toEqual([0xfeff8000, 8 * 4096, 2]);
    g.poke(0x3014, 0x5555);
    expect(g.call('memory_op', XENMEM.memory_map, g.poke(ARG, 1, 0, 0x3000, 0))).toBe(0);
    expect([g.peek(ARG), g.peek(0x3014)]).toEqual([1, 0x5555]);
    expect(g.call('memory_op', XENMEM.memory_map, g.poke(ARG, 9, 0, 0xdead_0000, 0))).toBe(-EFAULT);
  });

  it('lets the guest replace its map', () => {
    const g = new TestGuest();
    g.poke(0x3000, 0x1000, 0, 0x2000, 0, 7);
    expect(g.call('memory_op', XENMEM.set_memory_map, g.poke(ARG, SELF, 0, 1, 0, 0x3000, 0))).toBe(0);
    expect(g.call('memory_op', XENMEM.memory_map, g.poke(ARG, 9, 0, 0x3800, 0))).toBe(0);
    expect([g.peek(ARG), g.peek(0x3800), g.peek(0x3810)]).toEqual([1, 0x1000, 7]);
    expect(g.call('memory_op', XENMEM.set_memory_map, g.poke(ARG, SELF, 0, 129, 0, 0x3000, 0))).toBe(-EINVAL);
    expect(g.call('memory_op', XENMEM.set_memory_map, g.poke(ARG, SELF, 0, 0, 0, 0, 0))).toBe(0);
    expect(g.call('memory_op', XENMEM.memory_map, g.poke(ARG, 9, 0, 0x3800, 0))).toBe(-ENOSYS);
  });

  it('says how much memory there is', () => {
    const g = new TestGuest();
    g.poke(ARG, SELF);
    expect(g.call('memory_op', XENMEM.current_reservation, ARG)).toBe(RAM_PAGES);
    expect(g.call('memory_op', XENMEM.maximum_reservation, ARG)).toBe(RAM_PAGES + 10);
    expect(g.call('memory_op', XENMEM.maximum_gpfn, ARG)).toBe(0xfefff); // the console page
    g.poke(ARG, 99);
    expect(g.call('memory_op', XENMEM.current_reservation, ARG)).toBe(-ESRCH);
    expect(g.call('memory_op', XENMEM.machine_memory_map, ARG)).toBe(-EPERM);
  });

  it('removes a page of RAM', () => {
    const g = new TestGuest();
    expect(remove(g, 0x20)).toBe(0);
    expect(g.peek(0x20000)).toBe(0xffff_ffff);
    expect(remove(g, 0x20)).toBe(-ENOENT);
  });
});
