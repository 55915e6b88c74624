// A tap device that somebody has made for the guest. One that is not there is not made: it would go with the domain, nobody would
// have given it an address, and a name that is misspelt would not be noticed.
import { readFile } from 'node:fs/promises';
import { Tap, TapError } from './tap.ts';

/** @throws TapError */
export async function openNamedTap(ifname: string, mtu?: number): Promise<Tap> {
  const devices = await readFile('/proc/self/net/dev', 'utf8').catch(() => undefined);
  const there = devices?.split('\n').some((line) => line.trim().startsWith(`${ifname}:`));
  if (there === false) throw new TapError('ENODEV', `there is no network device ${ifname}`);
  return Tap.open(ifname, mtu);
}
