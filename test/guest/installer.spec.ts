// Debian's installer, as its netboot images have it, up to its first question.
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Domain } from '../../src/machine/domain.ts';
import { fetchFiles } from '../../src/node/guest-parts.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';

const PACKAGE = 'debian-installer-12-netboot-amd64';
const FILES = { linux: /\/text\/debian-installer\/amd64\/linux$/, initrd: /\/text\/debian-installer\/amd64\/initrd\.gz$/ };

const directory = await fetchFiles(PACKAGE, FILES).catch((error: unknown) => {
  process.stderr.write(`skipping Debian's installer: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});

describe.skipIf(directory === undefined)("Debian's installer", { timeout: 2 * BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());

  it('asks for a language', async () => {
    domain = await dom1.createDomain({
      // With less it enters its low memory mode first.
      memory: '1GiB',
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
});
