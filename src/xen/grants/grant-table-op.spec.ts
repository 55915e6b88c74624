import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { GNTST, GNTTABOP } from '../../abi/xen/grant-table.ts';
import { ARG, GrantGuest, SELF, STATUS, TABLE } from '../fixtures/grant-guest.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const s16 = (word: number) => (word << 16) >> 16;
const narrow = <G extends TestGuest>(g: G): G => {
  for (const caller of g.callers) caller.longMode = false;
  return g;
};

describe('query_size', () => {
  it('reports the frames, and the status of a bad domain', () => {
    const g = new TestGuest();
    const query = (domid: number) => {
      expect(g.call('grant_table_op', GNTTABOP.query_size, g.poke(ARG, domid, 0, 0, 0), 1)).toBe(0);
      return s16(g.peek(ARG + 12));
    };
    expect(query(SELF)).toBe(GNTST.okay);
    expect([g.peek(ARG + 4), g.peek(ARG + 8)]).toEqual([1, 4]);
    expect(query(99)).toBe(GNTST.bad_domain);
    expect(query(0)).toBe(GNTST.permission_denied);
    expect(g.call('grant_table_op', GNTTABOP.query_size, ARG, 2)).toBe(-EINVAL);
    expect(g.call('grant_table_op', GNTTABOP.query_size, 0xdead_0000, 1)).toBe(-EFAULT);
  });
});

describe('get_version', () => {
  it('tells its own version to the domain only', () => {
    const g = new TestGuest();
    const get = (domid: number) => g.call('grant_table_op', GNTTABOP.get_version, g.poke(ARG, domid, 0xffff), 1);
    expect([get(SELF), g.peek(ARG + 4)]).toEqual([0, 1]);
    expect([get(99), get(0), g.peek(ARG + 4)]).toEqual([-ESRCH, -EPERM, 0xffff]);
    expect(g.call('grant_table_op', GNTTABOP.get_version, 0xdead_0000, 1)).toBe(-EFAULT);
  });
});

describe('setup_table', () => {
  const setup = (g: TestGuest, frames: number, list = 0x3000, domid = SELF) => {
    const result = g.call('grant_table_op', GNTTABOP.setup_table, g.poke(ARG, domid, frames, 0, 0, list, 0), 1);
    return result === 0 ? s16(g.peek(ARG + 8)) : result;
  };

  it('lists where the frames are, all-ones for one not mapped, and grows the table', () => {
    const g = new TestGuest();
    g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x20, 0));
    expect(setup(g, 2)).toBe(GNTST.okay);
    expect([g.peek64(0x3000), g.peek64(0x3008)]).toEqual([0x20n, 0xffff_ffff_ffff_ffffn]);
    expect(g.domain.grants.frames).toBe(2);
    expect(setup(g, 1)).toBe(GNTST.okay);
    expect(g.domain.grants.frames).toBe(2);
  });

  it('has a status for each mistake', () => {
    const g = new TestGuest();
    expect(setup(g, 5)).toBe(GNTST.general_error);
    expect(setup(g, 1, 0xdead_0000)).toBe(GNTST.bad_virt_addr);
    expect(setup(g, 1, 0x3000, 99)).toBe(GNTST.bad_domain);
    expect(setup(g, 1, 0x3000, 0)).toBe(GNTST.permission_denied);
    expect(g.call('grant_table_op', GNTTABOP.setup_table, ARG, 0)).toBe(-EINVAL);
    expect(g.call('grant_table_op', GNTTABOP.setup_table, ARG, 2)).toBe(-EINVAL);
  });

  it('writes 32-bit frames for a 32-bit caller', () => {
    const g = narrow(new TestGuest());
    g.poke(ARG, SELF, 2, 0xeeee_eeee, 0x3000);
    expect(g.call('grant_table_op', GNTTABOP.setup_table, ARG, 1)).toBe(0);
    expect([g.peek(ARG + 8) & 0xffff, g.peek(0x3000), g.peek(0x3004), g.peek(0x3008)]).toEqual([0, 0xffff_ffff, 0xffff_ffff, 0]);
    expect(g.call('grant_table_op', GNTTABOP.setup_table, ARG, 0)).toBe(0);
  });
});

describe('status frames', () => {
  it('are overlays in version 2 only', () => {
    const g = new GrantGuest();
    expect(g.addFrame(0x8000_0000, 0x30)).toBe(-EINVAL);
    expect(g.setVersion(2)).toBe(0);
    g.poke(STATUS, 0x18);
    expect(g.domain.grants.status(0)).toBe(0x18);
    expect(g.addFrame(0x8000_0000, 0x30)).toBe(0);
    expect(g.peek(0x30000)).toBe(0x18);
    expect(g.peek(STATUS)).toBe(0);
  });

  it('are left when the table goes back to version 1', () => {
    const g = new GrantGuest();
    g.poke(STATUS, 0x1234);
    g.setVersion(2);
    g.poke(STATUS, 0x18);
    expect(g.setVersion(1)).toBe(0);
    expect(g.peek(STATUS)).toBe(0x1234);
  });

  it('grow the table to where it needs them', () => {
    const g = new TestGuest({ config: { grantFrames: 4 } });
    expect(g.call('grant_table_op', GNTTABOP.set_version, g.poke(ARG, 2), 1)).toBe(0);
    // The second status frame belongs to the ninth grant frame.
    expect(g.domain.grants.overlay(0x8000_0001)).toBe(-EINVAL);
    expect(g.domain.grants.overlay(0x1_8000_0000)).toBe(-EINVAL);
    expect(g.domain.grants.frames).toBe(1);
  });
});

describe('swap_grant_ref', () => {
  it('exchanges free and granted entries', () => {
    const g = new GrantGuest();
    g.grant(8, { frame: 0x11 });
    g.grant(9, { frame: 0x12, flags: 5 });
    expect(g.operate('swap_grant_ref', 8, [8, 9, 0], [8, 8, 0])).toEqual([GNTST.okay, GNTST.okay]);
    expect([g.peek(TABLE + 64), g.peek(TABLE + 68), g.peek(TABLE + 72), g.peek(TABLE + 76)]).toEqual([5, 0x12, 1, 0x11]);
  });

  it('exchanges 16 bytes and the status in version 2', () => {
    const g = new GrantGuest(2);
    g.grant(8, { frame: 0x11, middle: 7, high: 3 });
    g.poke(STATUS + 16, 0x0008);
    expect(g.operate('swap_grant_ref', 8, [8, 11, 0])).toEqual([GNTST.okay]);
    expect([0, 4, 8, 12].map((o) => g.peek(TABLE + 11 * 16 + o))).toEqual([1, 7, 0x11, 3]);
    expect([g.peek(TABLE + 8 * 16), g.inUse(8), g.inUse(11)]).toEqual([0, 0, 8]);
  });

  it('refuses entries in use and beyond the table', () => {
    const g = new GrantGuest();
    g.grant(8);
    g.backend.map([8]);
    expect(g.operate('swap_grant_ref', 8, [8, 9, 0], [9, 8, 0], [1024, 9, 0], [9, 0xffff_ffff, 0])).toEqual([
      GNTST.eagain,
      GNTST.eagain,
      GNTST.bad_gntref,
      GNTST.bad_gntref,
    ]);
    expect(g.call('grant_table_op', GNTTABOP.swap_grant_ref, 0xdead_0000, 1)).toBe(-EFAULT);
  });
});

it('leaves what an HVM domain may not ask for unanswered', () => {
  const g = new TestGuest();
  for (const cmd of [3, 4, 7, 9, 12, 13, 0x1005]) expect(g.call('grant_table_op', cmd, ARG, 1)).toBe(-ENOSYS);
});

it('refuses a negative count, and does nothing for none', () => {
  const g = new TestGuest();
  for (const cmd of [0, 1, 5, 11]) expect(g.call('grant_table_op', cmd, 0xdead_0000, 0)).toBe(0);
  for (const cmd of [0, 1, 5, 6, 8, 10, 11]) expect(g.call('grant_table_op', cmd, ARG, 0x8000_0000)).toBe(-EINVAL);
});

it('does a long array in slices', () => {
  const g = new GrantGuest();
  const count = 1200;
  const at = 0x8000;
  for (let i = 0; i < count; i++) g.poke(at + i * 12, i, i + 1, 0xffff_ffff);
  expect(g.call('grant_table_op', GNTTABOP.swap_grant_ref, at, count)).toBe(0);
  expect(g.continuations).toBe(2);
  const statuses = Array.from({ length: count }, (_, i) => s16(g.peek(at + i * 12 + 8)));
  expect(statuses).toEqual(Array.from({ length: count }, (_, i) => (i < 1023 ? GNTST.okay : GNTST.bad_gntref)));
});

it('holds the grants of the offered rings', () => {
  const g = new GrantGuest();
  g.domain.offerRing('console');
  expect([g.peek(TABLE), g.peek(TABLE + 4)]).toEqual([1, 0xfefff]);
  g.setVersion(2);
  g.domain.offerRing('store');
  expect([0, 8, 16, 24].map((o) => g.peek(TABLE + o))).toEqual([1, 0xfefff, 1, 0xfeffc]);
});
