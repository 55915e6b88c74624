#!/usr/bin/env node
import { closest } from '../util/closest.ts';
// The program `dom1`.
import { type Invocation, parseCommandLine, SEE_HELP, UsageError } from './arguments.ts';
import { standardIo } from './command-io.ts';
import { COMMANDS } from './commands.ts';
import { CONTROL_IMPLEMENTATIONS } from './control-commands.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import { help } from './help.ts';
import { IMAGE_IMPLEMENTATIONS } from './image-commands.ts';
import { ProgressLine } from './progress-line.ts';
import { abortOnSignals, OutputClosed } from './signals.ts';
import { STORE_IMPLEMENTATIONS } from './store-commands.ts';
import { version } from './version.ts';

const IMPLEMENTATIONS: Readonly<Record<string, (invocation: Invocation) => Promise<number> | number>> = {
  // The machine is most of the program: whoever asks a running domain something does not wait for it to load.
  demo: (invocation) =>
    interruptible(async (signal, progress) => (await import('./demo-command.ts')).demoCommand(invocation, signal, progress)),
  run: (invocation) =>
    interruptible(async (signal, progress) => (await import('./run-command.ts')).runCommand(invocation, signal, progress)),
  qemu: (invocation) =>
    interruptible(async (signal, progress) => (await import('./qemu-command.ts')).qemuCommand(invocation, signal, progress)),
  help: ({ positionals }) => print(helpFor(positionals.length === 0 ? undefined : positionals.join(' '))),
};

/** Whatever fails after a signal came, fails for that. */
async function interruptible(work: (signal: AbortSignal, progress: ProgressLine) => Promise<number>): Promise<number> {
  const signal = abortOnSignals();
  try {
    return await work(signal, new ProgressLine(process.stderr));
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

/** `dom1 xenstore-watch … | head`: there is nothing to clean up. */
function exitWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(new OutputClosed().exitCode);
    process.stderr.write(`dom1: what was to be printed cannot be written (${error.code ?? error.message}); is the disk full?\n`);
    process.exit(EXIT_CODE.input);
  });
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT_CODE.ok;
}

function helpFor(name: string | undefined): string {
  const row = COMMANDS.find((command) => command.name === name);
  if (name === undefined || row !== undefined) return help(row);
  const near = closest(
    name,
    COMMANDS.map((command) => command.name),
  );
  throw new UsageError(`there is no command '${name}'; ${near === undefined ? SEE_HELP : `did you mean ${near}?`}`);
}

async function main(words: readonly string[]): Promise<number> {
  const asked = parseCommandLine(words);
  if ('show' in asked) return print(asked.show === 'version' ? `dom1 ${version()}\n` : help(asked.command));
  const onRunning = CONTROL_IMPLEMENTATIONS[asked.command.name] ?? STORE_IMPLEMENTATIONS[asked.command.name];
  if (onRunning !== undefined) {
    exitWhenNobodyReads();
    return onRunning(asked, standardIo());
  }
  const onImage = IMAGE_IMPLEMENTATIONS[asked.command.name];
  if (onImage !== undefined) return interruptible((signal, progress) => onImage(asked, { io: standardIo(), progress, signal }));
  const implementation = IMPLEMENTATIONS[asked.command.name];
  if (implementation === undefined) throw new Error(`the command ${asked.command.name} is in the table but not in the program`);
  return implementation(asked);
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  const { line, code } = describeFailure(error);
  if (process.env.DOM1_DEBUG !== undefined) console.error(error);
  process.stderr.write(line);
  return code;
});
