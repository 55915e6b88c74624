// Handles of the grants a guest has mapped: what unmap_grant_ref is given. The domain's lock is held throughout.
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, MAPTRACK_HANDLES, MaptrackEntry } from '../domain-layout.ts';

/** Byte address of a handle's entry, or 0 for a handle that stands for no mapping. */
export function mapping(domain: XenDomain, handle: number): number {
  const { memory, at } = domain;
  if (handle >= Header.maptrack_used.get(memory.view, at)) return 0;
  const entry = entryAt(domain, handle);
  return MaptrackEntry.flags.get(memory.view, entry) === 0 ? 0 : entry;
}

/** Whether another mapping can be made. */
export function handleLeft({ memory, at }: XenDomain): boolean {
  const { view } = memory;
  return Header.maptrack_free.get(view, at) !== 0 || Header.maptrack_used.get(view, at) < MAPTRACK_HANDLES;
}

/** Gives a handle out; `handleLeft` said that there is one. `flags`: GNTMAP bits, of which host_map is one. */
export function takeHandle(domain: XenDomain, domid: number, ref: number, flags: number): number {
  const { view } = domain.memory;
  const free = Header.maptrack_free.get(view, domain.at);
  const handle = free !== 0 ? free - 1 : Header.maptrack_used.get(view, domain.at);
  const entry = entryAt(domain, handle);
  if (free !== 0) Header.maptrack_free.set(view, domain.at, MaptrackEntry.ref.get(view, entry));
  else Header.maptrack_used.set(view, domain.at, handle + 1);
  MaptrackEntry.ref.set(view, entry, ref);
  MaptrackEntry.domid.set(view, entry, domid);
  MaptrackEntry.flags.set(view, entry, flags);
  return handle;
}

export function freeHandle(domain: XenDomain, handle: number): void {
  const { view } = domain.memory;
  const entry = entryAt(domain, handle);
  MaptrackEntry.flags.set(view, entry, 0);
  MaptrackEntry.ref.set(view, entry, Header.maptrack_free.get(view, domain.at));
  Header.maptrack_free.set(view, domain.at, handle + 1);
}

const entryAt = (domain: XenDomain, handle: number): number => domain.at + domain.plan.maptrack + handle * MaptrackEntry.sizeof;
