// PV guests through Xen's shim: a small one of each width, by both ways into the shim, and as configurations of xl have them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDomainSpec } from '../../src/control/xl-config/read-domain-spec.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { specConfig } from '../../src/node/spec-config.ts';
import { buildPvKernel, PV_MAGIC } from '../guests/pv-image.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { SHIMS } from './shims.ts';

/** All that the shim does is done by interpreted code at first; a PV kernel's page tables go through it. */
const PV_BOOT_TIME = 4 * BOOT_TIME;

/** As `dom1 create` reads it. */
const configured = (text: string): CreateDomainConfig => specConfig(readDomainSpec(text, 'pv.cfg').spec);

/** A domain with what its hypervisor prints. */
async function create(config: CreateDomainConfig) {
  const domain = await dom1.createDomain({ type: 'pv', memory: '256MiB', ...config });
  const printed = { console: '', log: '' };
  domain.on('log', (bytes) => {
    printed.log += Buffer.from(bytes).toString('latin1');
  });
  domain.console.onOutput((bytes) => {
    printed.console += Buffer.from(bytes).toString('latin1');
  });
  return { domain, printed };
}

for (const { version, file } of SHIMS)
  describe.skipIf(file === undefined)(
    `a PV kernel of the tests' own, within the shim ${version}`,
    { timeout: PV_BOOT_TIME },
    () => {
      it.each([
        [64, 'pvh'],
        [32, 'pvh'],
        [64, 'multiboot'],
        [32, 'multiboot'],
      ] as const)('runs with %d bits, the shim entered by %s', async (width, bootProtocol) => {
        const { domain, printed } = await create({
          kernel: buildPvKernel(width),
          commandLine: 'of the guest',
          bootProtocol,
          memory: '64MiB',
          shim: { file: file as string, commandLine: 'pv-shim console=xen loglvl=all' },
        });
        domain.run();
        expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
        expect(printed.log).toContain(`Xen version ${version}`);
        expect(printed.log).toContain('Command line: pv-shim console=xen loglvl=all');
        expect(printed.log).toContain(`Bootloader: ${bootProtocol === 'pvh' ? 'PVH Directboot' : 'dom1'}`);
        expect(printed.log).toContain(`Dom0 kernel: ${width}-bit`);
        expect(printed.console).toMatch(new RegExp(`${PV_MAGIC[width]}\\s+says the guest`));
      });
    },
  );

const shim = SHIMS.find(({ file }) => file !== undefined)?.file;

describe.skipIf(shim === undefined)('a configuration of xl', { timeout: PV_BOOT_TIME }, () => {
  it.each([['type = "pv"'], ['type = "pvh"\npvshim = 1\npvshim_extra = "loglvl=all"']])(
    'with %j runs a PV guest',
    async (text) => {
      const directory = await mkdtemp(join(tmpdir(), 'dom1-pv-'));
      try {
        const kernel = join(directory, 'kernel');
        await writeFile(kernel, buildPvKernel(64));
        const config = configured(`name = "pv"\nmemory = 64\nkernel = "${kernel}"\npvshim_path = "${shim}"\n${text}\n`);
        const { domain, printed } = await create(config);
        domain.run();
        expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
        expect(printed.log).toContain(`Command line: pv-shim console=xen${text.includes('extra') ? ' loglvl=all' : '\n'}`);
        expect(printed.console).toContain('says the guest');
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  );
});
