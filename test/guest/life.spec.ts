// One guest at work: commands, time, idleness; and the ways it can end.
import { describe, expect, it } from 'vitest';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

const parts = await guest('linux-image-cloud-amd64');
/** Without the kernel's tests of its ciphers, which boot.spec.ts runs. */
const COMMAND_LINE = 'console=hvc0 quiet cryptomgr.notests';
/** Seconds over which the clocks are compared. */
const DRIFT_TIME = Number(process.env.DOM1_DRIFT_SECONDS ?? 10);

async function boot(commandLine = COMMAND_LINE) {
  if (parts === undefined) throw new Error('no kernel');
  const domain = await dom1.createDomain({ kernel: parts.kernel, initrd: parts.initrd, commandLine, memory: '256MiB' });
  domain.run();
  await domain.console.prompt({ timeout: BOOT_TIME });
  return domain;
}

describe.skipIf(parts === undefined)('a guest', () => {
  it('runs commands, sleeps when idle, and keeps time', { timeout: BOOT_TIME + DRIFT_TIME * 1000 + 60_000 }, async () => {
    await using domain = await boot();
    const { console: terminal } = domain;

    expect(await terminal.sh('echo one; echo two >&2; exit 3', { timeout: 10_000 })).toEqual({ output: 'one\ntwo\n', status: 3 });
    expect((await terminal.sh('echo "größe: $((6 * 7))"', { timeout: 10_000 })).output).toBe('größe: 42\n');
    const long = Array.from({ length: 400 }, (_, i) => `w${i}`).join(' ');
    expect((await terminal.sh(`echo ${long}`, { timeout: 10_000 })).output).toBe(`${long}\n`);
    const { output } = await terminal.sh('seq 1 5000', { timeout: 30_000 });
    expect(output.length).toBe(23_893);
    await expect(terminal.sh('sleep 60', { timeout: 200 })).rejects.toMatchObject({ code: 'timeout' });
    await terminal.prompt({ timeout: 10_000 }); // it was interrupted

    const idleMs = 4000;
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, idleMs));
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / idleMs;

    const drift = await clockDrift(
      (onLine) => {
        let text = '';
        return terminal.onOutput((bytes) => {
          text += new TextDecoder().decode(bytes);
          const lines = text.split('\n');
          text = lines.pop() ?? '';
          for (const line of lines) onLine(line.trim());
        });
      },
      (command) => terminal.sh(command, { timeout: 30_000 }),
    );
    process.stderr.write(
      `idle guest: ${(share * 100).toFixed(2)} % of a core; clock drift over ${DRIFT_TIME} s: ${drift.toFixed(3)} ms\n`,
    );
    expect(share).toBeLessThan(0.03);
    expect(Math.abs(drift)).toBeLessThan(1);

    terminal.write('exit\n');
    expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
  });

  it('may reboot', { timeout: BOOT_TIME + 30_000 }, async () => {
    await using domain = await boot();
    domain.console.write('reboot -f\n');
    expect(await domain.ended).toMatchObject({ reason: 'reboot' });
    expect(domain.state).toBe('shutdown');
  });

  it('may crash: a report says where, the console why', { timeout: BOOT_TIME + 30_000 }, async () => {
    await using domain = await boot();
    domain.console.write('echo c > /proc/sysrq-trigger\n');
    const end = await domain.ended;
    expect(end.reason).toBe('crash');
    expect(end.report).toMatch(/^rip ffffffff8/);
    expect(domain.console.lastLines(60).join('\n')).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(domain.state).toBe('crashed');
  });

  it('can be destroyed at any time', { timeout: 30_000 }, async () => {
    if (parts === undefined) return;
    const controller = new AbortController();
    const domain = await dom1.createDomain({ kernel: parts.kernel, commandLine: COMMAND_LINE }, { signal: controller.signal });
    domain.run();
    setTimeout(() => controller.abort(), 300);
    expect(await domain.ended).toMatchObject({ reason: 'destroyed' });
    expect(domain.state).toBe('destroyed');
    await expect(domain.console.prompt()).rejects.toMatchObject({ code: 'closed' });
  });

  it('is not built when that was called off', async () => {
    if (parts === undefined) return;
    await expect(
      dom1.createDomain({ kernel: parts.kernel }, { signal: AbortSignal.abort(new Error('called off')) }),
    ).rejects.toThrow('called off');
  });
});

/**
 * How much the guest's monotonic clock gained on the host's, in milliseconds. The guest prints its time some hundreds of times
 * at both ends; what comes soonest after it was read says most.
 */
async function clockDrift(
  listen: (onLine: (line: string) => void) => Disposable,
  sh: (command: string) => Promise<unknown>,
): Promise<number> {
  const sample = async (): Promise<{ readonly hostMs: number; readonly offsetMs: number }> => {
    let best = { hostMs: 0, offsetMs: Number.POSITIVE_INFINITY };
    using _ = listen((line) => {
      const [, ns] = /^now at (\d+) nsecs$/.exec(line) ?? [];
      const hostMs = performance.now();
      if (ns !== undefined && hostMs - Number(ns) / 1e6 < best.offsetMs) best = { hostMs, offsetMs: hostMs - Number(ns) / 1e6 };
    });
    await sh('for i in $(seq 1 400); do { read a; read a; read a; } < /proc/timer_list; echo $a; done');
    if (best.offsetMs === Number.POSITIVE_INFINITY) throw new Error('the guest printed no time');
    return best;
  };
  const first = await sample();
  await new Promise((resolve) => setTimeout(resolve, DRIFT_TIME * 1000));
  const last = await sample();
  return first.offsetMs - last.offsetMs;
}
