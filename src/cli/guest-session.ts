// One guest from building to its end: what `run` and `demo` have in common.

import { CLOCK_USAGE, clockOfWords } from '../control/clock-words.ts';
import { ByteHistory } from '../control/console/byte-history.ts';
import { ImageError } from '../image/image-error.ts';
import type { Domain } from '../machine/domain.ts';
import type { ClockConfig, DomainEnd } from '../machine/domain-config.ts';
import { attachPty } from '../node/console-pty.ts';
import { type CreateDomainConfig, createDomain } from '../node/create-domain.ts';
import { Hotplug } from '../node/hotplug.ts';
import { Pty } from '../node/pty.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import { InputError } from './failure.ts';
import { GuestControl } from './guest-control.ts';
import { type Outcome, reportOutcome } from './guest-report.ts';
import { LineWriter } from './line-writer.ts';
import { ProfileOutput, profileOrder } from './profile-output.ts';
import type { ProgressLine } from './progress-line.ts';

export interface SessionOptions {
  readonly invocation: Invocation;
  readonly config: Pick<
    CreateDomainConfig,
    | 'type'
    | 'kernel'
    | 'initrd'
    | 'commandLine'
    | 'bootModules'
    | 'bootProtocol'
    | 'boot'
    | 'consoleType'
    | 'disks'
    | 'vifs'
    | 'vcpus'
  >;
  /** What the kernel is called in errors. */
  readonly kernelName: string;
  /** Seconds; overrides --timeout's absence. */
  readonly defaultTimeout?: number;
  readonly signal: AbortSignal;
  readonly progress: ProgressLine;
  /** Whether the terminal is the guest's: lines on it need a carriage return then. */
  readonly raw: boolean;
  /** Deals with the running guest; what it resolves to ends the session. */
  readonly serve: (domain: Domain) => Promise<Outcome>;
}

/** How long a guest may take to power off after a command, in milliseconds. */
const POWEROFF_TIME = 10_000;

/** Builds and runs the guest. Returns the exit code. @throws what createDomain throws, and the signal's reason. */
export async function runSession(options: SessionOptions): Promise<number> {
  const { invocation, signal, progress } = options;
  const seconds = timeoutOf(invocation) ?? options.defaultTimeout;
  const notes = new LineWriter(process.stderr, options.raw && process.stderr.isTTY === true);
  await using control = await GuestControl.claim(optionValue(invocation, 'name'), (line) => notes.line(line));
  const log = new ByteHistory();
  const memory = optionValue(invocation, 'memory');
  const config: CreateDomainConfig = {
    ...options.config,
    ...(memory !== undefined && { memory }),
    ...control.identity,
    trace: invocation.options.get('trace') ?? [],
    translate: !invocation.options.has('interpret'),
    checkJit: invocation.options.has('check-jit'),
    profile: invocation.options.has('profile'),
    clock: clockOf(invocation),
  };
  const profile = await openProfile(invocation, options.config.kernel);
  using pty = invocation.options.has('pty') ? Pty.open() : undefined;
  let domain: Domain;
  try {
    domain = await createDomain(config, { signal, onProgress: (step) => progress.build(step) });
  } catch (error) {
    throw error instanceof ImageError ? new InputError(`${options.kernelName}: ${error.message}`, { cause: error }) : error;
  } finally {
    progress.clear();
  }
  profile?.attach(domain);
  let outcome: Outcome;
  domain.on('trace', ({ atNs, name, text }) => notes.line(`[${(atNs / 1e9).toFixed(6).padStart(12)}] ${name} ${text}`));
  domain.on('log', (bytes) => {
    log.append(bytes);
    notes.bytes(bytes);
  });
  domain.on('state', ({ state }) => {
    if (state === 'suspended') notes.line(`dom1: the guest suspended itself; let it go on with: dom1 resume ${domain.name}`);
  });
  if (pty !== undefined) {
    attachPty(domain, pty);
    notes.line(`dom1: the console is at ${pty.path} too`);
  }
  await control.serve(domain, log, new Hotplug({ disks: [], vifs: [] }, () => domain.devices));
  domain.run();
  const serving = options.serve(domain);
  try {
    outcome = await withLimits(serving, seconds, signal);
    if (outcome.kind === 'status') await powerOff(domain, signal);
  } finally {
    await domain.destroy();
    // It gives the terminal back before anything is printed.
    await serving.catch(() => {});
    notes.end();
    for (const line of (await profile?.finish(domain.name)) ?? []) process.stderr.write(`${line}\n`);
  }
  const end: DomainEnd = await domain.ended;
  const { text, code } = reportOutcome(outcome, domain, end, new TextDecoder('latin1').decode(log.read(0).bytes));
  process.stderr.write(text);
  return code;
}

async function openProfile(invocation: Invocation, kernel: CreateDomainConfig['kernel']): Promise<ProfileOutput | undefined> {
  const order = profileOrder(invocation);
  return order === undefined ? undefined : await ProfileOutput.open(order, typeof kernel === 'string' ? kernel : undefined);
}

/** Asks the guest to power off, and waits a little. */
export async function powerOff(domain: Domain, signal: AbortSignal): Promise<void> {
  domain.console.write('poweroff -f\n');
  await withLimits(
    domain.ended.then((end): Outcome => ({ kind: 'ended', end })),
    POWEROFF_TIME / 1000,
    signal,
  );
}

/** The work's outcome, or the timeout's. @throws the signal's reason. */
async function withLimits(work: Promise<Outcome>, seconds: number | undefined, signal: AbortSignal): Promise<Outcome> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort: () => void = () => {};
  const limits = new Promise<Outcome>((resolve, reject) => {
    if (seconds !== undefined) timer = setTimeout(() => resolve({ kind: 'timeout', seconds }), seconds * 1000);
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([limits, work]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {}); // it may still fail when the guest is ended under it
    limits.catch(() => {});
  }
}

/** @throws UsageError */
function clockOf(invocation: Invocation): ClockConfig {
  const words = optionValue(invocation, 'clock') ?? 'real';
  const clock = clockOfWords(words);
  if (clock === undefined) throw new UsageError(`'${words}' is no clock for --clock; give ${CLOCK_USAGE}`);
  return clock;
}

/** The longest a timer can be set to. */
const MAX_TIMEOUT_S = 2_147_483;

function timeoutOf(invocation: Invocation): number | undefined {
  const text = optionValue(invocation, 'timeout');
  if (text === undefined) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds <= MAX_TIMEOUT_S))
    throw new UsageError(`'${text}' is no time for --timeout; give seconds, up to ${MAX_TIMEOUT_S}`);
  return seconds;
}
