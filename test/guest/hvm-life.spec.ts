// What a toolstack does to a running HVM domain, and what the guest sees of it: SysRq, an NMI, another kernel by kexec (a soft reset),
// whose platform is new around chips and memory that stay.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { fetchSeabios } from '../../src/node/boot-images.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const bios = await fetchSeabios().catch((error: unknown) => {
  process.stderr.write(`skipping HVM guests: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});

describe.skipIf(parts === undefined || bios === undefined)('a running HVM domain', { timeout: 3 * BOOT_TIME }, () => {
  let guest: XenGuest;
  const sh = (command: string) => guest.sh(command, { timeout: 60_000 });

  beforeAll(async () => {
    if (parts === undefined) return;
    const files = [cpioDirectory('boot'), cpioFile('boot/vmlinuz', await readFile(parts.kernel))];
    guest = await XenGuest.boot(parts, { type: 'hvm', bios: bios as string, files, memory: '512MiB' });
  }, BOOT_TIME);
  afterAll(() => guest?.domain.destroy());

  it('has its initrd as it was given, whatever the BIOS did in memory', async () => {
    const digest = createHash('sha256')
      .update(await readFile(parts?.kernel as string))
      .digest('hex');
    expect(await sh('sha256sum < /boot/vmlinuz')).toBe(`${digest}  -`);
  });

  it('answers SysRq', async () => {
    guest.domain.xenstore.write('/local/domain/1/control/sysrq', 'h');
    await guest.domain.xenstore.waitFor('/local/domain/1/control/sysrq', (value) => value === '', { timeout: 10_000 });
    await expect.poll(() => sh('dmesg')).toContain('sysrq: HELP : ');
  });

  it('takes an NMI', async () => {
    const count = async () => Number(/^NMI: +(\d+)/m.exec(await sh('cat /proc/interrupts'))?.[1]);
    const before = await count();
    guest.domain.nmi();
    await expect.poll(count).toBe(before + 1);
    expect(await sh('dmesg')).toMatch(/Uhhuh\. NMI received for unknown reason/);
  });

  it('starts another kernel, with a new platform around the same chips', async () => {
    const { domain } = guest;
    const states: string[] = [];
    using _ = domain.on('state', ({ state }) => void states.push(state));
    let bios = '';
    using __ = domain.on('log', (bytes) => {
      bios += Buffer.from(bytes).toString('latin1');
    });
    await sh('load-modules; echo here > /root/here');
    await sh('cd /; find . -xdev ! -path "./tmp/*" ! -path "./boot/*" | cpio -o -H newc > /tmp/initrd 2>/dev/null');
    await sh('kexec --no-checks -l /boot/vmlinuz --initrd=/tmp/initrd --reuse-cmdline');
    domain.console.write('kexec -e\n');
    await domain.console.expect(/This shell is all there is/, { timeout: BOOT_TIME });
    await guest.prompt();
    expect(states).toEqual([]);
    expect(bios).not.toContain('SeaBIOS');
    const log = await sh('dmesg');
    for (const line of [
      /Hypervisor detected: Xen HVM/,
      /ACPI: RSDP 0x0+F[0-9A-F]{4} 000024 \(v02 Xen/,
      /Xen HVM callback vector for event delivery is enabled/,
      /xen:events: Using FIFO-based ABI/,
      /clocksource: hpet:/,
      /Grant table initialized/,
      /i8042 KBD port at 0x60,0x64 irq 1/,
      /rtc_cmos .*: setting system clock to 20/,
    ])
      expect(log).toMatch(line);
    expect(await sh('cat /root/here; xenstore-read name; sleep 0.2; echo slept')).toBe('here\nguest\nslept');
    expect(await sh('cat /proc/interrupts')).toMatch(/xen-dyn +-event +xenbus/);
    expect(await sh('cat /proc/sys/kernel/tainted')).toBe('0');
    domain.shutdown('reboot');
    expect(await domain.ended).toMatchObject({ reason: 'reboot' });
  });
});
