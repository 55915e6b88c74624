// PV guests and disk images as a person starts them: `dom1 run` with the shim and modules, `dom1 qemu`, `dom1 create`, and a disk alone. Each
// spelling reaches the guest once, by one of the shims: what runs in which of them is in test/guest/pv-*.spec.ts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT_CODE } from '../../src/cli/exit-codes.ts';
import { requireTools } from '../guest/debian-root/require-tools.ts';
import { runTool } from '../guest/debian-root/run-tool.ts';
import { BOOT_TIME, guest } from '../guest/kernels.ts';
import { SHIMS } from '../guest/shims.ts';
import { buildPvKernel } from '../guests/pv-image.ts';
import { dom1, type RunOptions } from './dom1.ts';

const kernel = await guest('linux-image-cloud-amd64');
const MEMORY = '384';
const ASK = 'cat /proc/cmdline /sys/hypervisor/guest_type';
let directory: string;
const path = (name: string): string => join(directory, name);

/** A file system without partitions that has a grub.cfg with this one entry. */
async function disk(name: string, size: string, commands: readonly string[], files: Readonly<Record<string, Uint8Array>>) {
  const tree = path(`${name}.tree`);
  mkdirSync(join(tree, 'boot/grub'), { recursive: true });
  const entry = commands.map((line) => `  ${line}\n`).join('');
  writeFileSync(join(tree, 'boot/grub/grub.cfg'), `set timeout=0\nmenuentry guest {\n${entry}}\n`);
  for (const [file, data] of Object.entries(files)) writeFileSync(join(tree, 'boot', file), data);
  await runTool('mke2fs', ['-q', '-t', 'ext4', '-d', tree, path(name), size]);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-pv-'));
  writeFileSync(path('tiny'), buildPvKernel(64));
  if (kernel === undefined) return;
  requireTools('mke2fs', 'qemu-img');
  writeFileSync(path('initrd'), kernel.initrd);
  await disk('message.img', '8M', ['cat /boot/message', 'halt'], { message: Buffer.from('read from the disk\n') });
  const linux = ['linux /boot/vmlinuz console=hvc0 quiet cryptomgr.notests by=grub', 'initrd /boot/initrd'];
  await disk('disk.img', '64M', linux, { vmlinuz: readFileSync(kernel.kernel), initrd: kernel.initrd });
  await runTool('qemu-img', ['convert', '-O', 'qcow2', path('disk.img'), path('disk.qcow2')]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What was printed, with line ends as a terminal shows them. */
async function printed(words: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await dom1(words, { env: { XDG_RUNTIME_DIR: directory }, ...options });
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return stdout.replaceAll('\r', '');
}

describe.skipIf(kernel === undefined)('a disk image alone', { timeout: 2 * BOOT_TIME }, () => {
  it('of qcow2 boots its own kernel through GRUB', async () => {
    const output = await printed(['run', path('disk.qcow2')], { stdin: `${ASK}\npoweroff -f\n` });
    expect(output).toMatch(/console=hvc0 quiet cryptomgr.notests by=grub\nPVH\n/);
  });

  it('of raw sectors starts GRUB, too', async () => {
    expect(await printed(['run', path('message.img')])).toContain('read from the disk');
  });
});

const there = SHIMS.flatMap(({ file }) => (file === undefined ? [] : [file]));
const [older, newer] = [there[0] as string, there.at(-1) as string];

describe.skipIf(there.length === 0)('the shim on the command line', { timeout: 4 * BOOT_TIME }, () => {
  const config = (shim: string, ...lines: readonly string[]): string => {
    writeFileSync(
      path('pv.cfg'),
      [`kernel = "${path('tiny')}"`, 'name = "pv"', 'memory = 64', `pvshim_path = "${shim}"`, ...lines, ''].join('\n'),
    );
    return path('pv.cfg');
  };

  it.each([
    ['type = "pv"', older],
    ['type = "pvh"\npvshim = 1', newer],
  ])('runs a guest with %j in a configuration', async (text, shim) => {
    expect(await printed(['create', '-c', config(shim, text)])).toContain('says the guest');
  });

  it('refuses a PV guest of several vCPUs by name', async () => {
    const { code, stderr } = await dom1(['create', config(older, 'type = "pv"', 'vcpus = 2')], {
      env: { XDG_RUNTIME_DIR: directory },
    });
    expect({ code, stderr }).toMatchObject({
      code: EXIT_CODE.input,
      stderr: expect.stringMatching(/PV guest with 2 vCPUs is not supported.*use 1/),
    });
  });

  it('says what several vCPUs are for', async () => {
    const words = ['qemu', '-nographic', '-smp', '2', '-kernel', newer, '-initrd', path('tiny'), '-append', 'console=xen,pv'];
    const { code, stdout, stderr } = await dom1(words);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('says the guest') });
    expect(stderr).toContain('-smp 2 is for small guests; a kernel that uses several CPUs is not safe yet, so write -smp 1');
  });

  it.skipIf(kernel === undefined).each([
    ['in its log', 'xen', older],
    ['on the console', 'xen,pv', newer],
  ])('reports what the shim says %s of too little memory', async (_, console, shim) => {
    const modules = ['--module', `${kernel?.kernel}`, '--module', path('initrd')];
    const { code, stderr } = await dom1(['run', shim, ...modules, '--memory', '128MiB', '--', `console=${console}`]);
    expect({ code, stderr }).toMatchObject({
      code: EXIT_CODE.crash,
      stderr: expect.stringContaining('give the guest more memory'),
    });
  });

  it.skipIf(kernel === undefined)('runs Linux and its initrd as modules', async () => {
    const modules = ['--module', `${kernel?.kernel} console=hvc0 root=/dev/xvda1`, '--module', path('initrd')];
    const words = ['run', older, ...modules, '--memory', `${MEMORY}MiB`, '--exec', ASK, '--', 'console=xen,pv loglvl=all'];
    expect(await printed(words)).toMatch(/console=hvc0 root=\/dev\/xvda1\nPV\n/);
  });

  it.skipIf(kernel === undefined)('runs them as QEMU has it', async () => {
    const files = [
      '-kernel',
      newer,
      '-initrd',
      `${kernel?.kernel},${path('initrd')}`,
      '-drive',
      `file=${path('disk.img')},if=xen,format=raw`,
    ];
    const append = 'loglvl=all -- console=hvc0 root=/dev/xvda1';
    const output = await printed(['qemu', '-nographic', '-m', MEMORY, ...files, '-append', append], {
      stdin: `${ASK}; ls /sys/bus/xen/devices\npoweroff -f\n`,
    });
    expect(output).toMatch(/console=hvc0 root=\/dev\/xvda1\nPV\n(.*\s)?vbd-51712\s/);
  });
});
