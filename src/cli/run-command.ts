// `dom1 run`: any kernel with a PVH entry, a PV guest within Xen's shim, a disk image through GRUB.

import { diskOfWords, vifOfWords } from '../control/device-words.ts';
import { SHIM_COMMAND_LINE } from '../control/xl-config/key-table.ts';
import { ConsoleError } from '../machine/console-error.ts';
import type { Domain } from '../machine/domain.ts';
import type { CreateDomainConfig } from '../node/create-domain.ts';
import { isDiskFile } from '../node/guest-file.ts';
import { diskConfig, vifConfig } from '../node/spec-config.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import type { Outcome } from './guest-report.ts';
import { runSession } from './guest-session.ts';
import type { ProgressLine } from './progress-line.ts';
import { attachStreams } from './standard-streams.ts';
import { attachTerminal, onTerminal, terminalParameters } from './terminal.ts';

const CONSOLE = 'console=hvc0';

/** Returns the exit code. */
export async function runCommand(invocation: Invocation, signal: AbortSignal, progress: ProgressLine): Promise<number> {
  const file = invocation.positionals[0] as string;
  const command = optionValue(invocation, 'exec');
  const interactive = command === undefined && onTerminal();
  const serve = command !== undefined ? execute(command) : interactive ? serveTerminal : serveStreams;
  const defaultLine = command !== undefined ? `${CONSOLE} quiet` : interactive ? `${CONSOLE} ${terminalParameters()}` : CONSOLE;
  return runSession({
    invocation,
    config: await guestConfig(invocation, file, defaultLine),
    kernelName: file,
    signal,
    progress,
    raw: interactive,
    serve,
  });
}

type GuestConfig = Pick<
  CreateDomainConfig,
  'type' | 'kernel' | 'initrd' | 'commandLine' | 'bootModules' | 'bootProtocol' | 'disks' | 'vifs'
>;

/** What is booted, and its devices. @throws UsageError, XlConfigError, UnsupportedDomainError */
async function guestConfig(invocation: Invocation, file: string, defaultLine: string): Promise<GuestConfig> {
  const { options, guestCommandLine } = invocation;
  const [modules, initrd] = [options.get('module') ?? [], optionValue(invocation, 'initrd')];
  const disks = (options.get('disk') ?? []).map((disk) => diskConfig(diskOfWords([disk])));
  const isDisk = await isDiskFile(file);
  if (isDisk)
    for (const option of ['initrd', 'module', 'multiboot'])
      if (options.has(option))
        throw new UsageError(`--${option} is of a kernel, and ${file} is a disk image; leave it out, or give the disk as --disk`);
  const line = guestCommandLine ?? (isDisk ? undefined : modules.length > 0 ? SHIM_COMMAND_LINE : defaultLine);
  return {
    type: options.has('pv') ? 'pv' : 'pvh',
    ...(!isDisk && { kernel: file }),
    ...(initrd !== undefined && { initrd }),
    ...(line !== undefined && { commandLine: line }),
    bootModules: modules.map((words) => {
      const [module = '', ...rest] = words.split(' ');
      return { file: module, commandLine: rest.join(' ').trim() };
    }),
    ...(options.has('multiboot') && { bootProtocol: 'multiboot' }),
    disks: isDisk ? [{ vdev: 'xvda', path: file }, ...disks] : disks,
    vifs: (options.get('vif') ?? []).map((vif, devid) => vifConfig(vifOfWords([vif], devid))),
  };
}

/** The guest's console on the person's terminal, until the guest ends or Ctrl-]. */
export async function serveTerminal(domain: Domain): Promise<Outcome> {
  process.stderr.write('dom1: Ctrl-] leaves the guest\n');
  using terminal = attachTerminal(domain.console);
  return await Promise.race([
    domain.ended.then((end): Outcome => ({ kind: 'ended', end })),
    terminal.left.then((): Outcome => ({ kind: 'left' })),
  ]);
}

export async function serveStreams(domain: Domain): Promise<Outcome> {
  using _ = attachStreams(domain.console);
  return { kind: 'ended', end: await domain.ended };
}

/** Runs a command in the guest's shell and prints its output. */
function execute(command: string): (domain: Domain) => Promise<Outcome> {
  return (domain) =>
    beforeTheEnd(domain, async () => {
      await domain.console.prompt();
      const { status } = await domain.console.sh(command, { onOutput: (text) => process.stdout.write(text) });
      return { kind: 'status', status };
    });
}

/** The outcome of work at the console, or how the guest ended under it. */
export async function beforeTheEnd(domain: Domain, work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ConsoleError) || error.code !== 'closed') throw error;
    return { kind: 'ended-early', end: await domain.ended };
  }
}
