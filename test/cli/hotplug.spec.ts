// Disks and network cards that come and go while a Linux guest runs in the background, by the commands a person gives.
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CpioEntry, cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { type KernelModule, readKernelModules } from '../../src/node/guest-parts.ts';
import { BOOT_TIME } from '../guest/kernels.ts';
import { type XenGuestParts, xenGuestParts } from '../guest/xen-guest.ts';
import { ConsoleShell } from './console-shell.ts';
import { dom1 as anyDom1, type Run } from './dom1.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const MAC = '00:16:3e:00:00:17';
const LEASE = '#!/bin/sh\n[ -n "$ip" ] || exit 0\nip addr add $ip/$mask dev $interface\necho "$ip"\n';

describe.skipIf(parts === undefined)('a guest in the background', { timeout: BOOT_TIME }, () => {
  let directory: string;
  let environment: NodeJS.ProcessEnv;
  let shell: ConsoleShell;
  let modules: readonly KernelModule[];
  const [raw, qcow2] = ['raw.img', 'image.qcow2'].map((name) => () => join(directory, name)) as [() => string, () => string];

  const dom1 = (...words: readonly string[]): Promise<Run> => anyDom1(words, { env: environment });
  const ok = async (...words: readonly string[]): Promise<string> => {
    const run = await dom1(...words);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    return run.stdout;
  };
  const json = async (...words: readonly string[]): Promise<object[]> => JSON.parse(await ok(...words, '--json')) as object[];
  const load = (): Promise<string> => shell.sh(modules.map(({ name }) => `insmod /devices/${name}.ko`).join('; '));
  const sh = (command: string): Promise<string> => shell.sh(command);
  const appears = (name: string): Promise<string> => sh(`while ! [ -b /dev/${name} ]; do sleep 0.1; done`);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'dom1-hotplug-'));
    environment = { XDG_RUNTIME_DIR: directory };
    const { kernel, busybox, extra } = parts as XenGuestParts;
    modules = await readKernelModules(parts as XenGuestParts, ['xen-blkfront', 'xen-netfront']);
    const files: CpioEntry[] = [
      cpioDirectory('devices'),
      cpioFile('devices/lease', LEASE, 0o755),
      ...modules.map(({ data, name }) => cpioFile(`devices/${name}.ko`, data)),
    ];
    writeFileSync(join(directory, 'initrd'), demoInitramfs(busybox, [...extra, ...files]));
    const lines = [
      'name = "hot"',
      `kernel = "${kernel}"`,
      `ramdisk = "${join(directory, 'initrd')}"`,
      'cmdline = "console=hvc0 cryptomgr.notests"',
      'on_reboot = "restart"',
    ];
    writeFileSync(join(directory, 'hot.cfg'), `${lines.join('\n')}\n`);
    writeFileSync(raw(), '');
    truncateSync(raw(), 8 * MIB);
    await ok('image', 'create', qcow2(), '8M');
    await ok('create', join(directory, 'hot.cfg'));
    shell = new ConsoleShell('hot', environment);
    await shell.console.prompt({ timeout: BOOT_TIME });
  }, BOOT_TIME);
  afterAll(async () => {
    shell?.[Symbol.dispose]();
    if (directory === undefined) return;
    await dom1('destroy', 'hot');
    rmSync(directory, { recursive: true });
  });

  it('takes nothing without a driver, and nothing is left of it', async () => {
    const run = await dom1('block-attach', 'hot', `${raw()},raw,xvdb,w`, '--timeout', '1');
    expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining('the guest did not take vbd xvdb within 1 s') });
    expect(await json('block-list', 'hot')).toEqual([]);
    expect(existsSync(`${raw()}.dom1-lock`)).toBe(false);
    expect(await ok('xenstore-list', 'hot', '/local/domain/0/backend/vbd').catch(() => '')).toBe('');
  });

  it('says which file cannot be attached, and why', async () => {
    const refused = async (spec: string): Promise<string> => {
      const run = await dom1('block-attach', 'hot', spec);
      expect(run).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^dom1: [^\n]+; [^\n]+\n$/) });
      return run.stderr;
    };
    expect(await refused(`${directory}/none.img,,xvdb`)).toContain(`${directory}/none.img`);
    expect(await refused(`${raw()},qcow2,xvdb`)).toContain(raw());
    expect(await json('block-list', 'hot')).toEqual([]);
  });

  it('gets disks, writes them, and loses them', async () => {
    await load();
    expect(await json('block-attach', 'hot', `${raw()},raw,xvdb,w`)).toEqual({ vdev: 'xvdb', devid: 51728 });
    await ok('block-attach', 'hot', 'format=qcow2', 'vdev=xvdc', `target=${qcow2()}`);
    for (const disk of ['xvdb', 'xvdc']) {
      await appears(disk);
      await sh(`echo written to ${disk} | dd of=/dev/${disk} conv=sync,fsync 2>/dev/null`);
    }
    expect(await json('block-list', 'hot')).toMatchObject([
      { domain: 'hot', vdev: 'xvdb', target: raw(), mode: 'w', state: 4 },
      { domain: 'hot', vdev: 'xvdc', target: qcow2(), mode: 'w', state: 4 },
    ]);
    expect(await ok('block-list', 'hot')).toMatch(/^51728 0 {3}\d+ +4 +\d+ +\d+ +\/local\/domain\/0\/backend\/vbd\/\d+\/51728$/m);
    expect(await dom1('block-attach', 'hot', `${raw()},raw,xvdd,w`)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/raw\.img is in use: [^\n]+; [^\n]+\n$/),
    });
    const [top] = JSON.parse(await ok('top', '--json', '-i', '1')) as [{ disks: { 'write-sectors': number }[] }];
    expect(top?.disks[0]?.['write-sectors']).toBeGreaterThan(0);
    await ok('block-detach', 'hot', 'xvdb');
    expect(readFileSync(raw()).toString('latin1', 0, 15)).toBe('written to xvdb');
    await sh('while [ -b /dev/xvdb ]; do sleep 0.1; done');
    // The file is free.
    await ok('block-attach', 'hot', `${raw()},raw,xvdd,w`);
    await appears('xvdd');
    expect(await sh('head -c 15 /dev/xvdd')).toBe('written to xvdb');
    await ok('block-detach', 'hot', '51760');
  });

  it('takes later what it is offered while it stands still, and keeps it then unless it is forced to let go', async () => {
    await ok('pause', 'hot');
    await ok('block-attach', 'hot', `${raw()},raw,xvdb,w`);
    expect(await json('block-list', 'hot')).toMatchObject([{ vdev: 'xvdb', state: 1 }, { vdev: 'xvdc' }]);
    await ok('unpause', 'hot');
    await appears('xvdb');
    await expect.poll(async () => (await json('block-list', 'hot'))[0]).toMatchObject({ vdev: 'xvdb', state: 4 });
    await ok('pause', 'hot');
    const run = await dom1('block-detach', 'hot', 'xvdb', '--timeout', '1');
    expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining('the guest does not let go of xvdb') });
    await ok('block-detach', 'hot', 'xvdb', '--force');
    expect(await json('block-list', 'hot')).toMatchObject([{ vdev: 'xvdc' }]);
    await ok('unpause', 'hot');
    await sh('while [ -b /dev/xvdb ]; do sleep 0.1; done');
  });

  it('gets a network card and an address, and loses it', async () => {
    expect(await json('network-attach', 'hot', `mac=${MAC}`)).toEqual({ devid: 0, mac: MAC });
    const lease = 'ip link set eth0 up; udhcpc -i eth0 -n -q -s /devices/lease 2>/dev/null';
    expect(await sh(`while ! [ -d /sys/class/net/eth0 ]; do sleep 0.1; done; ${lease}`)).toContain('10.0.2.15');
    expect(await sh('ping -c 1 -W 10 10.0.2.2')).toContain('1 packets received');
    expect(await json('network-list', 'hot')).toMatchObject([{ devid: 0, mac: MAC, state: 4 }]);
    await ok('network-detach', 'hot', MAC);
    await sh('while [ -d /sys/class/net/eth0 ]; do sleep 0.1; done');
    expect(await json('network-list', 'hot')).toEqual([]);
  });

  it('has what was attached again after a restart', async () => {
    await ok('network-attach', 'hot');
    const [before] = (await json('network-list', 'hot')) as [{ mac: string }];
    await ok('reboot', 'hot');
    shell.console.restart();
    await expect
      .poll(() => dom1('console', 'hot', '--history').then(({ stdout }) => stdout.match(/This shell is all/g)?.length), {
        timeout: BOOT_TIME,
        interval: 1000,
      })
      .toBe(2);
    await load();
    await appears('xvdc');
    expect(await sh('head -c 15 /dev/xvdc')).toBe('written to xvdc');
    expect(await sh('while ! [ -d /sys/class/net/eth0 ]; do sleep 0.1; done; cat /sys/class/net/eth0/address')).toBe(before.mac);
    expect(await json('block-list', 'hot')).toMatchObject([{ vdev: 'xvdc', target: qcow2(), state: 4 }]);
  });
});
