// Debian's kernels boot to the shell, find the platform they expect, complain of nothing, and power off.
import { describe, expect, it } from 'vitest';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, guest, REPEAT } from './kernels.ts';

/** `dom1/testing` as it is shipped. */
const testing = (await import(
  /* @vite-ignore */ new URL(`../../${process.env.DOM1_DIST ?? 'dist'}/testing/index.js`, import.meta.url).href
)) as typeof import('../../src/testing/index.ts');

const KERNELS = ['linux-image-cloud-amd64', 'linux-image-amd64', 'linux-image-6.12.*+deb12-cloud-amd64'];

for (const pattern of KERNELS) {
  const parts = await guest(pattern);
  describe.skipIf(parts === undefined)(parts?.packageName ?? pattern, () => {
    const bootTest = testing.domainTest(
      it,
      () => ({ kernel: parts!.kernel, initrd: parts!.initrd, commandLine: 'console=hvc0 loglevel=7' }),
      { ready: (domain) => domain.console.prompt({ timeout: BOOT_TIME }) },
    );
    for (let round = 1; round <= REPEAT; round++) {
      const name = `boots and powers off${REPEAT > 1 ? ` (${round} of ${REPEAT})` : ''}`;
      bootTest(name, { timeout: BOOT_TIME + 60_000 }, async ({ domain, sh }) => {
        expect(await sh('uname -r')).toBe(parts!.packageName.replace('linux-image-', ''));
        expect(await sh('cat /sys/hypervisor/type')).toBe('xen');
        expect(await sh('cat /sys/devices/system/clocksource/clocksource0/current_clocksource')).toBe('xen');
        const log = await sh('dmesg');
        expect(log).toContain('Hypervisor detected: Xen HVM');
        expect(log).toContain('Booting kernel on Xen PVH');
        expect(complaints(log)).toEqual([]);
        expect(await sh('cat /proc/sys/kernel/tainted')).toBe('0');
        // Enough work to page, fork, pipe and write files: and the right answer.
        expect(await sh('seq 1 20000 | md5sum')).toBe('e071f707df7bbeee2a6a1eb48011ddd0  -');

        domain.console.write('poweroff -f\n');
        expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
        expect(domain.state).toBe('shutdown');
      });
    }
  });
}
