// What Linux's xen_emul_unplug= says (Documentation/admin-guide/kernel-parameters.txt), each word in a guest: which emulated devices are there
// afterwards and work, and which PV devices take their place. Disks on AHCI go as those on IDE do.
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile, writeCpio } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

const MIB = 1 << 20;
const MAC = '00:16:3e:55:44:33';
/** The cards' driver is not in the cloud kernel. */
const kernel = await guest('linux-image-amd64');
const MODULES = ['ahci', 'ata_piix', 'sd_mod', 'sr_mod', '8139too', 'xen-blkfront', 'xen-netfront'];
const modules = kernel === undefined ? [] : await kernelModuleFiles(kernel, MODULES, 'drivers');

/**
 * Loads all drivers, and says what they found. The CD-ROM drive, which never goes, is in the last place: when it is there, the disks before it are
 * known, and have a node soon. So has a PV device that has a driver.
 */
const LOOK = `#!/bin/sh
for module in $(ls /drivers | sort -n); do insmod /drivers/$module 2> /dev/null || echo refused $module; done
until [ -b /dev/sr0 ]; do sleep 0.05; done
for disk in /sys/bus/scsi/devices/[0-9]*; do
  [ "$(cat $disk/type)" = 0 ] && until [ -d $disk/block ]; do sleep 0.05; done
done
for pv in /sys/bus/xen/devices/vbd-*; do
  [ -e $pv/driver ] && until [ -d $pv/block ]; do sleep 0.05; done
done
echo card $(grep -l 0x020000 /sys/bus/pci/devices/*/class | wc -l)
echo disks $(ls /sys/block | grep -E '^(sd|xvd)')
for net in /sys/class/net/eth*; do
  [ -e $net/device ] && echo net $(basename $(readlink $net/device/driver)) $(cat $net/address) $(basename $net)
done | sort
`;
const LEASE = '#!/bin/sh\n[ -n "$ip" ] && ip addr flush dev $interface && ip addr add $ip/$mask dev $interface && echo "$ip"\n';

interface Found {
  readonly card: boolean;
  readonly disks: readonly string[];
  /** Of network cards. */
  readonly drivers: readonly string[];
  /** Modules that would not be loaded. */
  readonly refused: readonly string[];
}

const EMULATED = { card: true, disks: ['sda', 'sdb'], drivers: ['8139too'] } as const;
const PV = { card: false, disks: ['xvda', 'xvdc'], drivers: ['vif'] } as const;
/** Whatever was unplugged, Linux takes all PV devices (xen_has_pv_devices). */
const beside = (disks: readonly string[], card: boolean): Found => ({
  card,
  disks: [...disks, ...PV.disks],
  drivers: [...(card ? EMULATED.drivers : []), ...PV.drivers],
  refused: [],
});

describe.skipIf(kernel === undefined)('a guest with xen_emul_unplug=', { timeout: 3 * BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());

  it.each<[word: string, found: Found, diskController?: 'ahci']>([
    ['never', { ...EMULATED, refused: ['xen-blkfront', 'xen-netfront'] }],
    ['ide-disks', beside([], true), 'ahci'],
    ['nics', beside(EMULATED.disks, false)],
    ['all', beside([], false)],
    ['unnecessary', beside(EMULATED.disks, true)],
    // All but the first disk.
    ['aux-ide-disks', beside(['sda'], true), 'ahci'],
  ])('%s', async (word, found, diskController) => {
    const contents = randomBytes(2 * MIB);
    const store = (): RamStore => new RamStore(2 * MIB, { contents });
    const files = writeCpio([
      cpioDirectory('drivers'),
      cpioFile('look', LOOK, 0o755),
      cpioFile('lease', LEASE, 0o755),
      ...modules.filter(({ path }) => path !== 'drivers'),
    ]);
    const made = await dom1.createDomain({
      type: 'hvm',
      vga: 'none',
      diskController: diskController ?? 'ide',
      memory: '256MiB',
      kernel: kernel?.kernel as string,
      initrd: new Uint8Array(Buffer.concat([kernel?.initrd as Uint8Array, files])),
      // Linux gives its timer 160 ms to show that it works, which a busy host may take away: hvm.spec.ts has that check.
      // One of them goes by the 8259As.
      commandLine: `console=ttyS0 quiet cryptomgr.notests panic=-1 ${word === 'never' ? 'noapic' : 'no_timer_check'} xen_emul_unplug=${word}`,
      consoleType: 'serial',
      disks: [
        { vdev: 'xvda', store: store() },
        { vdev: 'xvdc', store: store() },
        { vdev: 'hdd', store: new RamStore(MIB, { readOnly: true }), cdrom: true },
      ],
      vifs: [{ mac: MAC }],
    });
    domain = made;
    made.run();
    const sh = async (command: string): Promise<string> => {
      const { output, status } = await made.sh(command, { timeout: BOOT_TIME });
      expect(status, output).toBe(0);
      return output.trim();
    };
    const lines = (await sh('/look')).split('\n').map((line) => line.trim().split(' '));
    const nets = lines.filter(([kind]) => kind === 'net').map(([, driver, mac, name]) => ({ driver, mac, name }));
    expect({
      card: lines.find(([kind]) => kind === 'card')?.[1] === '1',
      disks: lines.find(([kind]) => kind === 'disks')?.slice(1),
      drivers: nets.map(({ driver }) => driver),
      refused: lines.filter(([kind]) => kind === 'refused').map(([, file]) => file?.replace(/^\d+-|\.ko$/g, '')),
    }).toEqual(found);

    const digest = createHash('md5').update(contents).digest('hex');
    for (const disk of found.disks) expect(await sh(`md5sum < /dev/${disk}`)).toBe(`${digest}  -`);
    for (const { mac } of nets) expect(mac).toBe(MAC);
    // Where there are both, the PV card has the cable.
    const { name } = nets.at(-1) as { name: string };
    await sh(`ip link set ${name} up`);
    expect(await sh(`udhcpc -i ${name} -n -q -s /lease 2> /dev/null`)).toContain('10.0.2.15');
    expect(await sh('ping -c 1 10.0.2.2')).toContain('1 packets received');
    if (word === 'never') expect(await sh('cat /proc/interrupts')).toMatch(/ XT-PIC +eth0\n/);
  });
});
