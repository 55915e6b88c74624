// What boots a guest that brings no PVH kernel: Xen's PV shim, GRUB as a Xen guest, and SeaBIOS, out of Debian's packages.
import { join } from 'node:path';
import { fetchFiles, type GuestPartsOptions } from './guest-parts.ts';

/** Depends on the xen-utils of the release's Xen. */
const SHIM_PACKAGE = 'xen-system-amd64';
const GRUB_PACKAGE = 'grub-xen-host';
const BIOS_PACKAGE = 'seabios';

/**
 * Fetches the PV shim, and gives its path.
 * @param pattern a package that has one, such as xen-utils-4.20. Default: that of the release's own Xen
 * @throws GuestPartsError, ImageError
 */
export async function fetchShim(options: GuestPartsOptions = {}, pattern: string = SHIM_PACKAGE): Promise<string> {
  return join(await fetchFiles(pattern, { 'xen-shim': /^usr\/lib\/xen-[^/]+\/boot\/xen-shim$/ }, options), 'xen-shim');
}

/** GRUB as a guest: under PVH, or under PV of one width or the other. */
export type GrubPlatform = 'i386-xen_pvh' | 'x86_64-xen' | 'i386-xen';

/** Fetches GRUB for Xen, which looks for a grub.cfg on its disks, and gives its path. @throws GuestPartsError, ImageError */
export async function fetchGrub(platform: GrubPlatform, options: GuestPartsOptions = {}): Promise<string> {
  const images: Readonly<Record<GrubPlatform, RegExp>> = {
    'i386-xen_pvh': /\/grub-i386-xen_pvh\.bin$/,
    'x86_64-xen': /\/grub-x86_64-xen\.bin$/,
    'i386-xen': /\/grub-i386-xen\.bin$/,
  };
  return join(await fetchFiles(GRUB_PACKAGE, images, options), platform);
}

/** Fetches SeaBIOS, the build with its debug messages, which Debian's Xen uses, and gives its path. @throws GuestPartsError, ImageError */
export async function fetchSeabios(options: GuestPartsOptions = {}): Promise<string> {
  return join(await fetchFiles(BIOS_PACKAGE, { 'bios.bin': /^usr\/share\/seabios\/bios-256k\.bin$/ }, options), 'bios.bin');
}

/** Fetches the BIOS of a standard VGA, and gives its path. @throws GuestPartsError, ImageError */
export async function fetchVgaBios(options: GuestPartsOptions = {}): Promise<string> {
  const files = { 'vgabios.bin': /^usr\/share\/seabios\/vgabios-stdvga\.bin$/ };
  return join(await fetchFiles(BIOS_PACKAGE, files, options, '+vgabios'), 'vgabios.bin');
}
