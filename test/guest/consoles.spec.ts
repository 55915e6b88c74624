// Further PV consoles and channels under Linux's own driver: hvc1 and up.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPty } from '../../src/node/fixtures/why-no-pty.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const noPty = whyNoPty();

describe.skipIf(parts === undefined)('a guest with further consoles', { timeout: BOOT_TIME }, () => {
  const first = dom1.consoleDevice({ id: 1 });
  const second = dom1.consoleDevice({ id: 2, whenFull: 'wait' });
  let directory: string;
  let path: string;
  let guest: XenGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 60_000 });
  /** Has the terminal take and give bytes as they are, for as long as somebody has it open. */
  const raw = (node: string): Promise<string> =>
    // The holder sets the mode: set by another, it would be gone again with that one's close, if the holder came later.
    sh(
      `(stty raw -echo; exec sleep 99999) < ${node} & echo $! > /tmp/holder.$(basename ${node}); until stty -a < ${node} | grep -q -e -icanon; do sleep 0.1; done`,
    );
  const release = (node: string): Promise<string> => sh(`kill $(cat /tmp/holder.$(basename ${node}))`);
  /** The last of the terminals that a console is behind: Linux picks the numbers. */
  const last = (): Promise<string> =>
    sh('for n in 7 6 5 4; do if (: < /dev/hvc$n) 2>/dev/null; then echo /dev/hvc$n; break; fi; done');

  beforeAll(async () => {
    if (parts === undefined) return;
    directory = await mkdtemp(join(tmpdir(), 'dom1-consoles-'));
    path = join(directory, 'agent');
    const channel = await dom1.openChannel({ id: 3, name: 'org.dom1.agent', connection: 'socket', path });
    guest = await XenGuest.boot(parts, { devices: [first, second, channel] });
    await raw('/dev/hvc1');
    await raw('/dev/hvc2');
    await raw('/dev/hvc3');
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    if (directory !== undefined) await rm(directory, { recursive: true });
  });

  it('finds them, connected', async () => {
    expect(await sh('cat /sys/bus/xen/devices/console-*/state')).toBe('Connected\nConnected\nConnected');
    const { devices } = guest.domain;
    expect(devices.list().map(({ type, id, state }) => `${type} ${id} ${state}`)).toEqual(
      [1, 2, 3].map((id) => `console ${id} Connected`),
    );
  });

  it('prints 1 MiB on one of them, intact', async () => {
    await sh('dd if=/dev/urandom of=/tmp/out bs=1M count=1 2>/dev/null');
    const got: Uint8Array[] = [];
    using _ = first.pipe.onOutput((bytes) => void got.push(bytes));
    const sum = await sh('cat /tmp/out > /dev/hvc1; md5sum < /tmp/out');
    await expect.poll(() => got.reduce((length, piece) => length + piece.length, 0), { timeout: 10_000 }).toBe(MIB);
    expect(`${md5(Buffer.concat(got))}  -`).toBe(sum);
  });

  it('waits for a reader who is slow, and loses nothing', async () => {
    const got: Uint8Array[] = [];
    const reader = second.pipe.reader((bytes) => {
      got.push(bytes);
      reader.hold();
    });
    const slow = setInterval(() => reader.resume(), 1);
    await sh('dd if=/dev/urandom of=/tmp/out bs=1M count=3 2>/dev/null');
    const sum = await sh('cat /tmp/out > /dev/hvc2; md5sum < /tmp/out');
    await expect.poll(() => got.reduce((length, piece) => length + piece.length, 0), { timeout: 30_000 }).toBe(3 * MIB);
    clearInterval(slow);
    reader.resume();
    expect(`${md5(Buffer.concat(got))}  -`).toBe(sum);
  });

  it('reads 1 MiB, no faster than it does', async () => {
    const data = randomBytes(MIB);
    const reading = sh(`head -c ${MIB} < /dev/hvc1 | md5sum`);
    let refused = 0;
    for (let at = 0; at < MIB; ) {
      const taken = first.console.write(data.subarray(at));
      at += taken;
      if (taken === 0) refused++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await reading).toBe(`${md5(data)}  -`);
    expect(refused).toBeGreaterThan(0);
  });

  it('has a shell on one', async () => {
    await sh('stty sane < /dev/hvc1');
    await sh('setsid sh -i < /dev/hvc1 > /dev/hvc1 2>&1 &');
    await first.console.prompt({ timeout: 20_000 });
    const { output, status } = await first.console.sh('tty; exit 3', { timeout: 20_000 });
    expect([output.trim(), status]).toEqual(['not a tty', 3]);
    expect(await sh('echo the primary one is free')).toBe('the primary one is free');
  });

  it('gets one while it runs, and loses it', async () => {
    const hot = dom1.consoleDevice({ id: 4 });
    await guest.domain.devices.attach(hot, { timeout: 20_000 });
    await sh(`echo hot > ${await last()}`);
    await hot.console.expect(/hot/, { timeout: 10_000 });
    expect(await guest.domain.devices.detach('console', '4', { timeout: 20_000 })).toBe(true);
    await expect(guest.sh('test -e /sys/bus/xen/devices/console-4', { status: 1 })).resolves.toBe('');
  });

  it('has a channel by its name, at a Unix socket', async () => {
    expect(await sh('xenstore-read device/console/3/name')).toBe('org.dom1.agent');
    const socket = connect(path);
    const got: Uint8Array[] = [];
    socket.on('data', (chunk) => got.push(chunk));
    const data = randomBytes(MIB);
    const reading = sh(`head -c ${MIB} < /dev/hvc3 > /tmp/in; cat /tmp/in > /dev/hvc3; md5sum < /tmp/in`);
    socket.write(data);
    expect(await reading).toBe(`${md5(data)}  -`);
    await expect.poll(() => Buffer.concat(got).length, { timeout: 10_000 }).toBe(MIB);
    expect(md5(Buffer.concat(got))).toBe(md5(data));
    socket.destroy();
  });

  it(`has a console at a pty${noPty === undefined ? '' : `: not run, ${noPty}`}`, async ({ skip }) => {
    if (noPty !== undefined) return skip(noPty);
    const device = await dom1.openChannel({ id: 5, name: 'org.dom1.pty', connection: 'pty' });
    await guest.domain.devices.attach(device, { timeout: 20_000 });
    const tty = await sh('xenstore-read device/console/5/tty');
    expect(tty).toBe(device.tty);
    const node = await last();
    await raw(node);
    const fd = openSync(tty, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    const reading = sh(`head -n 1 < ${node} > /tmp/line; sed 's/^/heard /' /tmp/line > ${node}`);
    writeSync(fd, 'a word\n');
    await reading;
    const bytes = new Uint8Array(100);
    let got = '';
    await expect
      .poll(
        () => {
          try {
            got += new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes)));
          } catch {
            // Nothing yet.
          }
          return got;
        },
        { timeout: 20_000 },
      )
      .toBe('heard a word\n');
    closeSync(fd);
    await release(node);
    expect(await guest.domain.devices.detach('console', 5, { timeout: 20_000 })).toBe(true);
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });

  // Linux complains there of its own: xencons_resume gives back a port that the resume of its event channels has forgotten.
  it('keeps them over a suspend as if restored', async () => {
    const { domain } = guest;
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    await sh('while [ "$(cat /sys/bus/xen/devices/console-1/state)" != Connected ]; do sleep 0.1; done');
    await sh('echo still there > /dev/hvc1');
    await first.console.expect(/still there/, { timeout: 10_000 });
  });
});
