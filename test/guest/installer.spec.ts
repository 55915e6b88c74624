// Debian's installer, as its netboot images have it, up to its questions: its kernel as a PVH guest on the PV console, and as an HVM guest from
// a CD that the BIOS boots, with everything on the screen and from the keyboard.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Domain } from '../../src/machine/domain.ts';
import { fetchFiles } from '../../src/node/guest-parts.ts';
import { INSTALLER, installerDisc } from './installer-disc.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { showsText } from './picture-text.ts';

const FILES = { linux: /\/text\/debian-installer\/amd64\/linux$/, initrd: /\/text\/debian-installer\/amd64\/initrd\.gz$/ };
/** With less it enters its low memory mode first. */
const MEMORY = '1GiB';

const directory = await fetchFiles(INSTALLER, FILES).catch((error: unknown) => {
  process.stderr.write(`skipping Debian's installer: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});

describe.skipIf(directory === undefined)("Debian's installer", { timeout: 4 * BOOT_TIME }, () => {
  let domain: Domain;
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'dom1-installer-'));
  });
  afterEach(() => domain?.destroy());
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  it('asks for a language', async () => {
    domain = await dom1.createDomain({
      memory: MEMORY,
      kernel: join(directory as string, 'linux'),
      initrd: join(directory as string, 'initrd'),
      commandLine: 'console=hvc0 quiet',
      vifs: [{}],
    });
    let text = '';
    domain.console.onOutput((bytes) => {
      text += Buffer.from(bytes).toString('utf8');
    });
    domain.run();
    await expect.poll(() => text, { timeout: 2 * BOOT_TIME }).toContain('Select a language');
  });

  it('asks for it on the screen of an HVM guest that the BIOS has booted from a CD, and goes on at a key', async () => {
    const path = await installerDisc(scratch);
    domain = await dom1.createDomain({
      type: 'hvm',
      memory: MEMORY,
      disks: [{ vdev: 'hdc', path, format: 'raw', cdrom: true }],
      boot: ['d'],
      vifs: [{}],
    });
    let log = '';
    domain.on('log', (bytes) => {
      log += Buffer.from(bytes).toString('latin1');
    });
    const picture = () => domain.screen?.snapshot();
    const press = (key: string): void => [true, false].forEach((down) => domain.input?.key(dom1.keyCode(key), down));
    // Large pictures: they are not looked at more often than they must.
    const shows = (text: string): boolean => {
      const shown = picture();
      return shown?.width === 1024 && showsText(shown, text);
    };
    const asks = (text: string) => expect.poll(() => shows(text), { interval: 2000, timeout: 3 * BOOT_TIME }).toBe(true);
    domain.run();

    // ISOLINUX's menu, in a VESA mode and over a picture of some three thousand colours.
    const colours = (): number => new Set(new Uint32Array(picture()?.rgba.slice().buffer ?? new ArrayBuffer(0))).size;
    await expect.poll(colours, { interval: 500, timeout: BOOT_TIME }).toBeGreaterThan(1000);
    expect(picture()).toMatchObject({ width: 640, height: 480 });
    expect(domain.screen?.text()).toBeUndefined();
    expect(log).toContain('Booting from DVD/CD');
    expect(log).toMatch(/VBE DISPI: bdf 00:03\.0, bar 0\n/);
    press('ret');
    // The kernel starts in the VESA mode that the menu asks for, and its own driver takes over.
    await asks('Choose the language to be used for the installation process.');
    expect(picture()).toMatchObject({ width: 1024, height: 768 });
    press('ret');
    await asks('The selected location will be used to set your time zone');
  });
});
