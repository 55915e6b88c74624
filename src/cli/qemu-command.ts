// `dom1 qemu`: a guest as QEMU's command line describes it.
import { open } from 'node:fs/promises';
import { MULTIBOOT_SEARCH_BYTES } from '../abi/multiboot.ts';
import { multibootFlags } from '../image/multiboot-header.ts';
import { type Invocation, UsageError } from './arguments.ts';
import { runSession } from './guest-session.ts';
import type { ProgressLine } from './progress-line.ts';
import { parseQemuOptions } from './qemu-options.ts';
import { serveStreams, serveTerminal } from './run-command.ts';
import { onTerminal } from './terminal.ts';

/** Returns the exit code. */
export async function qemuCommand(invocation: Invocation, signal: AbortSignal, progress: ProgressLine): Promise<number> {
  const machine = parseQemuOptions(invocation.positionals);
  const { kernel, name, modules, append, memoryMiB, vcpus, disks, vifs } = machine;
  if (kernel === undefined && disks.length === 0)
    throw new UsageError('there is nothing to boot; write -kernel FILE, or -drive file=…,if=xen');
  const multiboot = kernel !== undefined && (await hasMultibootHeader(kernel));
  if (!multiboot && modules.length > 1)
    throw new UsageError(`${kernel ?? 'GRUB'} has no multiboot header, and takes one -initrd; give one file`);
  if (vcpus > 1)
    process.stderr.write(
      `dom1: -smp ${vcpus} is for small guests; a kernel that uses several CPUs is not safe yet, so write -smp 1\n`,
    );
  const [initrd] = modules;
  const interactive = onTerminal();
  return runSession({
    // As if `run` had been given them.
    invocation: {
      ...invocation,
      options: new Map([['memory', [`${memoryMiB}MiB`]], ...(name === undefined ? [] : [['name', [name]] as const])]),
    },
    config: {
      ...(kernel !== undefined && { kernel }),
      ...(multiboot
        ? // QEMU gives a module all of its entry, the file's name too.
          {
            bootProtocol: 'multiboot',
            bootModules: modules.map((words) => ({ file: words.split(' ')[0] ?? '', commandLine: words })),
          }
        : initrd !== undefined && { initrd }),
      commandLine: append,
      vcpus,
      disks,
      vifs,
    },
    kernelName: kernel ?? 'GRUB',
    signal,
    progress,
    raw: interactive,
    serve: interactive ? serveTerminal : serveStreams,
  });
}

/** QEMU looks for it in the file as it is. False for what cannot be read: whoever loads it says why. */
async function hasMultibootHeader(path: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(new Uint8Array(MULTIBOOT_SEARCH_BYTES), 0, MULTIBOOT_SEARCH_BYTES, 0);
    return multibootFlags(buffer.subarray(0, bytesRead)) !== undefined;
  } catch {
    return false;
  }
}
