// `dom1 create`: a domain out of a configuration, in a process of its own.
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { XlConfigErrors } from '../control/xl-config/config-error.ts';
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import { type ConfiguredDomain, readDomainSpec } from '../control/xl-config/read-domain-spec.ts';
import { nodeErrorCode } from '../node/control-error.ts';
import { checkDomainName } from '../node/domain-registry.ts';
import { displayWarnings } from '../node/open-display.ts';
import { defaultRuntimeDirectory, openRuntimeDirectory } from '../node/runtime-directory.ts';
import { spawnBackground } from '../node/spawn-background.ts';
import { absoluteVif, specConfig } from '../node/spec-config.ts';
import { type Invocation, optionValue } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { attachConsole } from './console-command.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { InputError } from './failure.ts';
import { profileOrder } from './profile-output.ts';
import { ProgressLine } from './progress-line.ts';
import { catchSignals } from './signals.ts';

const PROGRAM = new URL('./background-main.js', import.meta.url);

export async function createCommand(invocation: Invocation, io: CommandIo): Promise<number> {
  const { options, positionals } = invocation;
  const [file = '', ...overrides] = positionals;
  const clock = optionValue(invocation, 'clock');
  const { spec: written, warnings } = await readConfig(file, clock === undefined ? overrides : [...overrides, `clock=${clock}`]);
  const notes = [...warnings.map(({ message }) => message), ...displayWarnings(written.vfbs, written.vkbs)];
  for (const note of notes) process.stderr.write(`dom1: ${note}\n`);
  const spec = withAbsolutePaths(written);
  checkDomainName(spec.name);
  specConfig(spec);
  if (options.has('dryrun')) {
    printJson(io, spec);
    return EXIT_CODE.ok;
  }
  const directory = io.directory ?? (await defaultRuntimeDirectory());
  await openRuntimeDirectory(directory);
  const log = join(directory, 'log', `${spec.name}.log`);
  const consoleLog = optionValue(invocation, 'console-log');
  const profile = profileOrder(invocation);
  const progress = new ProgressLine(process.stderr);
  using signals = catchSignals();
  const domain = await spawnBackground(
    {
      spec,
      directory,
      log,
      consoleLog: consoleLog === undefined ? join(directory, 'log', `${spec.name}.console.log`) : resolve(consoleLog),
      pty: options.has('pty'),
      paused: options.has('paused'),
      trace: options.get('trace') ?? [],
      checkJit: options.has('check-jit'),
      ...(profile !== undefined && { profile }),
    },
    { program: fileURLToPath(PROGRAM), signal: signals.signal, onProgress: (step) => progress.build(step) },
  ).finally(() => progress.clear());
  signals[Symbol.dispose]();
  if (domain.tty !== undefined) process.stderr.write(`dom1: the console of ${domain.name} is at ${domain.tty} too\n`);
  if (options.has('json')) printJson(io, { ...domain, log });
  if (options.has('console')) await attachConsole(String(domain.id), io, { history: true });
  return EXIT_CODE.ok;
}

async function readConfig(file: string, overrides: readonly string[]): Promise<ConfiguredDomain> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    const code = nodeErrorCode(cause);
    const reason =
      code === 'ENOENT'
        ? 'there is no such configuration'
        : code === 'EISDIR'
          ? 'the configuration is a directory'
          : `the configuration cannot be read (${code ?? String(cause)})`;
    throw new InputError(`${file}: ${reason}; check the path`, { cause });
  }
  try {
    return readDomainSpec(text, file, overrides);
  } catch (error) {
    if (error instanceof XlConfigErrors) for (const { message } of error.warnings) process.stderr.write(`dom1: ${message}\n`);
    throw error;
  }
}

/** The background process has another working directory. */
function withAbsolutePaths(spec: DomainSpec): DomainSpec {
  const absolute = (path: string): string => (/^[a-z][a-z0-9+.-]*:\/\//.test(path) ? path : resolve(path));
  const { kernel, ramdisk, shim } = spec;
  return {
    ...spec,
    ...(kernel !== undefined && { kernel: absolute(kernel) }),
    ...(ramdisk !== undefined && { ramdisk: absolute(ramdisk) }),
    ...(spec.biosPath !== undefined && { biosPath: absolute(spec.biosPath) }),
    ...(shim?.path !== undefined && { shim: { ...shim, path: absolute(shim.path) } }),
    disks: spec.disks.map((disk) => ({ ...disk, ...(disk.target !== undefined && { target: absolute(disk.target) }) })),
    vifs: spec.vifs.map((vif) => absoluteVif(vif, absolute)),
    channels: spec.channels.map((channel) => ({
      ...channel,
      ...(channel.path !== undefined && { path: absolute(channel.path) }),
    })),
    p9: spec.p9.map((share) => ({ ...share, path: absolute(share.path) })),
  };
}
