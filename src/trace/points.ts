// Tracepoints: one declaration gives the type, the text and the binary record. Off = one boolean test.

export type Point<A extends readonly number[]> = ((...args: A) => void) & { on: boolean };
type ArgsOf<S extends string> = S extends `${string}%${string} ${infer R}`
  ? [number, ...ArgsOf<R>]
  : S extends `${string}%${string}`
    ? [number]
    : [];
/** Where enabled tracepoints go. `name` is "subsystem.point". */
export type Sink = (name: string, format: string, args: readonly number[]) => void;

export type Points<F extends Record<string, string>> = { readonly [K in keyof F]: Point<ArgsOf<F[K]>> };

/**
 * Declares a subsystem's tracepoints; each is off until its `on` is set.
 * `formats` maps a point's name to text such as `"port=%u vector=%x"`: one number a percent sign, separated by blanks.
 */
export function tracepoints<const F extends Record<string, string>>(subsystem: string, formats: F, sink: Sink): Points<F> {
  const points = Object.entries(formats).map(([name, format]) => {
    const emit = (...args: number[]) => sink(`${subsystem}.${name}`, format, args);
    return [name, Object.assign(emit, { on: false })];
  });
  return Object.fromEntries(points);
}

/** Turns on the points that match a glob such as `xen.*` or `*`; returns how many there were. */
export function enable(points: Readonly<Record<string, Point<never>>>, subsystem: string, glob: string): number {
  const pattern = new RegExp(`^${glob.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`);
  let count = 0;
  for (const [name, point] of Object.entries(points)) {
    if (!pattern.test(`${subsystem}.${name}`)) continue;
    point.on = true;
    count++;
  }
  return count;
}

/** Renders a format and its numbers: `%u` decimal, `%x` hexadecimal. */
export function render(format: string, args: readonly number[]): string {
  let i = 0;
  return format.replace(/%[a-z]/g, (spec) => {
    const value = args[i++] ?? 0;
    return spec === '%x' ? `0x${(value < 0 ? value >>> 0 : value).toString(16)}` : String(value);
  });
}
