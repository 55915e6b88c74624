// SeaBIOS for HVM domains, from Debian's package: the host's package tool downloads and verifies it, and the cache keeps it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchFiles, type GuestPartsOptions } from './guest-parts.ts';

const PACKAGE = 'seabios';
/** The build that Debian's Xen uses, too: with its debug messages. */
const FILES = { 'bios.bin': /^usr\/share\/seabios\/bios-256k\.bin$/ } as const;

/** @throws GuestPartsError */
export async function fetchSeabios(options: GuestPartsOptions = {}): Promise<Uint8Array> {
  return readFile(join(await fetchFiles(PACKAGE, FILES, options), 'bios.bin'));
}
