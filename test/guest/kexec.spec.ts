// A guest that starts another kernel by kexec: SHUTDOWN_soft_reset, and a platform that is new around memory that stays.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { inspectAt } from '../../src/util/inspect/inspect-path.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const TIMES = 2;

describe.skipIf(parts === undefined)('a guest that starts another kernel', { timeout: 3 * BOOT_TIME }, () => {
  it('has a new platform under each', async () => {
    if (parts === undefined) return;
    const files = [cpioDirectory('boot'), cpioFile('boot/vmlinuz', await readFile(parts.kernel))];
    await using guest = await XenGuest.boot(parts, { files, memory: '512MiB' });
    const { domain } = guest;
    const sh = (command: string) => guest.sh(command, { timeout: 60_000 });
    const pages = () => inspectAt(domain.inspect(), 'memory/pages');
    const watched = () => JSON.stringify(inspectAt(domain.inspect(), 'xen/store'));
    const states: string[] = [];
    using _ = domain.on('state', ({ state }) => void states.push(state));
    const memoryKiB = async () => Number(await sh("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"));
    const first = { pages: pages(), memoryKiB: await memoryKiB() };

    for (let time = 1; time <= TIMES; time++) {
      await sh(`load-modules; echo ${time} > /root/times; xenstore-write data/times ${time}`);
      // Watches, transactions, event channels and grants of the kernel that goes are of no account to the next.
      await sh('xenstore-watch -n 9 data < /dev/null > /dev/null 2>&1 &');
      await expect.poll(watched, { timeout: 10_000 }).toContain('"/local/domain/1/data"');
      await sh('cd /; find . -xdev ! -path "./tmp/*" | cpio -o -H newc > /tmp/initrd 2>/dev/null');
      const left = await guest.clocks();
      // Without the check sums, which take the programs half a minute here.
      await sh('kexec --no-checks -l /boot/vmlinuz --initrd=/tmp/initrd --reuse-cmdline');
      domain.console.write('kexec -e\n');
      await domain.console.expect(/This shell is all there is/, { timeout: BOOT_TIME });
      await guest.prompt();

      expect(states).toEqual([]);
      expect(watched()).toContain('"/local/domain/1/control/shutdown"');
      expect(watched()).not.toContain('"/local/domain/1/data"');
      const log = await guest.log();
      expect(log).toContain('Hypervisor detected: Xen HVM');
      expect(log).toMatch(/ACPI: RSDP 0x0+[0-9A-F]+ 000024 \(v02 Xen/);
      expect(log).toContain('xen:events: Using FIFO-based ABI');
      expect(log).toContain('Xen: using vcpuop timer interface');
      expect(log).toContain('Grant table initialized');
      expect(await sh('cat /root/times /sys/devices/system/clocksource/clocksource0/current_clocksource')).toBe(`${time}\nxen`);
      // Xen's time goes on, the kernel's begins again, and both know what time of day it is.
      const clocks = await guest.clocks();
      expect(Math.abs(clocks.lagMs.unix)).toBeLessThan(2000);
      expect(clocks.monotonicMs).toBeLessThan(
        (inspectAt(domain.inspect(), 'time/system_ns') as number) / 1e6 - left.monotonicMs / 2,
      );
      expect(await sh(`xenstore-read name data/times; sleep 0.2; echo slept`)).toBe(`guest\n${time}\nslept`);
      domain.xenstore.write('/local/domain/1/control/sysrq', 'h');
      await domain.xenstore.waitFor('/local/domain/1/control/sysrq', (value) => value === '', { timeout: 10_000 });
      expect(pages()).toBe(first.pages);
      expect(Math.abs((await memoryKiB()) - first.memoryKiB)).toBeLessThan(1024);
      expect(await sh('cat /proc/interrupts')).toMatch(/xen-dyn +-event +xenbus/);
      expect(await sh('cat /proc/sys/kernel/tainted')).toBe('0');
    }
    domain.shutdown('poweroff');
    expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
  });

  it('starts one that was loaded for that when it panics, with its memory to look at', async () => {
    if (parts === undefined) return;
    const files = [cpioDirectory('boot'), cpioFile('boot/vmlinuz', await readFile(parts.kernel))];
    await using guest = await XenGuest.boot(parts, { files, memory: '512MiB', commandLine: 'crashkernel=200M' });
    const { domain } = guest;
    await guest.sh('cd /; find . -xdev ! -path "./tmp/*" ! -path "./boot/*" | cpio -o -H newc > /tmp/initrd 2>/dev/null');
    const commandLine = 'console=hvc0 loglevel=7 cryptomgr.notests nr_cpus=1 reset_devices';
    await guest.sh(`kexec --no-checks -p /boot/vmlinuz --initrd=/tmp/initrd --append="${commandLine}"`, { timeout: 60_000 });
    domain.console.write('echo c > /proc/sysrq-trigger\n');
    await domain.console.expect(/sysrq triggered crash/, { timeout: 10_000 });
    await domain.console.expect(/This shell is all there is/, { timeout: BOOT_TIME });
    await guest.prompt();
    await guest.log();
    expect(await guest.sh('xenstore-read name; head -c 4 /proc/vmcore | tail -c 3')).toBe('guest\nELF');
    expect(domain.state).toBe('running');
  });
});
