// A shared folder under Linux's own client: v9fs over 9pnet_xen.
import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

// The cloud kernels are built without 9P.
const parts = await xenGuestParts('linux-image-amd64');
const MIB = 1 << 20;
const MANY = 2000;
const RECONNECTS = 3;

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

describe.skipIf(parts === undefined)('a guest with a shared folder', { timeout: BOOT_TIME }, () => {
  const contents = randomBytes(6 * MIB);
  let [outside, folder, readOnly] = ['', '', ''];
  let guest: XenGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 90_000 });
  const host = (name: string): string => join(folder, name);
  const mount = (tag: string, place: string): string => `mount -t 9p -o trans=xen,version=9p2000.L ${tag} ${place}`;

  beforeAll(async () => {
    if (parts === undefined) return;
    outside = await mkdtemp(join(tmpdir(), 'dom1-share-'));
    [folder, readOnly] = [join(outside, 'folder'), join(outside, 'read-only')];
    for (const path of [folder, readOnly]) await mkdir(path);
    await writeFile(join(outside, 'secret'), 'of the host');
    await writeFile(host('from-host'), contents);
    await writeFile(join(readOnly, 'file'), 'as it was');
    const files = await kernelModuleFiles(parts, ['9p', '9pnet_xen'], 'share');
    guest = await XenGuest.boot(parts, {
      files,
      devices: [
        await dom1.openShare({ tag: 'work', path: folder }),
        await dom1.openShare({ tag: 'docs', path: readOnly, readOnly: true }),
      ],
    });
    await sh('for module in /share/*; do insmod $module || exit 1; done; mkdir -p /mnt /docs');
    await sh(`while ! ${mount('work', '/mnt')} 2>/dev/null; do sleep 0.1; done`);
    await sh(mount('docs', '/docs'));
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    if (outside !== '') await rm(outside, { recursive: true });
  });

  it('reads what the host wrote, and the host what it wrote', async () => {
    expect(await sh("md5sum < /mnt/from-host | cut -d ' ' -f 1")).toBe(md5(contents));
    const inGuest = await sh(
      "dd if=/dev/urandom of=/tmp/data bs=1M count=6 2>/dev/null; dd if=/tmp/data of=/mnt/from-guest bs=64k conv=fsync 2>/dev/null; md5sum < /tmp/data | cut -d ' ' -f 1",
    );
    expect(md5(await readFile(host('from-guest')))).toBe(inGuest);
    await sh('cmp /tmp/data /mnt/from-guest; rm /tmp/data');
    await writeFile(host('from-host'), 'changed');
    expect(await sh('cat /mnt/from-host')).toBe('changed');
  });

  it('appends and truncates', async () => {
    await sh('echo one > /mnt/text; echo two >> /mnt/text');
    expect(await readFile(host('text'), 'utf8')).toBe('one\ntwo\n');
    await sh('truncate -s 5 /mnt/text; truncate -s 3000000 /mnt/sparse');
    expect(await readFile(host('text'), 'utf8')).toBe('one\nt');
    expect((await stat(host('sparse'))).size).toBe(3_000_000);
    expect(await sh('stat -c %s /mnt/sparse')).toBe('3000000');
  });

  it('makes, moves and removes directories and files', async () => {
    await sh('mkdir -p /mnt/a/b/c; echo x > /mnt/a/b/c/x; mv /mnt/a/b /mnt/moved; echo y > /mnt/moved/c/y');
    expect((await readdir(host('moved/c'))).sort()).toEqual(['x', 'y']);
    expect(await readdir(host('a'))).toEqual([]);
    await guest.sh('rmdir /mnt/moved', { status: 1 });
    await sh('mv /mnt/moved/c/x /mnt/moved/c/y; cat /mnt/moved/c/y | grep x; rm -r /mnt/moved; rmdir /mnt/a');
    expect(await readdir(folder)).not.toContain('moved');
    await sh('exec 3<>/mnt/gone; echo kept >&3; rm /mnt/gone; echo more >&3; stat /proc/self/fd/3 >/dev/null; exec 3>&-');
    expect(await readdir(folder)).not.toContain('gone');
  });

  it('gives permissions, owners and times', async () => {
    await sh('touch /mnt/mine; chmod 4751 /mnt/mine; touch -d "2020-02-03 04:05:06" /mnt/mine');
    const { mode, mtimeMs } = await stat(host('mine'));
    expect(mode & 0o7777).toBe(0o4751);
    expect(mtimeMs).toBe(Date.UTC(2020, 1, 3, 4, 5, 6));
    expect(await sh('stat -c "%a %Y" /mnt/mine')).toBe(`4751 ${mtimeMs / 1000}`);
    if (process.getuid?.() !== 0) return;
    await sh('chown 12:34 /mnt/mine');
    expect(await stat(host('mine'))).toMatchObject({ uid: 12, gid: 34 });
  });

  it('has links, and none leads out of the folder', async () => {
    await sh('echo target > /mnt/target; ln /mnt/target /mnt/hard; ln -s target /mnt/soft; cat /mnt/soft | grep target');
    expect((await stat(host('hard'))).nlink).toBe(2);
    expect(await readlink(host('soft'))).toBe('target');
    // An absolute link is one in the guest: it has no such file, and the host's is not read.
    await symlink(join(outside, 'secret'), host('escape'));
    await sh(`ln -s ${outside}/secret /mnt/own-escape; ln -s ../secret /mnt/up`);
    for (const name of ['escape', 'own-escape', 'up']) {
      expect((await lstat(host(name))).isSymbolicLink()).toBe(true);
      await guest.sh(`cat /mnt/${name}`, { status: 1 });
    }
    await symlink(outside, host('way-out'));
    await guest.sh('ls /mnt/way-out/secret', { status: 1 });
    expect(await sh('ls /mnt/../mnt/.. | grep -c secret || true')).toBe('0');
    await guest.sh('mknod /mnt/disk b 8 0', { status: 1 });
  });

  it(`lists and removes ${MANY} files`, async () => {
    await mkdir(host('many'));
    for (let i = 0; i < MANY; i += 100)
      await Promise.all(Array.from({ length: 100 }, (_, j) => writeFile(host(`many/file-${i + j}`), '')));
    await sh('for i in 1 2 3 4 5 6 7 8 9; do : > /mnt/many/own-$i; done');
    expect(await sh('ls /mnt/many | sort -u | wc -l')).toBe(String(MANY + 9));
    await sh('rm -r /mnt/many');
    expect(await readdir(folder)).not.toContain('many');
  });

  it('maps files', async () => {
    await sh('mkdir /mnt/bin; cp /bin/busybox /mnt/bin; chmod 755 /mnt/bin/busybox');
    expect(await sh('/mnt/bin/busybox echo it runs')).toBe('it runs');
  });

  it('does not change what is read-only', async () => {
    expect(await sh('cat /docs/file')).toBe('as it was');
    for (const command of ['echo x > /docs/file', 'touch /docs/new', 'rm /docs/file', 'chmod 600 /docs/file'])
      await guest.sh(`${command} 2>/tmp/said`, { status: 1 });
    expect(await sh('cat /tmp/said')).toContain('Read-only file system');
    expect(await readdir(readOnly)).toEqual(['file']);
  });

  // Linux's frontend does not take a device again that it had closed, and xenbus keeps the module while it has one.
  it('comes and goes while the guest runs, and so does its driver', async () => {
    const { devices } = guest.domain;
    await sh('umount /docs; umount /mnt');
    expect(await devices.detach('9pfs', 'docs')).toBe(true);
    for (let time = 0; time < RECONNECTS; time++) {
      expect(await devices.detach('9pfs', 'work')).toBe(true);
      await sh('rmmod 9pnet_xen && insmod /share/*-9pnet_xen.ko');
      await devices.attach(await dom1.openShare({ tag: 'work', path: folder }), { timeout: 20_000 });
      await sh(`${mount('work', '/mnt')} && echo ${time} > /mnt/again && umount /mnt`);
      expect(await readFile(host('again'), 'utf8')).toBe(`${time}\n`);
    }
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });
});
