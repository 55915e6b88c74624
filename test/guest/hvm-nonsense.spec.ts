// A guest that programs nonsense into all devices of its board: a boot sector that reads and writes random registers, by all sizes and with
// random values, as fast as it can. It may lose itself, its disk and its machine; the monitor answers, and is well.
import { afterEach, describe, expect, it } from 'vitest';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { fetchSeabios } from '../../src/node/boot-images.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';

const bios = await fetchSeabios().catch((error: unknown) => {
  process.stderr.write(`skipping HVM guests: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});

const SECTOR = 512;
const MIB = 1 << 20;
/** Where the sector's parts lie: GDTR and GDT, the seed, the count, and 32 places in ports and memory, of each 64 bytes are used. */
const AT = { gdtr: 0x100, gdt: 0x108, seed: 0x120, count: 0x124, places: 0x128 } as const;
const COUNT = 150_000;

/**
 * cli; lgdt; into flat protected mode; then COUNT times: two steps of a linear congruential generator, of which the first chooses place, offset,
 * direction and size, and the second, its bytes reversed, is the value; at the end "!" to the debug port, and a loop.
 */
const CODE =
  'fa0f0116007d0f20c00c010f22c0ea137c080066b810008ed88ec08ed08b35207d00008b2d247d0000' +
  '69f66d4ec64181c63930000089f0c1e81083e01f8b1485287d000089f3c1eb1589d983e13f01ca' +
  '69f66d4ec64181c63930000089f00fc8c1eb0683e30781fa00000100731e' +
  '83fb017213741483fb0372057407eeeb3166efeb2defeb2aeceb27edeb24' +
  '83fb017219741b83fb037209740c83e2fc8902eb0f668902eb0a8802eb068a02eb028b02' +
  '4d0f8572ffffffbae9000000b021eeb00aeeebfe';

/** Those that do not end the machine at once. */
const PORTS = [
  ...[0x10, 0x20, 0xa0, 0x170, 0x1b0, 0x1f0, 0x370, 0x3b0, 0x3c0, 0x3f0, 0x400, 0x4d0, 0x510],
  // What PCI's BARs were given.
  ...[0xc000, 0xc040, 0xc080, 0xc0c0, 0xc100, 0xc140],
] as const;
/** PIT, 8042, RTC, port 92; configuration space and the reset port; power management: with resets, and with S5. */
const ENDING_PORTS = [0x40, 0x60, 0xcd0, 0xafc0, 0xb000] as const;
/** VGA, frame buffer and further BARs, I/O APIC, HPET, local APIC. */
const MEMORY = [
  0xa_0000, 0xb_8000, 0xf000_0000, 0xf100_0000, 0xf200_0000, 0xf201_0000, 0xf202_0000, 0xfec0_0000, 0xfed0_0000, 0xfed0_0100,
];
/** Where the firmware finds an AHCI controller: generic host control, and the port with the disk. */
const ABAR = 0xf201_2000;
const AHCI = [ABAR, ABAR + 0x100, ABAR + 0x108, ABAR + 0x110] as const;
const LOCAL_APIC = [0xfee0_0080, 0xfee0_0300, 0xfee0_0380] as const;

function nonsense(seed: number, places: readonly number[]): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  sector.set(Buffer.from(CODE, 'hex'));
  view.setUint16(AT.gdtr, 0x17, true);
  view.setUint32(AT.gdtr + 2, 0x7c00 + AT.gdt, true);
  view.setBigUint64(AT.gdt + 8, 0x00cf_9a00_0000_ffffn, true);
  view.setBigUint64(AT.gdt + 16, 0x00cf_9200_0000_ffffn, true);
  view.setUint32(AT.seed, seed, true);
  view.setUint32(AT.count, COUNT, true);
  for (let i = 0; i < 32; i++) view.setUint32(AT.places + i * 4, places[i % places.length] as number, true);
  view.setUint16(SECTOR - 2, 0xaa55, true);
  return sector;
}

describe.skipIf(bios === undefined)('a guest that programs nonsense into its devices', { timeout: BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());

  it.each<[string, number, readonly number[], 'ahci'?]>([
    ['none of which ends the machine', 1, [...PORTS, ...MEMORY, ...LOCAL_APIC]],
    ['all of them', 2, [...PORTS, ...ENDING_PORTS, ...MEMORY]],
    ['those that are reset often', 3, [...ENDING_PORTS, ...LOCAL_APIC]],
    [
      'disks, cards and the screen',
      4,
      [0x170, 0x1f0, 0x370, 0x3f0, 0xc000, 0xc040, 0xc080, 0xc0c0, 0xc100, 0x3c0, 0x1b0, 0xf000_0000],
    ],
    ['an AHCI controller', 5, AHCI, 'ahci'],
  ])('harms nobody: %s', async (_name, seed, places, diskController) => {
    const boot = new RamStore(MIB, { contents: nonsense(seed, places) });
    const made = await dom1.createDomain({
      type: 'hvm',
      bios: bios as string,
      ...(diskController !== undefined && { diskController }),
      memory: '128MiB',
      disks: [
        { vdev: 'hda', store: boot },
        { vdev: 'hdc', store: new RamStore(MIB, { readOnly: true }), cdrom: true },
      ],
      vifs: [{}],
    });
    domain = made;
    let log = '';
    made.on('log', (bytes) => {
      log += Buffer.from(bytes).toString('latin1');
    });
    const problems: Error[] = [];
    made.on('problem', (error) => problems.push(error));
    made.run();
    await expect.poll(() => log, { timeout: BOOT_TIME }).toContain('Booting from 0000:7c00');
    if (diskController === 'ahci') expect(log).toContain(`iobase 0x${ABAR.toString(16)}`);
    // Its end, in whatever way a guest may end; or that it is through, or lost in what DMA has written over it.
    const lost = new Promise<string>((resolve) => setTimeout(() => resolve('lost'), 3000));
    const done = expect
      .poll(() => log, { timeout: 3000 })
      .toContain('!\n')
      .then(
        () => 'done',
        () => lost,
      );
    const how = await Promise.race([made.ended.then(({ reason }) => reason), done, lost]);
    expect(['done', 'lost', 'reboot', 'poweroff', 'triple-fault']).toContain(how);
    // It is seen through and through, and its picture is taken, whatever mode that is.
    if (made.state === 'running') expect((await made.registers(0)).vcpu).toBe(0);
    expect(made.inspect()).toBeDefined();
    made.screen?.snapshot();
    made.screen?.text();
    await made.destroy();
    await made.ended;
    expect(problems).toEqual([]);
  });
});
