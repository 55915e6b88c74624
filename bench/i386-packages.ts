// Debian's packages for i386, on a host of another architecture.
import { fetchGuestParts, type GuestParts } from '../src/node/guest-parts.ts';
import { ownApt } from '../test/own-apt.ts';

/** Has a PVH entry, which Debian's kernel without PAE has not. */
const KERNEL = 'linux-image-686-pae';

/** A 32-bit kernel and busybox. @throws GuestPartsError */
export async function fetchI386Parts(): Promise<GuestParts> {
  return fetchGuestParts(KERNEL, ownApt({ name: 'i386', architecture: 'i386', wanted: KERNEL }));
}
