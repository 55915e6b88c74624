import { describe, expect, it } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import { EBUSY, EFAULT, EPERM } from '../../abi/xen/errno.ts';
import { GNTMAP, GNTST, GNTTABOP, GTF } from '../../abi/xen/grant-table.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { MAPTRACK_HANDLES } from '../domain-layout.ts';
import { ARG, GFN, GrantGuest } from '../fixtures/grant-guest.ts';
import { DOMID } from '../fixtures/test-guest.ts';

const HOLE = 0x1000;
const RO = GNTMAP.host_map | GNTMAP.readonly;
const map = (ref: number, gfn = HOLE, flags: number = GNTMAP.host_map, domid = DOMID) => [
  gfn * 4096,
  0,
  flags,
  ref,
  domid,
  0,
  0,
  0,
];
const unmap = (handle: number, gfn = HOLE) => [gfn * 4096, 0, 0, 0, handle, 0];
const mapOne = (g: GrantGuest, op: number[]) => g.operate('map_grant_ref', 18, op)[0];
const unmapOne = (g: GrantGuest, op: number[]) => g.operate('unmap_grant_ref', 20, op)[0];

describe.each([1, 2] as const)('in version %i', (version) => {
  it('a grant to oneself moves the page to the frame of host_addr, and unmapping leaves a hole', () => {
    const g = new GrantGuest(version);
    g.poke(GFN * 4096, 0x1234);
    g.grantOwn(8);
    expect(mapOne(g, map(8))).toBe(GNTST.okay);
    const handle = g.peek(ARG + 20);
    expect(g.peek64(ARG + 24)).not.toBe(0n);
    expect([g.peek(HOLE * 4096), g.memory.isRam(GFN as Gfn), g.inUse(8)]).toEqual([0x1234, false, 0x18]);
    expect(g.flushes).toBe(1);
    expect(unmapOne(g, unmap(handle))).toBe(GNTST.okay);
    expect([g.memory.isRam(HOLE as Gfn), g.inUse(8)]).toEqual([false, 0]);
    expect(unmapOne(g, unmap(handle))).toBe(GNTST.bad_handle);
  });

  it('a read-only mapping drops writes and marks GTF_reading', () => {
    const g = new GrantGuest(version);
    g.grantOwn(8, { flags: GTF.permit_access | GTF.readonly });
    expect(mapOne(g, map(8))).toBe(GNTST.general_error);
    expect(g.inUse(8)).toBe(0);
    expect(mapOne(g, map(8, HOLE, RO))).toBe(GNTST.okay);
    g.memory.write((HOLE * 4096) as never, Uint8Array.of(9));
    expect([g.peek(HOLE * 4096), g.inUse(8)]).toEqual([0, 8]);
    // A second, writable one is refused for the entry says so; the first stays.
    expect(mapOne(g, map(8, HOLE + 1))).toBe(GNTST.general_error);
    expect(g.inUse(8)).toBe(8);
  });

  it('counts uses, and clears GTF_writing with the last writer', () => {
    const g = new GrantGuest(version);
    g.grantOwn(9);
    expect(g.operate('map_grant_ref', 18, map(9, HOLE, RO), map(9, HOLE + 1), map(9, HOLE + 2))).toEqual([0, 0, 0]);
    const handles = [0, 1, 2].map((i) => g.peek(ARG + 32 * i + 20));
    expect(unmapOne(g, unmap(handles[1] as number, HOLE + 1))).toBe(0);
    expect(g.inUse(9)).toBe(0x18);
    expect(unmapOne(g, unmap(handles[2] as number, HOLE + 2))).toBe(0);
    expect(g.inUse(9)).toBe(8);
    expect(g.setVersion(3 - version)).toBe(-EBUSY);
    expect(unmapOne(g, unmap(handles[0] as number))).toBe(0);
    expect(g.inUse(9)).toBe(0);
  });

  it('checks the entry', () => {
    const g = new GrantGuest(version);
    const entries = version === 1 ? 1024 : 512;
    expect(mapOne(g, map(entries))).toBe(GNTST.bad_gntref);
    expect(mapOne(g, map(entries - 1))).toBe(GNTST.general_error); // free
    const attempt = (entry: Parameters<GrantGuest['grant']>[1], flags = RO) => {
      g.grantOwn(8, entry);
      const status = mapOne(g, map(8, HOLE, flags));
      return [status, g.inUse(8)];
    };
    expect(attempt({ domid: 0 })).toEqual([GNTST.general_error, 0]);
    expect(attempt({ flags: GTF.accept_transfer })).toEqual([GNTST.general_error, 0]);
    expect(attempt({ flags: GTF.permit_access | GTF.sub_page, middle: 0x1000_0000 })).toEqual([GNTST.general_error, 0]);
    expect(attempt({ flags: GTF.transitive })).toEqual([GNTST.general_error, 0]);
    expect(attempt({ frame: 0x5000 })).toEqual([GNTST.bad_page, 0]);
    expect(attempt({ frame: 0xffff_ffff })).toEqual([GNTST.bad_page, 0]);
    if (version === 2) expect(attempt({ high: 1 })).toEqual([GNTST.bad_page, 0]);
  });
});

it('has only host mappings for an HVM domain', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  const status = (flags: number) => mapOne(g, map(8, HOLE, flags));
  expect(status(0)).toBe(GNTST.bad_gntref);
  expect(status(GNTMAP.readonly)).toBe(GNTST.bad_gntref);
  expect(status(GNTMAP.device_map)).toBe(GNTST.general_error);
  expect(status(GNTMAP.host_map | GNTMAP.device_map)).toBe(GNTST.general_error);
  expect(status(GNTMAP.host_map | GNTMAP.application_map)).toBe(GNTST.general_error);
  expect(status(GNTMAP.host_map | GNTMAP.contains_pte)).toBe(GNTST.general_error);
  expect(status(GNTMAP.host_map | 0x1_0000)).toBe(GNTST.general_error);
  expect(g.inUse(8)).toBe(0);
  expect(status(GNTMAP.host_map)).toBe(GNTST.okay);
});

it('knows two domains, by number', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  const status = (domid: number, ref = 8) => mapOne(g, map(ref, HOLE, GNTMAP.host_map, domid));
  expect([status(99), status(0x7ff0)]).toEqual([GNTST.bad_domain, GNTST.bad_domain]);
  expect([status(0, 8), status(0, 511), status(0, 512)]).toEqual([-1, -1, GNTST.bad_gntref]);
  expect(status(DOMID)).toBe(GNTST.okay);
});

it('maps nothing beyond the p2m, over a mapped grant, or of the hypervisor’s own pages', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  expect(mapOne(g, [0, 0x100, GNTMAP.host_map, 8, DOMID, 0, 0, 0])).toBe(GNTST.general_error);
  g.grantOwn(9, { frame: 0xfefff });
  expect(mapOne(g, map(9))).toBe(GNTST.general_error);
  g.grantOwn(10, { frame: 0x38 });
  expect(mapOne(g, map(10))).toBe(GNTST.general_error);
  expect(mapOne(g, map(8))).toBe(GNTST.okay);
  g.grantOwn(11, { frame: GFN + 1 });
  expect(mapOne(g, map(11))).toBe(GNTST.general_error);
  expect([9, 10, 11].map((ref) => g.inUse(ref))).toEqual([0, 0, 0]);
  expect(g.addFrame(0, HOLE)).toBe(-EPERM);
});

it('unmaps at the frame of the mapping only, and leaves it alone for address 0', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  mapOne(g, map(8));
  const handle = g.peek(ARG + 20);
  expect(unmapOne(g, unmap(handle, HOLE + 1))).toBe(GNTST.general_error);
  expect(unmapOne(g, unmap(handle, GFN + 1))).toBe(GNTST.general_error);
  expect(unmapOne(g, unmap(handle, 0))).toBe(GNTST.okay);
  expect(g.memory.isRam(HOLE as Gfn)).toBe(true);
  expect(unmapOne(g, unmap(handle + 1))).toBe(GNTST.bad_handle);
  expect(unmapOne(g, unmap(0xffff_ffff))).toBe(GNTST.bad_handle);
  // The same page as plain memory is not the mapping.
  g.memory.flag(HOLE as Gfn, 0, P2M.grant);
  expect(unmapOne(g, unmap(handle))).toBe(GNTST.general_error);
  g.memory.flag(HOLE as Gfn, P2M.grant, 0);
  expect(unmapOne(g, unmap(handle))).toBe(GNTST.okay);
});

it('refuses the 129th use of a kind and runs out of handles', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  for (let i = 0; i < 128; i++) expect(mapOne(g, map(8, HOLE + i, RO))).toBe(GNTST.okay);
  expect(mapOne(g, map(8, HOLE + 128, RO))).toBe(GNTST.general_error);
  expect(mapOne(g, map(8, HOLE + 128))).toBe(GNTST.okay);
  for (let i = 129; i < MAPTRACK_HANDLES; i++) {
    const ref = 9 + Math.floor(i / 100);
    g.grantOwn(ref, { frame: GFN + 1 + Math.floor(i / 100) });
    expect(mapOne(g, map(ref, HOLE + i))).toBe(GNTST.okay);
  }
  g.grantOwn(30, { frame: 0x30 });
  expect(mapOne(g, map(30, 0x2000))).toBe(GNTST.no_space);
  expect(unmapOne(g, unmap(5, HOLE + 5))).toBe(GNTST.okay);
  expect(unmapOne(g, unmap(9, HOLE + 9))).toBe(GNTST.okay);
  expect(mapOne(g, map(30, 0x2000))).toBe(GNTST.okay);
  expect(g.peek(ARG + 20)).toBe(9);
  expect(mapOne(g, map(30, 0x2001))).toBe(GNTST.okay);
  expect(g.peek(ARG + 20)).toBe(5);
  expect(mapOne(g, map(30, 0x2002))).toBe(GNTST.no_space);
});

it('stops a batch at an argument that cannot be read', () => {
  const g = new GrantGuest();
  g.grantOwn(8);
  // The second operation lies on a hole.
  const at = 64 * 4096 - 32;
  g.poke(at, ...map(8));
  expect(g.call('grant_table_op', GNTTABOP.map_grant_ref, at, 2)).toBe(-EFAULT);
  expect(g.inUse(8)).toBe(0x18);
  g.poke(64 * 4096 - 24, ...unmap(g.peek(at + 20)));
  expect(g.call('grant_table_op', GNTTABOP.unmap_grant_ref, 64 * 4096 - 24, 2)).toBe(-EFAULT);
  expect(g.inUse(8)).toBe(0);
});
