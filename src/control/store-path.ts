// Paths as Xen's tools take them: those that do not begin at the root are relative to the guest's own directory.
import { domainPath } from '../xen/store/path.ts';

/** The path from the root. Special paths such as @releaseDomain stay as they are. */
export const absoluteStorePath = (path: string, domid: number): string =>
  path.startsWith('/') || path.startsWith('@') ? path : `${domainPath(domid)}/${path}`;

/** A path that a watch reports, in the form in which the watch was set: relative for a relative one. */
export function reportedStorePath(changed: string, watched: string, domid: number): string {
  const prefix = `${domainPath(domid)}/`;
  return watched.startsWith('/') || !changed.startsWith(prefix) ? changed : changed.slice(prefix.length);
}
