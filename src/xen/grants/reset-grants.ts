// A grant table as a new domain has it, for a soft reset: version 1, one frame, nothing granted but the toolstack's rings.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { GNTMAP, GNTTAB_RESERVED } from '../../abi/xen/grant-table.ts';
import { HVM_PARAM } from '../../abi/xen/hvm.ts';
import { P2M, P2M_FRAMES } from '../../memory/guest-memory.ts';
import type { XenDomain } from '../domain.ts';
import { ActiveGrant, DomainHeader as Header, MaptrackEntry, OVERLAY } from '../domain-layout.ts';
import { mapping } from './maptrack.ts';
import { removeStatusFrames } from './set-version.ts';

/** A grant that somebody still used. */
export interface UsedGrant {
  readonly ref: number;
  /** Who used it: 0 for a backend, else the guest itself. */
  readonly domid: number;
  readonly readers: number;
  readonly writers: number;
}

/**
 * Resets the table. No vCPU runs. Returns the grants that were still in use: for domain 0's, a backend should have let go
 * first. Its mappings stay readable, and their `unmap` no longer counts. The rings that have been offered are granted again.
 */
export function grantTableReset(domain: XenDomain): readonly UsedGrant[] {
  const { grants, memory, overlays, lock, at } = domain;
  const { view } = memory;
  lock.acquire();
  try {
    const used: UsedGrant[] = [];
    for (let ref = 0; ref < grants.entries; ref++) {
      if (!grants.active.inUse(ref)) continue;
      const { domid, readers, writers } = ActiveGrant.read(view, grants.active.at(ref));
      used.push({ ref, domid, readers, writers });
    }
    takeMappingsAway(domain);
    for (let frame = 0; frame < grants.frames; frame++) overlays.unmap(OVERLAY.grant + frame);
    removeStatusFrames(domain);
    grants.clear();
    grants.active.forget();
    Header.grant_version.set(view, at, 1);
    Header.grant_frames.set(view, at, 1);
    Header.grant_generation.set(view, at, (Header.grant_generation.get(view, at) + 1) >>> 0);
    Header.maptrack_used.set(view, at, 0);
    Header.maptrack_free.set(view, at, 0);
    const console = domain.param(HVM_PARAM.CONSOLE_PFN);
    const store = domain.param(HVM_PARAM.STORE_PFN);
    if (console !== 0n) grants.setReserved(GNTTAB_RESERVED.console, Number(console));
    if (store !== 0n) grants.setReserved(GNTTAB_RESERVED.xenstore, Number(store));
    return used;
  } finally {
    lock.release();
  }
}

/** Removes the guest's own mappings of grants. The pages go back to the frames they were granted from. */
function takeMappingsAway(domain: XenDomain): void {
  const { memory, grants, at } = domain;
  const handles = Header.maptrack_used.get(memory.view, at);
  if (handles === 0) return;
  for (let gfn = 0; gfn < P2M_FRAMES; gfn++) if (memory.entry(gfn as Gfn) & P2M.grant) memory.map(gfn as Gfn, 0 as HostAddress);
  for (let handle = 0; handle < handles; handle++) {
    const entry = mapping(domain, handle);
    if (entry === 0 || (MaptrackEntry.flags.get(memory.view, entry) & GNTMAP.host_map) === 0) continue;
    const ref = MaptrackEntry.ref.get(memory.view, entry);
    const from = grants.active.gfn(ref);
    if (!memory.isRam(from)) memory.map(from, grants.active.page(ref));
  }
}
