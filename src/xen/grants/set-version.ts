// Changing the form of a grant table's entries. The toolstack's eight entries live on; all others are cleared.
import { EBUSY, EINVAL, ENOSYS, ERANGE } from '../../abi/xen/errno.ts';
import { GNTTAB_RESERVED, GrantEntryV1, GrantEntryV2, GTF } from '../../abi/xen/grant-table.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, OVERLAY, statusFrames } from '../domain-layout.ts';
import type { GrantTable } from './grant-table.ts';

const IN_USE = GTF.reading | GTF.writing;

/** An entry that both versions can say. */
interface Reserved {
  readonly flags: number;
  readonly domid: number;
  readonly frame: number;
}
const FREE: Reserved = { flags: 0, domid: 0, frame: 0 };

/**
 * Puts the table into version 1 or 2. 0, also when it is in that already; -EINVAL no such version, -ENOSYS one the domain
 * may not have, -EBUSY an entry beyond the reserved ones is in use, -ERANGE a reserved entry cannot be said in version 1.
 */
export function setGrantVersion(domain: XenDomain, version: number): number {
  const { grants, memory, at, lock } = domain;
  if (version !== 1 && version !== 2) return -EINVAL;
  if (version > Header.grant_version_max.get(memory.view, at)) return -ENOSYS;
  lock.acquire();
  try {
    if (grants.version === version) return 0;
    for (let ref: number = GNTTAB_RESERVED.count; ref < grants.entries; ref++) if (grants.active.inUse(ref)) return -EBUSY;
    const kept: Reserved[] = [];
    for (let ref = 0; ref < GNTTAB_RESERVED.count; ref++) {
      const entry = version === 2 ? readV1(grants, ref) : readV2(grants, ref);
      if (entry === undefined) return -ERANGE;
      kept.push(entry);
    }
    if (version === 1) removeStatusFrames(domain);
    grants.clear();
    Header.grant_version.set(memory.view, at, version);
    for (const [ref, entry] of kept.entries()) write(grants, ref, entry);
    return 0;
  } finally {
    lock.release();
  }
}

/** Takes the status frames from where the guest mapped them. Locked. */
export function removeStatusFrames(domain: XenDomain): void {
  const { grants, overlays } = domain;
  for (let frame = 0; frame < statusFrames(grants.frames); frame++) overlays.unmap(OVERLAY.grant + grants.framesMax + frame);
}

function readV1(grants: GrantTable, ref: number): Reserved {
  return GrantEntryV1.read(grants.domain.memory.view, grants.entryAt(ref));
}

function readV2(grants: GrantTable, ref: number): Reserved | undefined {
  const { flags, domid, frame } = GrantEntryV2.full_page.read(grants.domain.memory.view, grants.entryAt(ref));
  switch (flags & GTF.type_mask) {
    case GTF.permit_access:
      return frame > 0xffff_ffff ? undefined : { flags: flags | grants.status(ref), domid, frame };
    case GTF.transitive:
      return undefined;
    default:
      return FREE;
  }
}

function write(grants: GrantTable, ref: number, { flags, domid, frame }: Reserved): void {
  const { view } = grants.domain.memory;
  const at = grants.entryAt(ref);
  const v1 = grants.version === 1;
  const own = v1 ? GrantEntryV1 : GrantEntryV2.full_page;
  if (!v1) grants.setStatus(ref, flags & IN_USE);
  own.frame.set(view, at, frame);
  own.domid.set(view, at, domid);
  own.flags.set(view, at, v1 ? flags : flags & ~IN_USE);
}
