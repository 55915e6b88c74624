// Guests on one cable: at a switch of one process, and at one that domains in the background share by its name.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CpioEntry, cpioFile } from '../../src/image/cpio.ts';
import { Switch } from '../../src/net/switch.ts';
import { connectControl } from '../../src/node/connect-control.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { readKernelModules } from '../../src/node/guest-parts.ts';
import { dom1 as anyDom1 } from '../cli/dom1.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 8;
const MTU = 9000;
/** Gives the card an address in 192.168.7.0/24. */
const UP = (host: number): string =>
  `ip link set lo up; ip link set eth0 mtu ${MTU} up; ip addr add 192.168.7.${host}/24 dev eth0`;

/** The driver of network cards, to be loaded by hand. */
async function driver(): Promise<CpioEntry[]> {
  const modules = parts === undefined ? [] : await readKernelModules(parts, ['xen-netfront']);
  return modules.map(({ name, data }, i) => cpioFile(`modules/1${i}-${name}.ko`, data));
}

interface Shell {
  sh(command: string, options?: { timeout: number }): Promise<string>;
}

/** One guest fetches random bytes from another; both must have the same. */
async function expectTransfer(from: Shell, to: Shell, address: string): Promise<void> {
  const slow = { timeout: 120_000 };
  await from.sh(`dd if=/dev/urandom of=/tmp/sent bs=1M count=${MIB} 2>/dev/null; pidof httpd > /dev/null || httpd -h /tmp`, slow);
  const sent = await from.sh('sha256sum < /tmp/sent', slow);
  expect(await to.sh(`wget -q -O - http://${address}/sent | sha256sum`, slow)).toBe(sent);
}

describe.skipIf(parts === undefined)('two guests at a switch', { timeout: 2 * BOOT_TIME }, () => {
  const cable = new Switch(MTU);
  let one: XenGuest;
  let two: XenGuest;

  beforeAll(async () => {
    if (parts === undefined) return;
    const files = await driver();
    const boot = () => XenGuest.boot(parts, { files, vifs: [{ sink: cable.port(), mtu: MTU }] });
    [one, two] = await Promise.all([boot(), boot()]);
    for (const [i, guest] of [one, two].entries()) {
      await guest.sh('load-modules');
      await guest.sh(UP(i + 1));
    }
  }, 2 * BOOT_TIME);
  afterAll(async () => {
    await one?.[Symbol.asyncDispose]();
    await two?.[Symbol.asyncDispose]();
  }, BOOT_TIME);

  it('reach each other by IPv4 and by link-local IPv6, with frames as large as the MTU', async () => {
    // 9000 bytes less 28 of headers go into one frame.
    expect(await one.sh('ping -c 3 -s 8972 192.168.7.2')).toContain('3 packets received');
    expect(await one.sh('awk \'$2 == "FragCreates" || /^Ip:/ { print $NF }\' /proc/net/snmp | tail -n 1')).toBe('0');
    const address = await two.sh("ip -6 addr show dev eth0 scope link | sed -n 's/.*inet6 \\([^/]*\\).*/\\1/p'");
    expect(await one.sh(`until ping -6 -c 1 -W 2 ${address}%eth0; do sleep 0.5; done`)).toContain('1 packets received');
  });

  it('send each other what arrives', async () => {
    await expectTransfer(one, two, '192.168.7.1');
    await expectTransfer(two, one, '192.168.7.2');
    // Large segments and partial checksums pass as they are, and nothing was lost on the way.
    expect(cable.inspect().map(({ dropped }) => dropped)).toEqual([0, 0]);
  });

  it('have nothing to complain of', async () => {
    await one.log();
    await two.log();
  });
});

/** A guest of `dom1 create`, used through its console. */
class BackgroundGuest implements Shell {
  readonly name: string;
  readonly #runtime: string;
  readonly #log: string;
  #commands = 0;

  constructor(name: string, runtime: string) {
    this.name = name;
    this.#runtime = runtime;
    this.#log = join(runtime, 'log', `${name}.console.log`);
  }

  async sh(command: string, { timeout } = { timeout: 60_000 }): Promise<string> {
    const mark = `${++this.#commands}`;
    using control = await connectControl(this.name, { directory: this.#runtime });
    // What is typed is echoed, with the marks in two pieces.
    const typed = `echo "be""gin-${mark}"; ${command}; echo "en""d-${mark}-$?-"\n`;
    await control.execute('console-write', { data: Buffer.from(typed).toString('base64') });
    const printed = new RegExp(`begin-${mark}\\r?\\n([\\s\\S]*?)end-${mark}-(\\d+)-`);
    const [, output = '', status] = await this.#printed(printed, timeout);
    expect({ command, output, status }).toMatchObject({ command, status: '0' });
    return output.replaceAll('\r', '').trimEnd();
  }

  /** Until there is a shell. */
  async prompt(): Promise<void> {
    await this.#printed(/guest:/, BOOT_TIME);
  }

  /** What its console's log has, by now or in time. */
  async #printed(what: RegExp, timeout: number): Promise<RegExpExecArray> {
    for (const end = performance.now() + timeout; ; await wait(100)) {
      const text = readFileSync(this.#log, 'utf8');
      const found = what.exec(text);
      if (found !== null) return found;
      if (performance.now() > end) throw new Error(`${this.name} did not print ${what}; its last words:\n${text.slice(-500)}`);
    }
  }
}

describe.skipIf(parts === undefined)('domains in the background at link=switch:', { timeout: 2 * BOOT_TIME }, () => {
  const home = mkdtempSync(join(tmpdir(), 'dom1-lan-'));
  const runtime = join(home, 'dom1');
  const dom1 = (...words: string[]) => anyDom1(words, { env: { XDG_RUNTIME_DIR: home } });
  const guests = ['a', 'b', 'c'].map((name) => new BackgroundGuest(name, runtime)) as [
    BackgroundGuest,
    BackgroundGuest,
    BackgroundGuest,
  ];
  const [a, b, c] = guests;

  async function create({ name }: BackgroundGuest): Promise<void> {
    const config = join(home, `${name}.cfg`);
    const lines = [
      `name = "${name}"`,
      'memory = 192',
      `kernel = "${join(home, 'kernel')}"`,
      `ramdisk = "${join(home, 'initrd')}"`,
      'extra = "console=hvc0 quiet cryptomgr.notests"',
      `vif = [ "link=switch:lan,mtu=${MTU}" ]`,
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    expect(await dom1('create', config)).toMatchObject({ code: 0, stderr: '' });
  }

  async function start(guest: BackgroundGuest, host: number): Promise<void> {
    await guest.prompt();
    await guest.sh('load-modules');
    await guest.sh(UP(host));
  }

  beforeAll(async () => {
    if (parts === undefined) return;
    writeFileSync(join(home, 'kernel'), typeof parts.kernel === 'string' ? readFileSync(parts.kernel) : parts.kernel);
    writeFileSync(join(home, 'initrd'), demoInitramfs(parts.busybox, [...parts.extra, ...(await driver())]));
    await Promise.all(guests.map(create));
    await Promise.all(guests.map((guest, i) => start(guest, i + 1)));
  }, 3 * BOOT_TIME);
  afterAll(async () => {
    await Promise.all(guests.map(({ name }) => dom1('destroy', name)));
    rmSync(home, { recursive: true, force: true });
  }, BOOT_TIME);

  it('reach each other', async () => {
    for (const host of [2, 3]) expect(await a.sh(`ping -c 2 -s 8972 192.168.7.${host}`)).toContain('2 packets received');
    await expectTransfer(a, b, '192.168.7.1');
  });

  it('go on without one that ends, whichever it is, and take it back', async () => {
    const pid = (JSON.parse((await dom1('list', '--json')).stdout) as { name: string; pid: number }[]).find(
      ({ name }) => name === 'a',
    )!.pid;
    process.kill(pid, 'SIGKILL');
    expect(await b.sh('ping -c 2 192.168.7.3')).toContain('2 packets received');
    await expectTransfer(c, b, '192.168.7.3');
    await create(a);
    await start(a, 1);
    expect(await a.sh('ping -c 2 192.168.7.2')).toContain('2 packets received');
    expect(readdirSync(join(runtime, 'switch', 'lan'))).toHaveLength(3);
  });
});
