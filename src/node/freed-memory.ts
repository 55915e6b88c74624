// glibc keeps much of what is freed for itself. V8's compilers work on several threads with an arena of malloc each, and leave more than
// 100 MiB of free memory in them; malloc_trim(3) gives it back to the host.
import { createRequire } from 'node:module';

/** Milliseconds from look to look, and microseconds of processor time since the last trim that make another worth it. */
const EVERY_MS = 10_000;
const WORTH_US = 500_000;

/** Gives back what is free, on another thread. */
export type Trim = () => Promise<void>;

/** malloc_trim through koffi; undefined where there is no glibc, or no koffi: then the memory stays taken. */
export function loadTrim(): Trim | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const trim = koffi.load(null).func('int malloc_trim(size_t pad)');
    return () => new Promise((resolve) => trim.async(0, () => resolve()));
  } catch {
    return undefined;
  }
}

export interface FreedMemoryOptions {
  /** Default: {@link loadTrim}, called when it is first needed. */
  readonly load?: () => Trim | undefined;
  /** Microseconds of processor time that were used so far. Default: by this process. */
  readonly usedUs?: () => number;
}

const processorUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/**
 * Trims now and then while the process works, until it is disposed of; it keeps no process alive. What is resident says nothing: memory that
 * is freed after a trim stays so, and the process does not grow.
 */
export function returnFreedMemory({ load = loadTrim, usedUs = processorUs }: FreedMemoryOptions = {}): Disposable {
  let trim: Trim | undefined;
  let before = 0;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || usedUs() - before < WORTH_US) return;
    trim ??= load();
    if (trim === undefined) return clearInterval(timer);
    busy = true;
    await trim();
    before = usedUs();
    busy = false;
  }, EVERY_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
