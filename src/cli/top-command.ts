// `dom1 top`: how much of the host each domain uses, again and again, as xentop shows it.
import { cpus, freemem, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { defaultRuntimeDirectory } from '../node/runtime-directory.ts';
import { XEN_VERSION } from '../xen/calls/version-op.ts';
import { type Invocation, optionValue } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { numberArgument } from './number-argument.ts';
import { catchSignals, SignalReceived } from './signals.ts';
import { onTerminal } from './terminal.ts';
import { DomainClients, type Sample, type Usage, usagesOf } from './top-sample.ts';
import { processTerminal, type TopTerminal } from './top-terminal.ts';
import { afterKey, TOP_VIEW, type TopHost, type TopView, topKeys, topScreen, topTable } from './top-view.ts';

export async function topCommand(invocation: Invocation, io: CommandIo): Promise<number> {
  const { options } = invocation;
  const number = (option: string, otherwise: number): number => {
    const text = optionValue(invocation, option);
    return text === undefined ? otherwise : numberArgument(text, option, { min: 1, max: 1_000_000 });
  };
  const view: TopView = {
    ...TOP_VIEW,
    delay: number('delay', TOP_VIEW.delay),
    vcpus: options.has('vcpus'),
    networks: options.has('networks'),
    disks: options.has('vbds'),
    repeatHeader: options.has('repeat-header'),
    fullName: options.has('full-name'),
  };
  const iterations = number('iterations', Number.POSITIVE_INFINITY);
  using clients = new DomainClients(io.directory ?? (await defaultRuntimeDirectory()));
  const sample = (): Promise<readonly Sample[]> => clients.sample();
  const json = options.has('json');
  if (json || options.has('batch') || io.columns === undefined || !onTerminal())
    return await batch({ view, iterations, sample }, (usages) =>
      io.out(json ? `${JSON.stringify(usages)}\n` : `${topTable(usages, view).join('\n')}\n`),
    );
  using terminal = processTerminal();
  using signals = catchSignals();
  return await inPlace({ view, iterations, sample }, terminal, signals.signal);
}

export interface TopOptions {
  readonly view: TopView;
  readonly iterations: number;
  readonly sample: () => Promise<readonly Sample[]>;
}

async function batch({ view, iterations, sample }: TopOptions, show: (usages: readonly Usage[]) => void): Promise<number> {
  let before: readonly Sample[] = [];
  for (let i = 0; i < iterations; i++) {
    if (i > 0) await sleep(view.delay * 1000);
    const samples = await sample();
    show(usagesOf(samples, before));
    before = samples;
  }
  return EXIT_CODE.ok;
}

/** On a terminal that is ours until this resolves: each look over the one before, and keys at once. */
export async function inPlace(options: TopOptions, terminal: TopTerminal, signal: AbortSignal): Promise<number> {
  let view: TopView | undefined = options.view;
  let usages: readonly Usage[] = [];
  let wake: () => void = () => {};
  const draw = (): void => {
    if (view !== undefined) terminal.write(topScreen(usages, view, host(), terminal.size()));
  };
  terminal.onKeys((keys) => {
    for (const key of topKeys(keys)) view = view === undefined ? undefined : afterKey(view, key);
    // There is no domain behind the last one to scroll to.
    if (view !== undefined) view = { ...view, first: Math.min(view.first, Math.max(0, usages.length - 1)) };
    if (view === undefined) wake();
    else draw();
  });
  terminal.onResize(draw);
  signal.addEventListener('abort', () => wake(), { once: true });
  let before: readonly Sample[] = [];
  for (let i = 0; i < options.iterations && view !== undefined && !signal.aborted; i++) {
    const samples = await options.sample();
    usages = usagesOf(samples, before);
    before = samples;
    draw();
    if (i + 1 === options.iterations || view === undefined || signal.aborted) break;
    const { delay }: TopView = view;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delay * 1000);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  return signal.reason instanceof SignalReceived ? signal.reason.exitCode : EXIT_CODE.ok;
}

function host(): TopHost {
  const all = cpus();
  return {
    now: new Date(),
    xenVersion: `${XEN_VERSION.major}.${XEN_VERSION.minor}`,
    totalMemory: totalmem(),
    freeMemory: freemem(),
    cpus: all.length,
    mhz: all[0]?.speed ?? 0,
  };
}
