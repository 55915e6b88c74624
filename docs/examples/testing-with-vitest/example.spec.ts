// A guest in a test. Each test has a domain of its own; with { scope: 'file' } all tests share one. When a test fails, the end
// of the guest's console is printed with it.
import { bootLinux, domainTest, linuxConfig, waitForNode } from 'dom1/testing';
import { expect, test, vi } from 'vitest';

vi.setConfig({ testTimeout: 120_000 }); // a boot takes seconds

const guestTest = domainTest(test, () => linuxConfig({ memory: '128MiB' }), { scope: 'file' });

guestTest('the guest knows that it runs on Xen', async ({ sh }) => {
  expect(await sh('cat /sys/hypervisor/type')).toBe('xen');
});

guestTest('the balloon gives memory back', async ({ domain, sh }) => {
  const free = async (): Promise<number> => Number(await sh("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"));
  const before = await free();
  domain.xenstore.write(`/local/domain/${domain.id}/memory/target`, String(112 * 1024));
  await expect.poll(free, { timeout: 30_000 }).toBeLessThan(before - 8 * 1024);
});

// Without a fixture: any test runner will do.
test('a disk connects', async () => {
  const { RamStore } = await import('dom1');
  await using domain = await bootLinux({
    memory: '128MiB',
    modules: ['xen-blkfront'],
    disks: [{ vdev: 'xvda', store: new RamStore(2 ** 20) }],
  });
  await waitForNode(domain, 'device/vbd/51712/state', '4', { timeout: 30_000 }); // XenbusStateConnected
});
