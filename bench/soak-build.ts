// The kernel that a soak builds: in the guest, held against the host's build of the same source by the same compiler.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTool } from '../test/guest/debian-root/run-tool.ts';
import { ioImage } from './guest-image.ts';
import { Machine } from './machine.ts';
import { BUILD } from './soak-roots.ts';

/**
 * Commands for the guest, whose root is at /mnt: builds until `minutes` are over, at least one. `@@B build.`, what make prints, what
 * was compared, and `@@E build status.` with 0 when no file differs from the host's.
 * @param limit minutes after which a build is stopped; what it has made by then is compared
 */
export function buildCommands(minutes: number, limit: number): string[] {
  return [
    `end=$(($(date +%s) + ${Math.round(minutes * 60)}))`,
    'build() {',
    // By its path: busybox would run its own shell and its own timeout, which tells nobody but make itself.
    `  chroot /mnt /bin/sh ${BUILD.script} ${Math.round(limit * 60)} > /hashes || return 1`,
    `  differ=$(grep -vxFf /mnt${BUILD.native} /hashes | tee /dev/stderr | wc -l)`,
    `  echo "@@F $(wc -l < /hashes) of $(wc -l < /mnt${BUILD.native}) files, $differ differ."`,
    '  [ -s /hashes ] && [ "$differ" = 0 ]',
    '}',
    'while :; do',
    '  echo "@@B build."',
    '  build',
    '  echo "@@E build $?."',
    '  [ "$(date +%s)" -lt "$end" ] || break',
    'done',
  ];
}

/**
 * Boots the kernel that the guest has left in its disk, as an HVM guest; gives what it says of itself. Undefined when the build was stopped.
 * @throws Error when it does not boot
 */
export async function bootBuilt(disk: string): Promise<string | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-'));
  try {
    const kernel = join(directory, 'bzImage');
    await runTool('debugfs', ['-R', `dump ${BUILD.output}/arch/x86/boot/bzImage ${kernel}`, disk]);
    if (!existsSync(kernel) || statSync(kernel).size === 0) return undefined;
    using image = await ioImage(['echo "@@U $(uname -a)."']);
    using machine = new Machine('dom1', {
      image: { kernel, initrd: image.initrd, release: '', [Symbol.dispose]: () => {} },
      type: 'hvm',
      commandLine: 'console=ttyS0 rdinit=/bench/init',
      timeoutMs: 600_000,
    });
    const said = await machine.until(/^@@U Linux .*\.$/);
    if (said === undefined) throw new Error(`the kernel built in the guest does not boot. ${machine.errors}`);
    return said.text.slice(4, -1);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
