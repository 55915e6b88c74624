import { expect, it } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import { GTF } from '../../abi/xen/grant-table.ts';
import { settle } from '../../util/inspect/inspect-node.ts';
import { GFN, GrantGuest, STATUS, TABLE } from '../fixtures/grant-guest.ts';
import { DOMID } from '../fixtures/test-guest.ts';
import type { GrantMapping } from './backend-grants.ts';
import { inspectGrants, listGrants } from './inspect-grants.ts';
import { grantTableReset } from './reset-grants.ts';

it('lists entries that are not free', () => {
  const g = new GrantGuest(2);
  g.grant(8);
  g.backend.map([8]);
  g.backend.map([8], { readonly: true });
  g.grant(9, { flags: GTF.permit_access | GTF.readonly | GTF.sub_page, domid: 3, middle: 16 | (32 << 16) });
  g.grant(10, { flags: GTF.transitive, middle: 4, frame: 77 });
  const idle = { readonly: false, reading: false, writing: false, readers: 0, writers: 0 };
  expect(listGrants(g.domain)).toEqual([
    { ...idle, ref: 8, type: 'access', domid: 0, frame: GFN, reading: true, writing: true, readers: 1, writers: 1 },
    { ...idle, ref: 9, type: 'access', domid: 3, frame: GFN, readonly: true, subPage: { offset: 16, length: 32 } },
    { ...idle, ref: 10, type: 'transitive', domid: 0, frame: 77, transitiveDomid: 4 },
  ]);
});

it('shows the table as a tree', () => {
  const g = new GrantGuest(2);
  g.grantOwn(8);
  g.operate('map_grant_ref', 18, [0x100_0000, 0, 2, 8, DOMID, 0, 0, 0]);
  const tree = inspectGrants(g.domain);
  expect([tree.version, tree.frames, tree.frames_max, tree.entries]).toEqual([2, 2, 4, 512]);
  expect(settle(tree.handles ?? 0)).toBe(1);
  expect(settle(tree.frame_gfns ?? 0)).toEqual({ 0: TABLE / 4096, 1: TABLE / 4096 + 1 });
  expect(settle(tree.status_gfns ?? 0)).toEqual({ 0: STATUS / 4096 });
  expect(settle(tree.grants ?? 0)).toMatchObject({ 8: { type: 'access', domid: DOMID, writers: 1 } });
});

it('a reset leaves a new table, and says who still used the old one', () => {
  const g = new GrantGuest(2);
  g.domain.offerRing('console');
  g.poke(GFN * 4096, 0x1111);
  g.grant(8);
  g.grantOwn(9, { frame: GFN + 1 });
  const held = g.backend.map([8]) as GrantMapping;
  g.operate('map_grant_ref', 18, [0x100_0000, 0, 2, 9, DOMID, 0, 0, 0]);
  expect(grantTableReset(g.domain)).toEqual([
    { ref: 8, domid: 0, readers: 0, writers: 1 },
    { ref: 9, domid: DOMID, readers: 0, writers: 1 },
  ]);
  const { grants, memory } = g.domain;
  expect([grants.version, grants.frames, g.peek(TABLE), g.peek(STATUS)]).toEqual([1, 1, 0, 0]);
  expect([memory.isRam((GFN + 1) as Gfn), memory.isRam(0x1000 as Gfn)]).toEqual([true, false]);
  expect(listGrants(g.domain)).toMatchObject([{ ref: 0, domid: 0, frame: 0xfefff, readers: 0 }]);
  // The reference is used anew before the old mapping ends.
  g.addFrame(0, TABLE / 4096);
  g.grant(8, { frame: GFN + 2 });
  const again = g.backend.map([8]) as GrantMapping;
  expect(memory.view.getUint32(held.host(0), true)).toBe(0x1111);
  held.unmap();
  expect(g.inUse(8)).toBe(0x18);
  again.unmap();
  expect(g.inUse(8)).toBe(0);
  expect(grantTableReset(g.domain)).toEqual([]);
});
