// `dom1 run --hvm`: boot sectors that say who they are on the serial port and turn the machine off, and a Linux kernel.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchSeabios } from '../../src/node/boot-images.ts';
import { requireTools } from '../guest/debian-root/require-tools.ts';
import { runTool } from '../guest/debian-root/run-tool.ts';
import { BOOT_TIME, guest } from '../guest/kernels.ts';
import { dom1 } from './dom1.ts';

const SECTOR = 512;
const CD_BLOCK = 2048;
const bios = await fetchSeabios().catch((error: unknown) => {
  process.stderr.write(`skipping HVM guests: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});
const kernel = await guest('linux-image-cloud-amd64');

/** mov al,c; out dx,al with COM1's port in DX; then SLP_EN with S5's type, 0, to PM1a control: mov dx,0xb004; mov ax,0x2000; out dx,ax; hlt. */
function bootSector(text: string): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const say = [...`${text}\n`].flatMap((letter) => [0xb0, letter.charCodeAt(0), 0xee]);
  sector.set([0xba, 0xf8, 0x03, ...say, 0xba, 0x04, 0xb0, 0xb8, 0x00, 0x20, 0xef, 0xf4]);
  sector.set([0x55, 0xaa], SECTOR - 2);
  return sector;
}

describe.skipIf(bios === undefined)('dom1 run --hvm', { timeout: BOOT_TIME }, () => {
  let directory: string;
  const path = (name: string): string => join(directory, name);
  beforeAll(async () => {
    requireTools('xorriso');
    directory = mkdtempSync(join(tmpdir(), 'dom1-hvm-'));
    const disk = new Uint8Array(1 << 20);
    writeFileSync(path('blank.img'), disk);
    disk.set(bootSector('disk'));
    writeFileSync(path('disk.img'), disk);
    mkdirSync(path('tree'));
    const image = new Uint8Array(CD_BLOCK);
    image.set(bootSector('CD'));
    writeFileSync(path('tree/boot.img'), image);
    const words = ['-b', 'boot.img', '-no-emul-boot', '-boot-load-size', '4', '-o', path('disc.iso'), path('tree')];
    await runTool('xorriso', ['-as', 'mkisofs', '-quiet', ...words]);
    if (kernel !== undefined) writeFileSync(path('initrd'), kernel.initrd);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each<readonly [string, (path: (name: string) => string) => string[], string]>([
    ['a disk', (at) => [at('disk.img')], 'disk'],
    [
      'a CD behind a disk with nothing to boot',
      (at) => ['--cdrom', at('disc.iso'), '--disk', `${at('blank.img')},raw,xvda,rw`],
      'CD',
    ],
    ['a disk before a CD', (at) => ['--cdrom', at('disc.iso'), '--disk', `${at('disk.img')},raw,hda,rw`], 'disk'],
    ['a CD first', (at) => [at('disk.img'), '--cdrom', at('disc.iso'), '--boot', 'dc'], 'CD'],
  ])('boots %s', async (_name, words, said) => {
    const { code, stdout, stderr } = await dom1(['run', '--hvm', '--serial', ...words(path)]);
    expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: `${said}\n` });
  });

  it.skipIf(kernel === undefined)('boots a kernel, with the PV console and a command line of its own', async () => {
    const command = 'cat /proc/cmdline /sys/hypervisor/guest_type; exit 3';
    const words = ['--initrd', path('initrd'), '--exec', `(${command})`];
    const { code, stdout } = await dom1(['run', kernel?.kernel as string, '--hvm', ...words]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: 'console=hvc0 quiet\nHVM\n' });
  });
});
