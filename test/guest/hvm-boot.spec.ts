// SeaBIOS boots a CD by itself, through El Torito, with what its screen shows meanwhile. A disk, through MBR and GRUB: debian-root/five-ways.spec.ts.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Domain } from '../../src/machine/domain.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { GrubMedia } from './grub-media.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

const kernel = await guest('linux-image-cloud-amd64');
/** Every byte of the kernel goes through the data port. */
const MEDIA_TIME = 3 * BOOT_TIME;

const menu = `serial --unit=0 --speed=115200
terminal_output console serial
set timeout=0
menuentry "a guest" {
  echo GRUB has the screen
  linux /boot/vmlinuz console=ttyS0 quiet cryptomgr.notests panic=-1
  initrd /boot/initrd
}
`;

describe.skipIf(kernel === undefined)('a BIOS', { timeout: MEDIA_TIME }, () => {
  let directory: string;
  let media: GrubMedia;
  let files: ReadonlyMap<string, string | Uint8Array>;
  let domain: Domain | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dom1-media-'));
    media = await GrubMedia.prepare(directory);
    files = new Map<string, string | Uint8Array>([
      ['boot/grub/grub.cfg', menu],
      ['boot/vmlinuz', await readFile(kernel?.kernel as string)],
      ['boot/initrd', kernel?.initrd as Uint8Array],
    ]);
  }, BOOT_TIME);
  afterEach(() => domain?.destroy());
  afterAll(() => rm(directory, { recursive: true, force: true }));

  async function boot(config: Partial<CreateDomainConfig>): Promise<{ made: Domain; log: () => string; serial: () => string }> {
    const made = await dom1.createDomain({ type: 'hvm', memory: '256MiB', consoleType: 'serial', ...config });
    domain = made;
    let [log, serial] = ['', ''];
    made.on('log', (bytes) => {
      log += Buffer.from(bytes).toString('latin1');
    });
    made.on('serial', (bytes) => {
      serial += Buffer.from(bytes).toString('latin1');
    });
    made.run();
    return { made, log: () => log, serial: () => serial };
  }

  it('boots Linux from a CD through GRUB', async () => {
    const disc = { vdev: 'hdc', path: await media.disc(files), format: 'raw', cdrom: true } as const;
    const { log, made, serial } = await boot({ disks: [disc], boot: ['d'] });
    await expect.poll(serial, { timeout: MEDIA_TIME }).toContain('GRUB has the screen');
    expect(log()).toContain('Booting from DVD/CD');
    // Text mode, and not all of it black.
    const picture = made.screen?.snapshot();
    expect([picture?.width, picture?.height]).toEqual([720, 400]);
    const shown = picture?.rgba.filter((value, i) => i % 4 !== 3 && value > 0x80).length ?? 0;
    expect(shown).toBeGreaterThan(300);
    const { output } = await made.sh('cat /proc/cmdline', { timeout: MEDIA_TIME });
    expect(output).toContain('BOOT_IMAGE=/boot/vmlinuz');
  });
});
