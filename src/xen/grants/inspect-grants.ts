// What a person is shown of a grant table. Reads without the lock, so a grant that changes meanwhile may be shown half changed.
import { GrantEntryV2, GTF } from '../../abi/xen/grant-table.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, MAPTRACK_HANDLES, NOT_MAPPED, OVERLAY } from '../domain-layout.ts';
import { mapping } from './maptrack.ts';

/** One entry that is not free, or that somebody uses although the guest cleared it. */
export interface GrantListing {
  readonly ref: number;
  readonly type: 'invalid' | 'access' | 'transfer' | 'transitive';
  /** Who may use it. */
  readonly domid: number;
  /** The granted frame; of a transitive grant, the reference at the third domain. */
  readonly frame: number;
  readonly readonly: boolean;
  /** What the guest is shown: GTF_reading and GTF_writing. */
  readonly reading: boolean;
  readonly writing: boolean;
  /** How often it is in use, by mappings and copies under way. */
  readonly readers: number;
  readonly writers: number;
  /** Bytes granted of the page, when that is not all of it. */
  readonly subPage?: { readonly offset: number; readonly length: number };
  /** Whose grant a transitive one passes on. */
  readonly transitiveDomid?: number;
}

const TYPES = { 0: 'invalid', 1: 'access', 2: 'transfer', 3: 'transitive' } as const;

/** All entries that are not free, by reference. */
export function listGrants(domain: XenDomain): readonly GrantListing[] {
  const { grants } = domain;
  const { view } = domain.memory;
  const list: GrantListing[] = [];
  for (let ref = 0; ref < grants.entries; ref++) {
    const header = grants.header(ref);
    if ((header & GTF.type_mask) === GTF.invalid && !grants.active.inUse(ref)) continue;
    const v2 = grants.version === 2;
    const at = grants.entryAt(ref);
    const type = TYPES[(header & GTF.type_mask) as keyof typeof TYPES];
    const sub = v2 && type === 'access' && (header & GTF.sub_page) !== 0;
    const transitive = v2 && type === 'transitive';
    const status = grants.status(ref);
    list.push({
      ref,
      type,
      domid: header >>> 16,
      frame: transitive ? GrantEntryV2.transitive.gref.get(view, at) : grants.frame(ref),
      readonly: (header & GTF.readonly) !== 0,
      reading: (status & GTF.reading) !== 0,
      writing: (status & GTF.writing) !== 0,
      readers: grants.active.readers(ref),
      writers: grants.active.writers(ref),
      ...(sub && {
        subPage: { offset: GrantEntryV2.sub_page.page_off.get(view, at), length: GrantEntryV2.sub_page.length.get(view, at) },
      }),
      ...(transitive && { transitiveDomid: GrantEntryV2.transitive.trans_domid.get(view, at) }),
    });
  }
  return list;
}

/** The table as a tree for an inspector. */
export function inspectGrants(domain: XenDomain): InspectTree {
  const { grants, overlays } = domain;
  const frames = (first: number, count: number) => (): InspectTree =>
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => {
        const gfn = overlays.gfn(first + i);
        return [String(i), gfn === NOT_MAPPED ? 'not mapped' : gfn];
      }),
    );
  return {
    version: grants.version,
    frames: grants.frames,
    frames_max: grants.framesMax,
    entries: grants.entries,
    handles: () => handlesInUse(domain),
    frame_gfns: frames(OVERLAY.grant, grants.frames),
    status_gfns: frames(OVERLAY.grant + grants.framesMax, grants.statusFrames),
    grants: () =>
      Object.fromEntries(
        listGrants(domain).map(({ ref, subPage, ...grant }) => [
          String(ref),
          subPage === undefined ? grant : { ...grant, sub_page: { ...subPage } },
        ]),
      ),
  };
}

/** Grants the guest itself has mapped. */
function handlesInUse(domain: XenDomain): number {
  const given = Math.min(Header.maptrack_used.get(domain.memory.view, domain.at), MAPTRACK_HANDLES);
  let count = 0;
  for (let handle = 0; handle < given; handle++) if (mapping(domain, handle) !== 0) count++;
  return count;
}
