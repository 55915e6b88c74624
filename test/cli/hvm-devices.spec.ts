// An HVM guest in the background, by the commands a person gives: discs for its CD-ROM drive, keys and pictures, SysRq, an NMI; and its emulated
// network card at a switch that processes share, and at
// a tap device where that may be made.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { type Frame, type FrameSink, NO_OFFLOADS } from '../../src/io/frame-sink.ts';
import { UserNetwork } from '../../src/net/user/user-network.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { NodeSockets } from '../../src/node/node-sockets.ts';
import { SharedSwitch } from '../../src/node/shared-switch.ts';
import { EventLoopClock } from '../../src/time/event-loop-clock.ts';
import { BOOT_TIME } from '../guest/kernels.ts';
import { xenGuestParts } from '../guest/xen-guest.ts';
import { ConsoleShell } from './console-shell.ts';
import { dom1 as anyDom1 } from './dom1.ts';

/** It has the card's driver. */
const parts = await xenGuestParts('linux-image-amd64');
const MIB = 1 << 20;
const MODULES = ['ata_piix', 'sr_mod', '8139too'];
const LEASE = '#!/bin/sh\n[ -n "$ip" ] || exit 0\nip addr add $ip/$mask dev $interface\necho "$ip"\n';

const TAP = `d1h${process.pid % 100_000}`;
const ip = (...words: readonly string[]): string => execFileSync('ip', words, { encoding: 'utf8', stdio: 'pipe' });
/** Whether this process may make network devices; there is one then. */
const hasTap = parts !== undefined && makeTap();

function makeTap(): boolean {
  try {
    ip('tuntap', 'add', 'dev', TAP, 'mode', 'tap');
    return true;
  } catch {
    return false;
  }
}

/** What one network sends goes to the other, a moment later. */
function connect(one: FrameSink, other: FrameSink): void {
  const receiver = (to: FrameSink) => ({
    offloads: NO_OFFLOADS,
    receive(frame: Frame): boolean {
      const copy = { ...frame, bytes: frame.bytes.slice() };
      setImmediate(() => to.send(copy));
      return true;
    },
    writable: () => {},
    linkChanged: () => {},
  });
  one.attach(receiver(other));
  other.attach(receiver(one));
}

describe.skipIf(parts === undefined)('an HVM guest in the background', { timeout: BOOT_TIME }, () => {
  let home: string;
  let shell: ConsoleShell;
  const clock = new EventLoopClock();
  const networks: FrameSink[] = [];
  const ok = async (...words: readonly string[]): Promise<string> => {
    const run = await anyDom1(words, { env: { XDG_RUNTIME_DIR: home } });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    return run.stdout;
  };
  const sh = (command: string): Promise<string> => shell.sh(command);

  beforeAll(async () => {
    if (parts === undefined) return;
    home = mkdtempSync(join(tmpdir(), 'dom1-hvm-devices-'));
    const files = [
      ...parts.extra,
      cpioDirectory('devices'),
      cpioFile('devices/lease', LEASE, 0o755),
      ...(await kernelModuleFiles(parts, MODULES, 'drivers')),
    ];
    writeFileSync(join(home, 'initrd'), demoInitramfs(parts.busybox, files));
    const lines = [
      'name = "pc"',
      'type = "hvm"',
      `kernel = "${parts.kernel}"`,
      `ramdisk = "${join(home, 'initrd')}"`,
      'extra = "console=tty0 console=hvc0 cryptomgr.notests xen_emul_unplug=never"',
      'disk = [ "vdev=hdc,devtype=cdrom,access=ro" ]',
      `vif = [ "link=switch:lan"${hasTap ? `, "link=tap:${TAP}"` : ''} ]`,
    ];
    writeFileSync(join(home, 'pc.cfg'), `${lines.join('\n')}\n`);
    await ok('create', join(home, 'pc.cfg'));
    shell = new ConsoleShell('pc', { XDG_RUNTIME_DIR: home });
    await shell.console.prompt({ timeout: BOOT_TIME });
    await sh(
      'for module in $(ls /drivers | sort -n); do insmod /drivers/$module; done; until [ -b /dev/sr0 ]; do sleep 0.1; done',
    );
  }, 2 * BOOT_TIME);
  afterAll(async () => {
    shell?.[Symbol.dispose]();
    for (const network of networks) await network.close();
    clock.close();
    if (home === undefined) return;
    await anyDom1(['destroy', 'pc'], { env: { XDG_RUNTIME_DIR: home } });
    if (hasTap) ip('link', 'delete', TAP);
    rmSync(home, { recursive: true });
  });

  it('reads the disc that cd-insert puts in, and none after cd-eject', async () => {
    for (const name of ['one.iso', 'two.iso']) {
      const contents = randomBytes(2 * MIB);
      writeFileSync(join(home, name), contents);
      await ok('cd-insert', 'pc', 'hdc', join(home, name));
      expect(await sh('md5sum < /dev/sr0')).toBe(`${createHash('md5').update(contents).digest('hex')}  -`);
    }
    await ok('cd-eject', 'pc', 'hdc');
    expect(await sh('head -c 1 /dev/sr0 2>&1 || true')).toContain('No medium found');
  });

  it('reaches what is at the switch through its RTL8139', async () => {
    const where = { name: 'lan', directory: join(home, 'dom1') };
    const random = (): number => randomBytes(4).readUInt32LE();
    const lan = await SharedSwitch.join(where);
    const host = await UserNetwork.open({ sockets: new NodeSockets(), clock, random }, {});
    networks.push(lan, host);
    connect(lan, host);
    expect(await sh('basename $(readlink /sys/class/net/eth0/device/driver)')).toBe('8139too');
    expect(await sh('ip link set eth0 up; udhcpc -i eth0 -n -q -s /devices/lease 2>/dev/null')).toContain('10.0.2.15');
    expect(await sh('ping -c 2 -s 1400 10.0.2.2')).toContain('2 packets received');
  });

  it.runIf(hasTap)('reaches the host through a tap device', async () => {
    ip('address', 'add', '192.168.193.1/24', 'dev', TAP);
    ip('link', 'set', TAP, 'up');
    await sh('ip link set eth1 up; ip addr add 192.168.193.2/24 dev eth1');
    expect(await sh('ping -c 3 -s 1472 192.168.193.1')).toContain('3 packets received');
    expect(ip('neighbour', 'show', 'dev', TAP)).toContain(await sh('cat /sys/class/net/eth1/address'));
  });

  it('gets what is typed with sendkey, and shows it in a screenshot', async () => {
    await sh('(read line </dev/tty1; echo "$line" >/tmp/line) >/dev/null 2>&1 &');
    await sh('sleep 0.2');
    const picture = join(home, 'screen.png');
    await ok('screenshot', 'pc', picture);
    const before = readFileSync(picture);
    expect(before.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    await ok('sendkey', 'pc', '--text', '--enter', 'Typed', 'by', 'hand!');
    await sh('while ! [ -s /tmp/line ]; do sleep 0.1; done');
    expect(await sh('cat /tmp/line')).toBe('Typed by hand!');
    await ok('screenshot', 'pc', picture);
    expect(Buffer.compare(readFileSync(picture), before)).not.toBe(0);
    expect((await anyDom1(['mouse', 'pc', 'move', '1', '1'], { env: { XDG_RUNTIME_DIR: home } })).stderr).toMatch(
      /a PS\/2 mouse takes no positions, only movements/,
    );
    await ok('mouse', 'pc', 'by', '3', '4');
  });

  it('answers SysRq, through XenStore and from the keyboard, and takes an NMI', async () => {
    const helps = async (): Promise<number> => (await sh('dmesg')).match(/sysrq: HELP : /g)?.length ?? 0;
    await ok('sysrq', 'pc', 'h');
    await expect.poll(helps, { timeout: 20_000 }).toBe(1);
    await ok('sendkey', 'pc', 'alt-sysrq-h');
    await expect.poll(helps, { timeout: 20_000 }).toBe(2);
    const nmis = async (): Promise<number> => Number(/^ *NMI: +(\d+)/m.exec(await sh('cat /proc/interrupts'))?.[1]);
    const before = await nmis();
    await ok('trigger', 'pc', 'nmi');
    await expect.poll(nmis, { timeout: 20_000 }).toBe(before + 1);
  });
});
