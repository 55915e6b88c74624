// Signals that end dom1: they abort what is going on, so that the guest ends and the terminal is restored; a second one
// ends the process at once.
import { constants } from 'node:os';
import { EXIT_CODE } from './exit-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The reason of an abort by a signal. */
export class SignalReceived extends Error {
  override readonly name = 'SignalReceived';
  readonly signal: (typeof SIGNALS)[number];
  constructor(signal: (typeof SIGNALS)[number]) {
    super(`dom1 got ${signal}`);
    this.signal = signal;
  }
  get exitCode(): number {
    return EXIT_CODE.signal + constants.signals[this.signal];
  }
}

/** Nobody reads stdout any more: `dom1 … | head`. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
  readonly exitCode: number = EXIT_CODE.signal + constants.signals.SIGPIPE;
}

/** Aborts when a signal comes, until it is disposed of; a second one ends the process at once. */
export function catchSignals(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const handlers = SIGNALS.map((name) => {
    const onSignal = (): void => {
      const received = new SignalReceived(name);
      if (controller.signal.aborted) process.exit(received.exitCode);
      controller.abort(received);
    };
    process.on(name, onSignal);
    return (): void => void process.off(name, onSignal);
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const forget of handlers) forget();
    },
  };
}

/** Aborts when a signal comes, or when stdout is closed. */
export function abortOnSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      const received = new SignalReceived(signal);
      if (controller.signal.aborted) process.exit(received.exitCode);
      controller.abort(received);
    });
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    controller.abort(new OutputClosed());
  });
  return controller.signal;
}
