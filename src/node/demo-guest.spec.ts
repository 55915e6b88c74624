import { describe, expect, it } from 'vitest';
import { type CpioEntry, readCpio } from '../image/cpio.ts';
import { fetchDemoGuest } from './demo-guest.ts';

const modules = ['xen-blkfront', 'xen-netfront'];
const files = {
  '/etc/motd': 'hello',
  '/opt/a/run': '#!/bin/sh\n',
  '/opt/a/elf': Uint8Array.of(0x7f, 0x45, 0x4c, 0x46),
  '/tmp/x': '',
};
const guest = await fetchDemoGuest({ modules, files }).catch((error: Error) => {
  process.stderr.write(`skipping the demo's guest: ${error.message}\n`);
  return undefined;
});

describe.skipIf(guest === undefined)("the demo's guest for programs", () => {
  const entries: readonly CpioEntry[] = guest === undefined ? [] : readCpio(guest.initrd);
  const entry = (path: string): CpioEntry | undefined => entries.find((each) => each.path === path);

  it('has a kernel, and a command line with its console', () => {
    expect(guest?.kernel).toMatch(/\/vmlinuz$/);
    expect(guest?.commandLine.split(' ')).toContain('console=hvc0');
  });

  it('has the files that were asked for, and programs among them can be run', () => {
    const modes = Object.keys(files).map((path) => ((entry(path.slice(1))?.mode ?? 0) & 0o777).toString(8));
    expect(modes).toEqual(['644', '755', '755', '644']);
    expect(new TextDecoder().decode(entry('etc/motd')?.data)).toBe('hello');
  });

  it('has each directory once, before what is in it', () => {
    const paths = entries.map(({ path }) => path);
    expect(paths.filter((path) => path === 'etc' || path === 'opt/a' || path === 'tmp').sort()).toEqual(['etc', 'opt/a', 'tmp']);
    for (const [i, path] of paths.entries()) {
      const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
      if (parent !== '') expect(paths.slice(0, i), path).toContain(parent);
    }
  });

  it('has its modules in an order in which they can be loaded', () => {
    const names = entries
      .map(({ path }) => /^lib\/modules\/boot\/\d{3}-(.*)\.ko$/.exec(path)?.[1])
      .filter((name) => name !== undefined);
    expect(names).toEqual(expect.arrayContaining(modules));
    expect(names.indexOf('xen-netfront')).toBeGreaterThan(-1);
  });

  it('knows how to take an address from DHCP', () => {
    expect(entry('etc/udhcpc/default.script')?.mode).toBe(0o100755);
  });
});
