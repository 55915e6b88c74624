import { expect, it } from 'vitest';
import { EBUSY, EFAULT, EINVAL, ENOSYS, ERANGE } from '../../abi/xen/errno.ts';
import { GTF } from '../../abi/xen/grant-table.ts';
import { ARG, GFN, GrantGuest, TABLE } from '../fixtures/grant-guest.ts';
import type { GrantMapping } from './backend-grants.ts';

it('writes the version in force back, whatever came of it', () => {
  const g = new GrantGuest();
  const set = (version: number) => [g.setVersion(version), version === 2 ? g.domain.grants.version : g.peek(ARG)];
  expect(set(1)).toEqual([0, 1]);
  expect(set(0)).toEqual([-EINVAL, 1]);
  expect(set(3)).toEqual([-EINVAL, 1]);
  expect(set(2)).toEqual([0, 2]);
  expect(set(3)).toEqual([-EINVAL, 2]);
  expect(set(1)).toEqual([0, 1]);
  expect(g.call('grant_table_op', 8, 0xdead_0000, 1)).toBe(-EFAULT);
});

it('does not have version 2 when the domain may not', () => {
  const g = new GrantGuest(1, { grantVersionMax: 1 });
  expect([g.setVersion(2), g.peek(ARG)]).toEqual([-ENOSYS, 1]);
});

it('carries the reserved entries over and clears the rest, both ways', () => {
  const g = new GrantGuest();
  g.grant(0, { frame: 0xfefff });
  g.grant(7, { flags: GTF.permit_access | GTF.readonly, domid: 3, frame: 0x44 });
  g.grant(8);
  expect(g.setVersion(2)).toBe(0);
  const v2 = (ref: number) => [0, 4, 8, 12].map((o) => g.peek(TABLE + ref * 16 + o));
  expect(v2(0)).toEqual([1, 0, 0xfefff, 0]);
  expect(v2(7)).toEqual([0x3_0005, 0, 0x44, 0]);
  expect(v2(8)).toEqual([0, 0, 0, 0]);
  g.grant(200);
  expect(g.setVersion(1)).toBe(0);
  const v1 = (ref: number) => [g.peek(TABLE + ref * 8), g.peek(TABLE + ref * 8 + 4)];
  expect([v1(0), v1(7), v1(8), v1(400)]).toEqual([
    [1, 0xfefff],
    [0x3_0005, 0x44],
    [0, 0],
    [0, 0],
  ]);
});

it('drops a reserved entry that grants no access', () => {
  const g = new GrantGuest(2);
  g.grant(2, { flags: GTF.accept_transfer });
  expect([g.setVersion(1), g.peek(TABLE + 16)]).toEqual([0, 0]);
});

it('cannot say a transitive or high reserved entry in version 1', () => {
  const g = new GrantGuest(2);
  g.grant(3, { flags: GTF.transitive });
  expect(g.setVersion(1)).toBe(-ERANGE);
  g.grant(3, { high: 1 });
  expect(g.setVersion(1)).toBe(-ERANGE);
  expect([g.domain.grants.version, g.peek(TABLE + 3 * 16 + 12)]).toEqual([2, 1]);
  g.grant(3, { frame: 0xffff_ffff });
  expect([g.setVersion(1), g.peek(TABLE + 3 * 8 + 4)]).toEqual([0, 0xffff_ffff]);
});

it('waits until entries beyond the reserved ones are free', () => {
  for (const version of [1, 2] as const) {
    const g = new GrantGuest(version);
    g.grant(8);
    const held = g.backend.map([8]) as GrantMapping;
    expect(g.setVersion(3 - version)).toBe(-EBUSY);
    expect(g.peek(TABLE + 8 * (version === 1 ? 8 : 16))).toBe(version === 1 ? 0x19 : 1);
    held.unmap();
    expect(g.setVersion(3 - version)).toBe(0);
  }
});

it('takes the marks of a reserved entry in use along', () => {
  const g = new GrantGuest();
  g.grant(1, { frame: GFN });
  const held = g.backend.map([1]) as GrantMapping;
  expect([g.inUse(1), g.peek(TABLE + 8)]).toEqual([0x18, 0x19]);
  g.setVersion(2);
  expect([g.inUse(1), g.peek(TABLE + 16)]).toEqual([0x18, 1]);
  g.setVersion(1);
  expect(g.peek(TABLE + 8)).toBe(0x19);
  g.setVersion(2);
  held.unmap();
  expect(g.inUse(1)).toBe(0);
  g.setVersion(1);
  expect(g.peek(TABLE + 8)).toBe(1);
});
