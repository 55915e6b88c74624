// Debian's kernels 6.1 and 6.12 as HVM guest and as PV guest, beside the logs of the same packages under QEMU's Xen on KVM
// (oracle/, from an AMD host, time stamps taken off): every line that differs is in log-differences.ts, with its reason.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { cpioDirectory } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { BOOT_MODULES, demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { fetchBusybox, fetchKernel, type KernelFiles } from '../../src/node/guest-parts.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { differences, Explanations, logLines } from './compare-logs.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { LOG_DIFFERENCES } from './log-differences.ts';
import { SHIMS } from './shims.ts';

const LOG_TIME = 4 * BOOT_TIME;
const MODULES = ['xen-blkfront', 'xen-netfront', 'xen-privcmd'];
/** The very packages of the logs; where Debian has newer ones alone, there is nothing to compare with. */
const [LINUX_6_1, LINUX_6_12] = ['linux-image-6.1.0-56-amd64', 'linux-image-6.12.117+deb12-cloud-amd64'] as const;
const LOGS = [
  ['hvm-6.1', LINUX_6_1, 'console=ttyS0 loglevel=8 tsc=reliable nokaslr mitigations=off panic=-1 '],
  ['hvm-6.1-smp2-hvc0', LINUX_6_1, 'console=hvc0 earlyprintk=xen loglevel=8 tsc=reliable nokaslr panic=-1'],
  ['hvm-6.12-smp2', LINUX_6_12, 'console=ttyS0 loglevel=8 tsc=reliable nokaslr panic=-1'],
  ['pvshim-6.1', LINUX_6_1, '/lab/vmlinuz-6.1 console=hvc0 earlyprintk=xen loglevel=8 panic=-1'],
  ['pvshim-6.12', LINUX_6_12, '/lab/vmlinuz-6.12c console=hvc0 earlyprintk=xen loglevel=8 panic=-1'],
] as const;
const shim = SHIMS.find(({ version }) => version === '4.17')?.file;

const kernels = new Map<string, KernelFiles>();
for (const name of [LINUX_6_1, LINUX_6_12])
  await fetchKernel(name).then(
    (kernel) => kernels.set(name, kernel),
    (error: unknown) =>
      process.stderr.write(`skipping the logs of ${name}: ${error instanceof Error ? error.message : String(error)}\n`),
  );

/** As that guest was started. */
async function configuration(log: string, kernel: KernelFiles, commandLine: string): Promise<CreateDomainConfig> {
  const modules = [
    ...['lib', 'lib/modules'].map((path) => cpioDirectory(path)),
    ...(await kernelModuleFiles(kernel, MODULES, BOOT_MODULES)),
  ];
  const initrd = demoInitramfs(await readFile(await fetchBusybox()), modules);
  const common = { memory: '512MiB', disks: [{ vdev: 'xvda', store: new RamStore(16 * 2 ** 20) }], vifs: [{}] };
  if (log.startsWith('hvm'))
    return {
      ...common,
      type: 'hvm',
      consoleType: commandLine.includes('hvc0') ? 'pv' : 'serial',
      kernel: kernel.kernel,
      initrd,
      commandLine,
    };
  return {
    ...common,
    kernel: shim as string,
    bootProtocol: 'multiboot',
    bootModules: [{ file: kernel.kernel, commandLine }, { file: initrd }],
    commandLine: 'console=xen loglvl=all guest_loglvl=all',
  };
}

/** The shim's lines, the kernel's log, and what it says at its end. */
async function run(config: CreateDomainConfig): Promise<string[]> {
  const domain = await dom1.createDomain(config);
  let [ofShim, printed] = ['', ''];
  domain.on('log', (bytes) => {
    ofShim += Buffer.from(bytes).toString('latin1');
  });
  domain.console.onOutput((bytes) => {
    printed += Buffer.from(bytes).toString('latin1');
  });
  domain.run();
  await domain.console.prompt({ timeout: LOG_TIME });
  const { output } = await domain.sh('dmesg', { timeout: LOG_TIME });
  await domain.sh('echo 8 > /proc/sys/kernel/printk', { timeout: LOG_TIME });
  printed = '';
  domain.console.write('poweroff -f\n');
  expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
  return [
    ...logLines(ofShim).filter((line) => line.startsWith('(XEN) ')),
    ...logLines(output),
    ...logLines(printed).filter((line) => !line.endsWith('poweroff -f')),
  ];
}

describe('the log of a guest', { timeout: LOG_TIME }, () => {
  const explanations = new Explanations(LOG_DIFFERENCES);
  let compared = 0;

  for (const [log, name, commandLine] of LOGS) {
    const kernel = kernels.get(name);
    it.skipIf(kernel === undefined || shim === undefined)(`${log} differs where it should alone`, async () => {
      const there = logLines(readFileSync(new URL(`oracle/${log}.txt`, import.meta.url), 'utf8'));
      const here = await run(await configuration(log, kernel as KernelFiles, commandLine));
      const found = differences(there, here);
      if (process.env.DOM1_SHOW_LOGS !== undefined) process.stderr.write(`${log}\n${JSON.stringify(found, null, 1)}\n`);
      expect(explanations.unexplained(found)).toEqual({ there: [], here: [] });
      compared++;
    });
  }

  it('differs in every way that is explained', ({ skip }) => {
    if (compared < LOGS.length) skip();
    expect(explanations.unused()).toEqual([]);
  });
});
