// A kernel boots to its shell with every region run in both tiers.
import { describe, expect, it } from 'vitest';
import { guest } from './kernels.ts';

/** `dom1/testing` as it is shipped. */
const testing = (await import(
  /* @vite-ignore */ new URL(`../../${process.env.DOM1_DIST ?? 'dist'}/testing/index.js`, import.meta.url).href
)) as typeof import('../../src/testing/index.ts');

const parts = await guest('linux-image-cloud-amd64');
/** Some ten times what a boot takes, and a busy machine, in milliseconds. */
const PATIENCE = 600_000;

describe.skipIf(parts === undefined)('a boot under checkJit', () => {
  const checked = testing.domainTest(
    it,
    () => ({
      kernel: parts!.kernel,
      initrd: parts!.initrd,
      commandLine: 'console=hvc0 loglevel=7 cryptomgr.notests',
      checkJit: true,
    }),
    { ready: (domain) => domain.console.prompt({ timeout: PATIENCE }) },
  );
  checked('comes to the shell, and the tiers agree', { timeout: PATIENCE + 60_000 }, async ({ domain, sh }) => {
    // One number, printed and read, is some more regions; its value was computed in both.
    expect(await sh('echo $((6 * 7))')).toBe('42');
    expect(domain.state).toBe('running');
    const { engine } = domain.inspect() as { engine: () => Record<string, Record<string, number>> };
    const counts = engine()['0'] ?? {};
    expect(counts['lockstep_checked']).toBeGreaterThan(100_000);
    expect(counts['regions_made']).toBeGreaterThan(20);
    expect(counts['region_instructions']).toBeGreaterThan(1e8);
  });
});
