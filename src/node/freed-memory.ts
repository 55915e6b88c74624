// glibc keeps much of what is freed for itself. V8's compilers work on several threads with an arena of malloc each, and leave more than
// 100 MiB of free memory in them; malloc_trim(3) gives it back to the host.
import { createRequire } from 'node:module';

/** Milliseconds from look to look, and bytes that the process must have grown by for another trim. */
const EVERY_MS = 10_000;
const WORTH = 8 << 20;

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
  /** Bytes that the process has resident. Default: of this process. */
  readonly resident?: () => number;
}

/** Trims whenever the process has grown, until it is disposed of. It keeps no process alive. */
export function returnFreedMemory({ load = loadTrim, resident = process.memoryUsage.rss }: FreedMemoryOptions = {}): Disposable {
  let trim: Trim | undefined;
  let after = 0;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy || resident() - after < WORTH) return;
    trim ??= load();
    if (trim === undefined) return clearInterval(timer);
    busy = true;
    await trim();
    after = resident();
    busy = false;
  }, EVERY_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
