// What a toolstack does to a running guest, and what the guest sees of it: pauses, suspends, the balloon, SysRq, resets.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectAt } from '../../src/util/inspect/inspect-path.ts';
import { BOOT_TIME, REPEAT } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const HOME = '/local/domain/1';
const KIB_PER_PAGE = 4;
/** What asking a guest for the time may take on a busy host, more or less. */
const SLACK_MS = 1200;

describe.skipIf(parts === undefined)('a guest and its toolstack', { timeout: 120_000 }, () => {
  let guest: XenGuest;
  /** Event channels that the guest has bound so far. */
  let binds = 0;
  const sh = (command: string) => guest.sh(command, { timeout: 20_000 });
  const memory = async (field: string) => Number(await sh(`sed -n 's/^${field}: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo`));
  const hostKiB = () => (inspectAt(guest.domain.inspect(), 'memory/pages') as number) * KIB_PER_PAGE;

  beforeAll(async () => {
    if (parts === undefined) return;
    guest = await XenGuest.boot(parts, { trace: ['xen.evtchn_bind'] }, (domain) => domain.on('trace', () => void binds++));
  }, BOOT_TIME);
  afterAll(() => guest?.[Symbol.asyncDispose]());

  /** Everything that has to work after something happened to the guest: events, timers, console, XenStore, a clean log. */
  const works = async () => {
    expect(await sh('xenstore-read name; sleep 0.2; echo slept')).toBe('guest\nslept');
    await guest.log({ clear: true });
  };

  /** A line of /proc/interrupts ends in the device's name; where that is a sentence, it begins with a label. */
  const sourceOf = (words: readonly string[]) => (/^[A-Z]/.test(words[0] ?? '') ? words[0] : words.at(-1));

  it('has its events counted, delivered through the FIFO ABI', async () => {
    const log = await guest.log({ clear: true });
    expect(log).toContain('xen:events: Using FIFO-based ABI');
    expect(log).toContain('xen:events: Xen HVM callback vector for event delivery is enabled');
    const counted = async (): Promise<Record<string, number>> => {
      const lines = (await sh('cat /proc/interrupts')).split('\n').map((line) => line.trim().split(/\s+/));
      return Object.fromEntries(lines.map((words) => [sourceOf(words), Number(words[1])]));
    };
    const before = await counted();
    await sh('xenstore-read name; sleep 0.5');
    const after = await counted();
    for (const source of ['timer0', 'xenbus', 'hvc_console', 'HYP:']) {
      expect(before[source], source).toBeGreaterThan(0);
      expect(after[source], source).toBeGreaterThan(before[source]!);
    }
    expect(after).toMatchObject({ resched0: 0, callfunc0: 0, 'ERR:': 0, 'MIS:': 0 });
  });

  it('does not see the time of a pause, nor does it lose what was sent meanwhile', async () => {
    const { domain } = guest;
    const before = await guest.clocks();
    await domain.pause();
    expect(domain.state).toBe('paused');
    const retired = domain.retired;
    domain.xenstore.write(`${HOME}/data/while-paused`, 1);
    domain.console.write('echo typed while paused\n');
    await delay(3000);
    expect(domain.retired).toBe(retired);
    domain.unpause();
    await domain.console.expect(/\ntyped while paused/, { timeout: 10_000 });
    await guest.prompt();
    const after = await guest.clocks();
    expect(after.monotonicMs).toBeGreaterThan(before.monotonicMs);
    expect(Math.abs(after.lagMs.monotonic - before.lagMs.monotonic - 3000)).toBeLessThan(SLACK_MS);
    expect(await sh('xenstore-read data/while-paused')).toBe('1');
    await works();
  });

  it('answers SysRq', async () => {
    guest.domain.xenstore.write(`${HOME}/control/sysrq`, 'h');
    await guest.domain.xenstore.waitFor(`${HOME}/control/sysrq`, (value) => value === '', { timeout: 10_000 });
    await expect.poll(() => sh('dmesg')).toContain('sysrq: HELP : ');
    await works();
  });

  it('gives memory back and takes it again, also when it needs it itself', async () => {
    const [total, target] = [await memory('MemTotal'), 256 * 1024];
    const aim = async (kib: number) => {
      guest.domain.xenstore.write(`${HOME}/memory/target`, kib);
      await expect.poll(hostKiB, { timeout: 60_000 }).toBe(kib);
      // The guest counts what it has after the call that gave or took it.
      await expect.poll(() => memory('MemTotal'), { timeout: 60_000 }).toBe(total - target + kib);
    };
    expect(hostKiB()).toBe(target);
    await aim(target / 2);
    expect(await memory('MemFree')).toBeLessThan(total - target / 2);
    await works();
    await aim(target);
    // With little left beside what it uses, it goes on, and loses nothing.
    await sh('cd /tmp; dd if=/dev/urandom of=piece bs=1M count=2 2>/dev/null; for _ in $(seq 25); do cat piece; done > all');
    await aim(target / 2);
    expect(await memory('MemFree')).toBeLessThan(30 * 1024);
    await sh('cat /tmp/all > /dev/null');
    await aim(target);
    const sums = await sh('cd /tmp; for i in $(seq 0 24); do dd if=all bs=2M skip=$i count=1 2>/dev/null | md5sum; done | uniq');
    expect(sums).toBe(await sh('cd /tmp; md5sum < piece; rm piece all'));
    // What came back can be used.
    await sh('dd if=/dev/zero of=/tmp/zeros bs=1M count=100 2>/dev/null; cat /tmp/zeros > /dev/null; rm /tmp/zeros');
    expect(await memory('MemTotal')).toBe(total);
    await works();
  });

  for (const cancelled of [true, false]) {
    it(`suspends and goes on as if ${cancelled ? 'nothing had happened' : 'restored'}, many times`, async () => {
      const { domain } = guest;
      await sh('(i=0; while sleep 0.1; do i=$((i + 1)); echo $i > /tmp/ticks; done) > /dev/null 2>&1 & echo $! > /tmp/ticker');
      for (let round = 1; round <= 10 * REPEAT; round++) {
        const before = await guest.clocks();
        const ticks = Number(await sh('cat /tmp/ticks 2>/dev/null || echo 0'));
        const suspended = expect.poll(() => domain.state, { timeout: 20_000, interval: 20 }).toBe('suspended');
        domain.shutdown('suspend');
        await suspended;
        const stoodMs = round === 1 ? 2000 : 0;
        await delay(stoodMs);
        binds = 0;
        await domain.resume({ cancelled });
        expect(domain.state).toBe('running');
        expect(await sh('xenstore-read control/shutdown name')).toBe('\nguest');
        const after = await guest.clocks();
        expect(after.monotonicMs).toBeGreaterThan(before.monotonicMs);
        // Time stood still for the guest; what the wallclock went on by, Linux adds to its own.
        expect(Math.abs(after.lagMs.monotonic - before.lagMs.monotonic - stoodMs)).toBeLessThan(SLACK_MS);
        expect(Math.abs(after.lagMs.unix - before.lagMs.unix)).toBeLessThan(SLACK_MS);
        await expect.poll(async () => Number(await sh('cat /tmp/ticks')), { timeout: 10_000 }).toBeGreaterThan(ticks);
        // After a restore all of them are new.
        if (cancelled) expect(binds).toBe(0);
        else expect(binds).toBeGreaterThanOrEqual(5);
        const log = await guest.log({ clear: true });
        expect(log).toContain('Freezing user space processes');
        expect(log).toContain('Restarting tasks ... done.');
      }
      await sh('kill $(cat /tmp/ticker); rm /tmp/ticks');
      await works();
    });
  }

  it('stays where it is until neither a pause nor a suspend holds it', async () => {
    const { domain } = guest;
    const time = () => inspectAt(domain.inspect(), 'time/system_ns') as number;
    const stands = async (state: string) => {
      expect(domain.state).toBe(state);
      const before = time();
      await delay(100);
      expect(time()).toBe(before);
    };
    const suspend = async () => {
      domain.shutdown('suspend');
      await expect.poll(() => domain.state, { timeout: 20_000, interval: 20 }).toBe('suspended');
      await domain.pause();
    };
    await suspend();
    await domain.resume();
    await stands('paused');
    domain.unpause();
    await works();
    await suspend();
    domain.unpause();
    await stands('suspended');
    await domain.resume({ cancelled: true });
    expect(domain.state).toBe('running');
    await works();
  });

  it('goes on with what it was at, paused and suspended many times', async () => {
    const { domain } = guest;
    const count = 'i=0; while [ $i -lt 200 ]; do xenstore-write data/i $i || exit 1; i=$((i+1)); done; xenstore-read data/i';
    const first = sh(count);
    for (let i = 0; i < 40; i++) {
      await domain.pause();
      await delay(i % 3);
      domain.unpause();
      await delay(i % 7);
    }
    expect(await first).toBe('199');
    const second = sh(count);
    for (let i = 0; i < 5; i++) {
      domain.shutdown('suspend');
      await expect.poll(() => domain.state, { timeout: 20_000, interval: 5 }).toBe('suspended');
      await domain.resume({ cancelled: i % 2 === 0 });
    }
    expect(await second).toBe('199');
    await works();
  });

  it('is as new after a reset', async () => {
    const { domain } = guest;
    await sh('echo old > /tmp/old; xenstore-write data/old 1');
    const causes: unknown[] = [];
    using _ = domain.on('state', ({ state, cause }) => void causes.push([state, cause]));
    await domain.reset();
    await guest.prompt();
    expect(causes).toEqual([['running', 'reset']]);
    expect(await sh('ls /tmp; xenstore-list data')).toBe('');
    expect(Number(await sh('cut -d. -f1 /proc/uptime'))).toBeLessThan(60);
    expect((await guest.clocks()).lagMs.unix).toBeLessThan(SLACK_MS);
    await works();
  });

  it('powers off when it is asked to', async () => {
    guest.domain.shutdown('poweroff');
    expect(await guest.domain.ended).toMatchObject({ reason: 'poweroff' });
  });
});

describe.skipIf(parts === undefined)('a guest that may have more memory than it is given', { timeout: 90_000 }, () => {
  it('comes down to what it is given, may have the rest later, and no more than mem-max says', async () => {
    if (parts === undefined) return;
    const [given, most] = [192 * 1024, 256 * 1024];
    await using guest = await XenGuest.boot(parts, { memory: given * 1024, maxMemoryBytes: most * 1024 });
    const { domain } = guest;
    const aim = (kib: number) => domain.xenstore.write(`/local/domain/${domain.id}/memory/target`, kib);
    const pages = () => (inspectAt(domain.inspect(), 'memory/pages') as number) * KIB_PER_PAGE;
    await expect.poll(pages, { timeout: 60_000 }).toBe(given);
    aim(most);
    await expect.poll(pages, { timeout: 60_000 }).toBe(most);
    aim(given);
    await expect.poll(pages, { timeout: 60_000 }).toBe(given);
    domain.setMaxMemory((given + 16 * 1024) * 1024);
    aim(most);
    await expect.poll(pages, { timeout: 60_000 }).toBe(given + 16 * 1024);
    await guest.sh('dd if=/dev/zero of=/tmp/zeros bs=1M count=100 2>/dev/null; rm /tmp/zeros');
    expect(() => domain.setMaxMemory(2 * most * 1024)).toThrow(RangeError);
  });
});

describe.skipIf(parts === undefined)('a guest with two-level event channels', { timeout: 60_000 }, () => {
  it('works as well, and reboots when it is asked to', async () => {
    if (parts === undefined) return;
    await using guest = await XenGuest.boot(parts, { commandLine: 'xen.fifo_events=0' });
    const log = await guest.log();
    expect(log).toContain('xen:events: Using 2-level ABI');
    expect(log).not.toContain('FIFO');
    expect(await guest.sh('cat /proc/interrupts')).toMatch(/xen-percpu +-virq +debug0/);
    expect(await guest.sh('xenstore-read name; sleep 0.2; echo slept')).toBe('guest\nslept');
    guest.domain.shutdown('reboot');
    expect(await guest.domain.ended).toMatchObject({ reason: 'reboot' });
  });
});
