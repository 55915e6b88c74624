// The kernel that a soak builds: in the guest, held against the host's build of the same source by the same compiler.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTool } from '../test/guest/debian-root/run-tool.ts';
import { type GuestImage, ioImage } from './guest-image.ts';
import { Machine } from './machine.ts';
import { BUILD, BUILD_SCRIPT } from './soak-roots.ts';

/**
 * Commands for the guest, whose root is at /mnt: builds until the time is over, at least one. `@@B build.`, what make prints, `@@E build status.`
 * with 0 when every file is as the host's.
 */
export function buildCommands(minutes: number): string[] {
  return [
    `end=$(($(date +%s) + ${Math.round(minutes * 60)}))`,
    'while :; do',
    '  echo "@@B build."',
    `  chroot /mnt sh /${BUILD_SCRIPT} > /hashes && cat /hashes && cmp /hashes /mnt${BUILD.native}`,
    '  echo "@@E build $?."',
    '  [ "$(date +%s)" -lt "$end" ] || break',
    'done',
  ];
}

/** Boots the kernel that the guest has left in its disk; gives what it says of itself. @throws Error when it does not boot */
export async function bootBuilt(disk: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-'));
  try {
    const kernel = join(directory, 'bzImage');
    await runTool('debugfs', ['-R', `dump ${BUILD.output}/arch/x86/boot/bzImage ${kernel}`, disk]);
    using image = await ioImage(['echo "@@U $(uname -a)"']);
    const built: GuestImage = { kernel, initrd: image.initrd, release: '', [Symbol.dispose]: () => {} };
    using machine = new Machine('dom1', { image: built, commandLine: 'rdinit=/bench/init', timeoutMs: 300_000 });
    const said = await machine.until(/^@@U Linux .*soak|^@@U .*#1/);
    const end = await machine.until(/^@@D/);
    if (said === undefined || end === undefined)
      throw new Error(`the kernel built in the guest does not boot. ${machine.errors}`);
    return said.text.slice(4);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
