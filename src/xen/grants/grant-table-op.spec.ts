import { expect, it } from 'vitest';
import { EINVAL, ENOSYS, ESRCH } from '../../abi/xen/errno.ts';
import { GNTTABOP } from '../../abi/xen/grant-table.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;
const s16 = (word: number) => (word << 16) >> 16;

it('query_size reports the frames, and the status of a bad domain', () => {
  const g = new TestGuest();
  expect(g.call('grant_table_op', GNTTABOP.query_size, g.poke(ARG, SELF, 0, 0, 0), 1)).toBe(0);
  expect([g.peek(ARG + 4), g.peek(ARG + 8), s16(g.peek(ARG + 12))]).toEqual([1, 4, 0]);
  g.call('grant_table_op', GNTTABOP.query_size, g.poke(ARG, 99, 0, 0, 0), 1);
  expect(s16(g.peek(ARG + 12))).toBe(-2);
  expect(g.call('grant_table_op', GNTTABOP.query_size, ARG, 2)).toBe(-EINVAL);
});

it('has version 1 and only that', () => {
  const g = new TestGuest();
  const set = (version: number) => g.call('grant_table_op', GNTTABOP.set_version, g.poke(ARG, version), 1);
  expect(set(1)).toBe(0);
  expect(set(2)).toBe(-ENOSYS);
  expect(g.peek(ARG)).toBe(1);
  expect(set(3)).toBe(-EINVAL);
  expect(g.call('grant_table_op', GNTTABOP.get_version, g.poke(ARG, SELF, 0), 1)).toBe(0);
  expect(g.peek(ARG + 4)).toBe(1);
  expect(g.call('grant_table_op', GNTTABOP.get_version, g.poke(ARG, 99, 0), 1)).toBe(-ESRCH);
});

it('setup_table lists where the frames are, all-ones for one not mapped', () => {
  const g = new TestGuest();
  g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x20, 0));
  const setup = (frames: number, list = 0x3000) =>
    g.call('grant_table_op', GNTTABOP.setup_table, g.poke(ARG, SELF, frames, 0, 0, list, 0), 1);
  expect(setup(2)).toBe(0);
  expect(s16(g.peek(ARG + 8))).toBe(0);
  expect([g.peek64(0x3000), g.peek64(0x3008)]).toEqual([0x20n, 0xffff_ffff_ffff_ffffn]);
  expect(setup(5)).toBe(0);
  expect(s16(g.peek(ARG + 8))).toBe(-1);
  expect(setup(1, 0xdead_0000)).toBe(0);
  expect(s16(g.peek(ARG + 8))).toBe(-5);
});

it('holds the grants of the offered rings', () => {
  const g = new TestGuest();
  g.domain.offerRing('console');
  g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x20, 0));
  expect([g.peek(0x20000), g.peek(0x20004)]).toEqual([1, 0xfefff]);
});

it('leaves a backend’s operations unanswered', () => {
  const g = new TestGuest();
  for (const cmd of [0, 1, 3, 4, 5, 7, 9, 11, 12]) expect(g.call('grant_table_op', cmd, ARG, 1)).toBe(-ENOSYS);
  expect(g.call('grant_table_op', 6, ARG, 0x8000_0000)).toBe(-EINVAL);
});
