// The rows of the suite: what each runs in the guest.

/** Of the guest, its kernel and its programs. */
export type Bits = 64 | 32;

export interface Row {
  readonly name: string;
  /** What the guest's shell runs, at a scale of 1 or less: counts shrink with it. */
  readonly command: (scale: number) => string;
}

const count = (full: number, scale: number): number => Math.max(1, Math.round(full * scale));
const bench = (name: string, what: string, full: number, program = 'bench'): Row => ({
  name,
  command: (scale) => `/bench/${program} ${what} ${count(full, scale)}`,
});
const zeroes = (name: string, through: string): Row => ({
  name,
  command: (scale) => `dd if=/dev/zero bs=64k count=${count(800, scale)} 2>/dev/null | ${through}`,
});

/** At a scale of 1, the suite's own counts. Those that bound a size (fib, mat) shrink so that the work is in proportion. */
export const ROWS: readonly Row[] = [
  zeroes('md5_50M', 'md5sum'),
  zeroes('sha1_50M', 'sha1sum'),
  zeroes('gzip_50M', 'gzip -c | wc -c'),
  bench('loop', 'loop', 200_000_000),
  bench('sieve', 'sieve', 10_000_000),
  bench('crc', 'crc', 50),
  { name: 'fib', command: (scale) => `/bench/bench fib ${Math.round(35 + Math.log(scale) / Math.log(1.618))}` },
  bench('qsort', 'qsort', 1_000_000),
  { name: 'mat_sse', command: (scale) => `/bench/bench mat ${Math.round(300 * Math.cbrt(scale))}` },
  { name: 'mat_x87', command: (scale) => `/bench/bench_x87 mat ${Math.round(150 * Math.cbrt(scale))}` },
  bench('interp', 'interp', 5_000_000),
  bench('icall', 'icall', 20_000_000),
  bench('stream', 'stream', 10),
  bench('getpid', 'getpid', 300_000),
  bench('fork', 'fork', 300),
  bench('pipe', 'pipe', 5000),
  bench('fault', 'fault', 20),
  { name: 'shloop', command: (scale) => `i=0; while [ $i -lt ${count(30_000, scale)} ]; do i=$((i+1)); done` },
  { name: 'exec', command: (scale) => `i=0; while [ $i -lt ${count(100, scale)} ]; do /bin/busybox true; i=$((i+1)); done` },
];
