// `dom1 run`: any kernel with a PVH entry, a PV guest within Xen's shim, a disk image through GRUB, a PC with a BIOS.

import { ConsoleError } from '../machine/console-error.ts';
import type { Domain } from '../machine/domain.ts';
import { type Invocation, optionValue } from './arguments.ts';
import type { Outcome } from './guest-report.ts';
import { runSession } from './guest-session.ts';
import type { ProgressLine } from './progress-line.ts';
import { guestConfig } from './run-config.ts';
import { attachStreams } from './standard-streams.ts';
import { attachTerminal, onTerminal, terminalParameters } from './terminal.ts';

/** Returns the exit code. */
export async function runCommand(invocation: Invocation, signal: AbortSignal, progress: ProgressLine): Promise<number> {
  const command = optionValue(invocation, 'exec');
  const interactive = command === undefined && onTerminal();
  const serve = command !== undefined ? execute(command) : interactive ? serveTerminal : serveStreams;
  const more = command !== undefined ? ' quiet' : interactive ? ` ${terminalParameters()}` : '';
  const config = await guestConfig(invocation, more);
  return runSession({
    invocation,
    config,
    kernelName: invocation.positionals[0] ?? 'the guest',
    signal,
    progress,
    raw: interactive,
    serve,
  });
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
