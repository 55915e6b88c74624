// Two logs of one kernel, line by line: what is in one and not in the other, and which of these differences are explained.

/** A difference and its reason. In a pattern `*` stands for any text. */
export interface Difference {
  /** Lines of the log of the other host that have no equal here. */
  readonly there?: readonly string[];
  /** Lines of the log from here that have no equal there. */
  readonly here?: readonly string[];
  /** Lines that are in both, with other numbers or words. */
  readonly both?: readonly string[];
  /** Lines that one side or the other may have, from run to run. */
  readonly sometimes?: readonly string[];
  readonly why: string;
}

export type Side = 'there' | 'here';

/** What stands in only one of two logs; a line that one has more often than the other stands there the difference of times. */
export function differences(there: readonly string[], here: readonly string[]): Record<Side, string[]> {
  return { there: without(there, here), here: without(here, there) };
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const line of others) counts.set(line, (counts.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = counts.get(line) ?? 0;
    if (count > 0) counts.set(line, count - 1);
    return count === 0;
  });
}

/** Lines as they are compared: without the kernel's time stamps, what a terminal adds, and the end of lines. */
export function logLines(text: string): string[] {
  return text
    .split(/[\r\n]+/)
    .map((line) => line.replace(/^\[ *\d+\.\d+\] /, '').trimEnd())
    .filter((line) => line !== '');
}

/** Tells which lines the differences explain, and which explanations have been of use. */
export class Explanations {
  readonly #patterns: {
    readonly pattern: RegExp;
    readonly side: Side;
    readonly text: string;
    readonly must: boolean;
    used: boolean;
  }[];

  constructor(table: readonly Difference[]) {
    const rows = (side: Side, patterns: readonly string[] = [], must = true) =>
      patterns.map((text) => ({ pattern: matcher(text), side, text, must, used: false }));
    this.#patterns = table.flatMap(({ there, here, both, sometimes }) => [
      ...rows('there', there),
      ...rows('here', here),
      ...rows('there', both),
      ...rows('here', both),
      ...rows('there', sometimes, false),
      ...rows('here', sometimes, false),
    ]);
  }

  /** The lines of one side that nothing explains. */
  unexplained(side: Side, lines: readonly string[]): string[] {
    return lines.filter((line) => {
      const found = this.#patterns.filter((row) => row.side === side && row.pattern.test(line));
      for (const row of found) row.used = true;
      return found.length === 0;
    });
  }

  /** Patterns that have explained nothing so far: the difference is gone, or never was. */
  unused(): string[] {
    return this.#patterns.filter(({ must, used }) => must && !used).map(({ side, text }) => `${side}: ${text}`);
  }
}

const matcher = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );
