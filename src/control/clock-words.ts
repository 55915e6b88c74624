// A domain's clock as a person writes it: real, virtual, virtual:2026-01-01T00:00:00Z.
import type { ClockConfig } from '../machine/domain-config.ts';

export const CLOCK_USAGE = 'real, virtual, or virtual: and the time to begin at, as in virtual:2026-01-01T00:00:00Z';

/** UTC, to the second or more finely. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;
/** Where the 32 bits of the wallclock's seconds end: 2106-02-07T06:28:16Z. */
const END_MS = 2 ** 32 * 1000;

/** What the words say, or undefined when they say nothing. */
export function clockOfWords(words: string): ClockConfig | undefined {
  if (words === 'real' || words === 'virtual') return { kind: words };
  const [kind, ...rest] = words.split(':');
  const text = rest.join(':');
  if (kind !== 'virtual' || !TIME.test(text)) return undefined;
  const epochMs = Date.parse(text);
  // Date.parse takes the 31st of each month.
  const real = new Date(epochMs || 0).toISOString().slice(0, 19) === text.slice(0, 19);
  return real && epochMs >= 0 && epochMs < END_MS ? { kind: 'virtual', epochMs } : undefined;
}
