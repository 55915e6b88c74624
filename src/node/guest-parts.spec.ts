import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildDeb, buildTar } from '../image/fixtures/build-archives.ts';
import { buildElf } from '../image/fixtures/build-elf.ts';
import { fetchGuestParts, fetchKernel, type GuestPartsOptions, type Progress, readKernelModules } from './guest-parts.ts';
import { defaultCacheDirectory } from './package-cache.ts';

// A host with an apt of its own: scripts that answer from files, and note what they were asked.
const APT_CACHE = `#!/bin/sh
echo "apt-cache $*" >> "$FAKE/log"
case "$1" in
  pkgnames) ls "$FAKE/show" | grep "^$2" ;;
  *) cat "$FAKE/show/\${3%:amd64}" 2>/dev/null || { echo 'E: No packages found' >&2; exit 100; } ;;
esac
exit 0
`;
const APT_GET = `#!/bin/sh
echo "apt-get $*" >> "$FAKE/log"
for last; do :; done
if [ "$last" = update ]; then cp "$FAKE"/lists/* "$FAKE/show/"; [ -e "$FAKE/on-update" ] && for new in "$FAKE"/debs/*.new; do mv "$new" "\${new%.new}"; done; exit 0; fi
[ -e "$FAKE/offline" ] && { echo 'E: Failed to fetch x  Could not resolve deb.debian.org' >&2; exit 100; }
name=\${last%%=*}
echo "dlstatus:1:50.0000:Retrieving file 1 of 1" >&3
cp "$FAKE/debs/\${name%:amd64}" "./\${name%:amd64}.deb"
`;

const KERNEL = 'linux-image-6.1.0-9-cloud-amd64';
let fake: string;
let options: GuestPartsOptions & { env: NodeJS.ProcessEnv };
let progress: Progress[];

const offer = (name: string, version: string, extra = '', folder = 'show'): void =>
  writeFileSync(join(fake, folder, name), `Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n${extra}Size: 1000\n`);
const publish = (name: string, deb: Uint8Array): void => writeFileSync(join(fake, 'debs', name), deb);
const kernelDeb = (contents: string): Uint8Array =>
  buildDeb(
    'data.tar.gz',
    gzipSync(
      buildTar([
        { path: './boot/', flag: '5' },
        { path: './boot/config-6.1', data: 'CONFIG_XEN=y' },
        { path: './boot/vmlinuz-6.1', data: contents },
        { path: './lib/modules/6.1/kernel/a/first-one.ko', data: module('second') },
        { path: './lib/modules/6.1/kernel/b/third.ko', data: module('') },
        { path: './lib/modules/6.1/kernel/b/second.ko.gz', data: gzipSync(module('third')) },
      ]),
    ),
  );
const module = (depends: string): Uint8Array =>
  buildElf({ sections: [{ name: '.modinfo', data: new TextEncoder().encode(`license=GPL\0depends=${depends}\0name=x\0`) }] });
const asked = (): string[] => readFileSync(join(fake, 'log'), 'utf8').trim().split('\n');
const downloads = (): string[] => asked().filter((line) => line.includes(' download '));
const listsChange = (secondsFromNow: number): void => {
  const at = new Date(Date.now() + secondsFromNow * 1000);
  utimesSync(join(fake, 'show'), at, at);
};

beforeEach(() => {
  fake = mkdtempSync(join(tmpdir(), 'dom1-apt-'));
  for (const folder of ['bin', 'show', 'lists', 'debs']) mkdirSync(join(fake, folder));
  for (const [name, script] of [
    ['apt-cache', APT_CACHE],
    ['apt-get', APT_GET],
  ] as const) {
    writeFileSync(join(fake, 'bin', name), script);
    chmodSync(join(fake, 'bin', name), 0o755);
  }
  writeFileSync(join(fake, 'log'), '');
  offer('linux-image-cloud-amd64', '6.1.99-1', `Depends: ${KERNEL} (= 6.1.99-1)\n`);
  offer(KERNEL, '6.1.99-1', 'Depends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+) | linux-initramfs-tool\n');
  offer('busybox-static', '1:1.35.0-4');
  publish(KERNEL, kernelDeb('kernel 99'));
  publish('busybox-static', buildDeb('data.tar', buildTar([{ path: './bin/busybox', data: 'bb' }])));
  listsChange(-100);
  progress = [];
  options = {
    env: { PATH: `${join(fake, 'bin')}:${process.env['PATH']}`, FAKE: fake },
    root: false,
    cacheDirectory: join(fake, 'cache'),
    listsDirectory: join(fake, 'show'),
    onProgress: (step) => void progress.push(step),
  };
});
afterEach(() => rmSync(fake, { recursive: true, force: true }));

describe.skipIf(process.platform === 'win32')('fetchGuestParts', () => {
  it('follows the meta package, downloads and unpacks', async () => {
    const parts = await fetchGuestParts(undefined, options);
    expect(parts).toMatchObject({ packageName: KERNEL, version: '6.1.99-1' });
    expect(readFileSync(parts.kernel, 'utf8')).toBe('kernel 99');
    expect(readFileSync(parts.config, 'utf8')).toBe('CONFIG_XEN=y');
    expect(readFileSync(parts.busybox, 'utf8')).toBe('bb');
    expect(downloads()).toHaveLength(2);
  });

  it('reports how far it is', async () => {
    await fetchGuestParts(undefined, options);
    expect(progress.filter(({ name }) => name !== 'busybox-static')).toEqual([
      { stage: 'find', name: 'linux-image-cloud-amd64', done: 0, total: 1 },
      { stage: 'find', name: 'linux-image-cloud-amd64', done: 1, total: 1 },
      { stage: 'download', name: KERNEL, done: 0, total: 1000 },
      { stage: 'download', name: KERNEL, done: 500, total: 1000 },
      { stage: 'download', name: KERNEL, done: 1000, total: 1000 },
      { stage: 'unpack', name: KERNEL, done: 0, total: 1 },
      { stage: 'unpack', name: KERNEL, done: 1, total: 1 },
    ]);
  });

  it('leaves nothing half-made in the cache', async () => {
    await fetchGuestParts(undefined, options);
    expect(readdirSync(join(fake, 'cache')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('does not ask apt again until its lists change', async () => {
    await fetchGuestParts(undefined, options);
    const before = asked().length;
    await fetchGuestParts(undefined, options);
    expect(asked()).toHaveLength(before);
  });

  it('asks again when the lists have changed, and keeps a version it has', async () => {
    await fetchGuestParts(undefined, options);
    listsChange(100);
    const before = asked().length;
    await fetchGuestParts(undefined, options);
    expect(asked().length).toBeGreaterThan(before);
    expect(downloads()).toHaveLength(2);
  });

  it('fetches a new version', async () => {
    await fetchGuestParts(undefined, options);
    offer(KERNEL, '6.1.100-1');
    publish(KERNEL, kernelDeb('kernel 100'));
    listsChange(100);
    const parts = await fetchGuestParts(undefined, options);
    expect(parts.version).toBe('6.1.100-1');
    expect(readFileSync(parts.kernel, 'utf8')).toBe('kernel 100');
  });

  it('takes what is cached when the new version cannot be downloaded', async () => {
    await fetchGuestParts(undefined, options);
    offer(KERNEL, '6.1.100-1');
    listsChange(100);
    writeFileSync(join(fake, 'offline'), '');
    expect((await fetchGuestParts(undefined, options)).version).toBe('6.1.99-1');
  });

  it('takes what is cached when there is no apt any more', async () => {
    await fetchGuestParts(undefined, options);
    listsChange(100);
    expect((await fetchGuestParts(undefined, { ...options, env: { PATH: '/nonexistent' } })).version).toBe('6.1.99-1');
  });

  it('says what to pass where there is no apt', async () => {
    await expect(fetchGuestParts(undefined, { ...options, env: { PATH: '/nonexistent' } })).rejects.toMatchObject({
      name: 'GuestPartsError',
      code: 'no-package-tool',
      message: expect.stringMatching(/no apt-cache .*; pass --kernel and --initrd/),
    });
  });

  it('says why a download failed', async () => {
    writeFileSync(join(fake, 'offline'), '');
    await expect(fetchGuestParts(undefined, options)).rejects.toMatchObject({
      code: 'download-failed',
      message: expect.stringMatching(/Could not resolve deb\.debian\.org; .*apt-get update/),
    });
  });

  it('tells an ordinary user to update empty package lists', async () => {
    rmSync(join(fake, 'show'), { recursive: true });
    mkdirSync(join(fake, 'show'));
    await expect(fetchGuestParts(undefined, options)).rejects.toMatchObject({
      code: 'no-package-lists',
      message: expect.stringContaining('sudo apt-get update'),
    });
  });

  it('updates empty package lists itself as root, and keeps apt from changing user', async () => {
    rmSync(join(fake, 'show'), { recursive: true });
    mkdirSync(join(fake, 'show'));
    offer('linux-image-cloud-amd64', '6.1.99-1', `Depends: ${KERNEL} (= 6.1.99-1)\n`, 'lists');
    offer(KERNEL, '6.1.99-1', '', 'lists');
    offer('busybox-static', '1', '', 'lists');
    expect((await fetchGuestParts(undefined, { ...options, root: true })).version).toBe('6.1.99-1');
    expect(asked()).toContain('apt-get -q update');
    expect(downloads()[0]).toContain('-o APT::Sandbox::User=root');
  });

  it('updates old package lists as root when what they name is gone', async () => {
    offer(KERNEL, '6.1.100-1', '', 'lists');
    rmSync(join(fake, 'debs', KERNEL));
    writeFileSync(join(fake, 'on-update'), '');
    publish(`${KERNEL}.new`, kernelDeb('kernel 100'));
    const parts = await fetchGuestParts(undefined, { ...options, root: true });
    expect(parts.version).toBe('6.1.100-1');
    expect(asked().filter((line) => line === 'apt-get -q update')).toHaveLength(1);
  });

  it('names a package apt does not know', async () => {
    await expect(fetchKernel('linux-image-7.0', options)).rejects.toMatchObject({
      code: 'unknown-package',
      message: expect.stringContaining('apt knows no package linux-image-7.0'),
    });
  });

  it('names what a package lacks, and caches nothing of it', async () => {
    publish(KERNEL, buildDeb('data.tar', buildTar([{ path: 'boot/config-6', data: '' }])));
    await expect(fetchGuestParts(undefined, options)).rejects.toMatchObject({
      code: 'missing-file',
      message: expect.stringContaining('has no vmlinuz'),
    });
    expect(readdirSync(join(fake, 'cache')).sort()).toEqual([
      'linux-image-6.1.0-9-cloud-amd64_6.1.99-1.deb',
      'linux-image-cloud-amd64.answer',
    ]);
  });

  it('says when the cache directory cannot be made', async () => {
    writeFileSync(join(fake, 'file'), '');
    await expect(fetchGuestParts(undefined, { ...options, cacheDirectory: join(fake, 'file', 'cache') })).rejects.toMatchObject({
      code: 'cache-unwritable',
      message: expect.stringContaining('XDG_CACHE_HOME'),
    });
  });
});

describe.skipIf(process.platform === 'win32')('fetchKernel', () => {
  it('takes the newest package that matches a pattern', async () => {
    for (const name of [
      'linux-image-6.12.9+deb12-cloud-amd64',
      'linux-image-6.12.10+deb12-cloud-amd64',
      'linux-image-6.12.11+deb12-cloud-amd64-unsigned',
      'linux-image-6.12.11+deb12-rt-amd64',
    ]) {
      offer(name, '6.12');
      publish(name, kernelDeb(name));
    }
    expect((await fetchKernel('linux-image-6.12.*+deb12-cloud-amd64', options)).packageName).toBe(
      'linux-image-6.12.10+deb12-cloud-amd64',
    );
  });
});

describe.skipIf(process.platform === 'win32')('readKernelModules', () => {
  it('gives modules unpacked, after those they depend on', async () => {
    const modules = await readKernelModules(await fetchKernel(undefined, options), ['first_one']);
    expect(modules.map(({ name, path }) => [name, path])).toEqual([
      ['third', 'lib/modules/6.1/kernel/b/third.ko'],
      ['second', 'lib/modules/6.1/kernel/b/second.ko'],
      ['first-one', 'lib/modules/6.1/kernel/a/first-one.ko'],
    ]);
    expect(modules[1]?.data).toEqual(module('third'));
  });

  it('names a module that is not there', async () => {
    const kernel = await fetchKernel(undefined, options);
    await expect(readKernelModules(kernel, ['third', 'zap'])).rejects.toMatchObject({
      code: 'missing-file',
      message: expect.stringContaining('has no module zap'),
    });
  });
});

describe('defaultCacheDirectory', () => {
  it('follows XDG_CACHE_HOME when it is absolute', () => {
    expect(defaultCacheDirectory({ XDG_CACHE_HOME: '/x/cache' })).toBe('/x/cache/dom1');
    expect(defaultCacheDirectory({ XDG_CACHE_HOME: 'relative' })).toMatch(/\.cache\/dom1$/);
    expect(defaultCacheDirectory({})).toMatch(/\.cache\/dom1$/);
  });
});
