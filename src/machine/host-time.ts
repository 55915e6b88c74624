// The host's monotonic clock, the same on every thread of a process.

/** Where the domain's time starts. Plain data, posted to the vCPU threads. */
export interface TimeOrigin {
  /** `performance.timeOrigin` and `performance.now()` of the thread that made it, in milliseconds. */
  readonly timeOrigin: number;
  readonly now: number;
}

export const timeOrigin = (): TimeOrigin => ({ timeOrigin: performance.timeOrigin, now: performance.now() });

/** Nanoseconds since the origin, on whichever thread calls. */
export function hostTime(origin: TimeOrigin): () => number {
  const shift = performance.timeOrigin - origin.timeOrigin - origin.now;
  return () => Math.max(0, (performance.now() + shift) * 1e6);
}
