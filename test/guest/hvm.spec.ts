// HVM domains: SeaBIOS on the board, a Debian kernel as PVHVM guest, and every way to reset. Beside Xen's own features this is what
// the log of the same kernel on another Xen shows (docs/kernel-logs.md tells the differences).
import { afterEach, describe, expect, it } from 'vitest';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { fetchSeabios } from '../../src/node/boot-images.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

async function seabios(): Promise<string | undefined> {
  try {
    return await fetchSeabios();
  } catch (error) {
    process.stderr.write(`skipping HVM guests: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

const SECTOR = 512;
const MIB = 1 << 20;
const bios = await seabios();

/** SCHEDOP_shutdown with the reason reboot, from flat protected mode: lgdt, CR0.PE, a far jump, VMCALL; the descriptors and the reason behind. */
const REBOOT_BY_HYPERCALL =
  'fa 0f0116507c 0f20c0 0c01 0f22c0 ea137c0800 66b81000 8ed8 b81d000000 bb02000000 b9707c0000 0f01c1 f4'
    .replaceAll(' ', '')
    .padEnd(0x50 * 2, '0') + '1700 587c0000 0000 0000000000000000 ffff0000009acf00 ffff00000092cf00 01000000'.replaceAll(' ', '');
const kernel = await guest('linux-image-cloud-amd64');
const newer = await guest('linux-image-6.12.*+deb12-cloud-amd64');

describe.skipIf(bios === undefined || kernel === undefined)('an HVM domain', { timeout: BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());

  async function start(config: Partial<CreateDomainConfig>): Promise<{ domain: Domain; log: () => string }> {
    const made = await dom1.createDomain({ type: 'hvm', bios: bios as string, memory: '256MiB', ...config });
    domain = made;
    let text = '';
    made.on('log', (bytes) => {
      text += Buffer.from(bytes).toString('latin1');
    });
    made.run();
    return { domain: made, log: () => text };
  }

  const linux = (more: string, console: 'serial' | 'pv' = 'serial'): Partial<CreateDomainConfig> => ({
    kernel: kernel?.kernel as string,
    initrd: kernel?.initrd as Uint8Array,
    commandLine: `console=${console === 'serial' ? 'ttyS0' : 'hvc0'} quiet cryptomgr.notests panic=-1 ${more}`,
    consoleType: console,
  });

  it('starts SeaBIOS, which finds Xen, the devices and nothing to boot', async () => {
    const { log } = await start({});
    await expect.poll(log, { timeout: BOOT_TIME }).toContain('No bootable device');
    for (const line of [
      'Found Xen hypervisor signature at 40000000',
      'Detected Xen v4.20',
      'Found 6 PCI devices',
      'Copying ACPI RSDP',
      'Copying SMBIOS',
      'PS2 keyboard initialized',
    ])
      expect(log()).toContain(line);
  });

  it('runs Linux as a PVHVM guest on its serial port, which reboots by the reset register of ACPI', async () => {
    const { domain: made, log: firmware } = await start(linux('reboot=acpi'));
    const { output: log } = await made.sh('dmesg');
    expect(complaints(log).filter((line) => !KNOWN.some((known) => known.test(line)))).toEqual([]);
    for (const line of [
      /Hypervisor detected: Xen HVM/,
      /x86\/PAT: Configuration \[0-7\]: WB {2}WC {2}UC- UC/,
      /DMI: Xen HVM domU, BIOS 4\.20/,
      /Xen HVM callback vector for event delivery is enabled/,
      /pci 0000:00:02\.0: \[5853:0001\]/,
      /clocksource: hpet:/,
      /ttyS0 at I\/O 0x3f8 \(irq = 4, base_baud = 115200\) is a 16550A/,
      /i8042 KBD port at 0x60,0x64 irq 1/,
      /rtc_cmos .*: setting system clock to 20/,
      /Xen Platform PCI: I\/O protocol version 1|Grant table initialized/,
    ])
      expect(log).toMatch(line);
    const { output: interrupts } = await made.sh('cat /proc/interrupts');
    for (const name of ['acpi', 'i8042', 'ttyS0', 'rtc0']) expect(interrupts).toMatch(new RegExp(`IO-APIC .*${name}`));
    // The clock of the CMOS is the host's.
    const { output: date } = await made.sh('cat /sys/class/rtc/rtc0/date');
    expect(date).toContain(new Date().toISOString().slice(0, 10));
    const ended = made.ended;
    await made.sh('reboot -f').catch(() => {});
    expect((await ended).reason).toBe('reboot');
    expect(firmware()).toMatch(/reset by port cf9h\n/);
  });

  it.skipIf(newer === undefined)('runs Linux 6.12, too', async () => {
    const { domain: made } = await start({ ...linux(''), kernel: newer?.kernel as string, initrd: newer?.initrd as Uint8Array });
    const { output: log } = await made.sh('dmesg');
    expect(complaints(log).filter((line) => !KNOWN.some((known) => known.test(line)))).toEqual([]);
    for (const line of [
      /Linux version 6\.12\./,
      /DMI: Memory slots populated: 1\/1/,
      /MTRR map: 4 entries \(3 fixed \+ 1 variable; max 19\), built from 8 variable MTRRs/,
      /ACPI: PM: \(supports S0 S4 S5\)/,
      /IOAPIC\[0\]: apic_id 1, version 32, address 0xfec00000, GSI 0-47/,
      /hpet0: 3 comparators, 64-bit 62\.500000 MHz counter/,
      /clocksource: Switched to clocksource xen/,
      /Grant table initialized/,
    ])
      expect(log).toMatch(line);
  });

  it('has its interrupts as event channels where hvm_pirq is on', async () => {
    const { domain: made } = await start({ ...linux(''), emulation: { pirq: true } });
    expect((await made.sh('dmesg')).output).toMatch(/xen: --> pirq=16 -> irq=9 \(gsi=9\)/);
    const { output: interrupts } = await made.sh('cat /proc/interrupts');
    for (const name of ['acpi', 'i8042', 'ttyS0', 'rtc0']) expect(interrupts).toMatch(new RegExp(`xen-pirq .*${name}`));
  });

  it('has the PV console beside it, and turns off by the power button', async () => {
    const { domain: made } = await start(linux('', 'pv'));
    // The button's driver is a module that is not there, so its status bit stays up: STS.
    const button = async (): Promise<string> => (await made.sh('cat /sys/firmware/acpi/interrupts/ff_pwr_btn')).output;
    expect(await button()).not.toContain('STS');
    made.pressPower();
    await expect.poll(button, { timeout: BOOT_TIME }).toContain('STS');
    const ended = made.ended;
    await made.sh('poweroff -f').catch(() => {});
    expect((await ended).reason).toBe('poweroff');
  });

  it.each([
    // out 64h,feh; out 64h,d1h, and its output port without the reset's bit; out cf9h,02h and 06h; out 92h,01h.
    ['the keyboard controller', 'b0fe e664', /reset by the keyboard controller\n/],
    ["the keyboard controller's output port", 'b0d1 e664 b000 e660', /reset by the keyboard controller\n/],
    ['port cf9h', 'baf90c b002 ee b006 ee', /reset by port cf9h\n/],
    ['port 92h', 'b001 e692', /reset by port 92h\n/],
    // lidt [7c40h], where there are zeros; int3.
    ['a triple fault', '0f011e407c cc', /reset by a triple fault\nrip 0000000000007c05 /],
    // jmp f000:fff0
    ['the entry of its BIOS', 'eaf0ff00f0', /Attempting a hard reboot\n[\s\S]*reset by port cf9h\n/],
    ['a hypercall', REBOOT_BY_HYPERCALL, /Booting from 0000:7c00\n(?![\s\S]*reset by)/],
  ])('is reset by a boot sector, and says so: by %s', async (_way, code, line) => {
    const contents = new Uint8Array(SECTOR);
    contents.set(Buffer.from(`${code.replaceAll(' ', '')}f4`, 'hex'));
    contents.set([0x55, 0xaa], SECTOR - 2);
    const store = new RamStore(MIB, { contents });
    const { domain: made, log } = await start({ disks: [{ vdev: 'hda', store }], vga: 'none' });
    expect((await made.ended).reason).toBe('reboot');
    expect(log()).toMatch(line);
    expect(log().match(/reset by/g) ?? []).toHaveLength(code === REBOOT_BY_HYPERCALL ? 0 : 1);
  });

  it('starts its BIOS and its kernel anew after a reset, with its chips as they were at first', async () => {
    const { domain: made, log } = await start(linux('nokaslr'));
    const look = async () => {
      const read = 'cat /proc/interrupts | wc -l; dmesg | grep -c "[Ff]ail"; cat /proc/ioports /proc/iomem';
      return (await made.sh(read)).output;
    };
    const first = await look();
    await made.sh('echo here > /tmp/here; stty -F /dev/ttyS0 9600; hwclock -u -w 2> /dev/null');
    await made.reset();
    expect((await made.sh('cat /tmp/here')).status).toBe(1);
    expect(await look()).toBe(first);
    expect(log().match(/Copying SMBIOS/g)).toHaveLength(2);
  });
});

/** What these guests' command line looks like to who searches for complaints. */
const KNOWN = [/ommand line: .*panic=/];
