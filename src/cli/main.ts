#!/usr/bin/env node
// The program `dom1`.
import { type Invocation, parseCommandLine, SEE_HELP, UsageError } from './arguments.ts';
import { closest } from './closest.ts';
import { COMMANDS } from './commands.ts';
import { demoCommand } from './demo-command.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import { help } from './help.ts';
import { ProgressLine } from './progress-line.ts';
import { runCommand } from './run-command.ts';
import { abortOnSignals } from './signals.ts';
import { version } from './version.ts';

const IMPLEMENTATIONS: Readonly<Record<string, (invocation: Invocation) => Promise<number> | number>> = {
  demo: (invocation) => interruptible((signal, progress) => demoCommand(invocation, signal, progress)),
  run: (invocation) => interruptible((signal, progress) => runCommand(invocation, signal, progress)),
  help: ({ positionals }) => print(helpFor(positionals[0])),
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
