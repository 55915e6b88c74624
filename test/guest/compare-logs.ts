// Two logs of one kernel, line by line: what is in one and not in the other, and which of these differences are explained.

/** A difference and its reason. In a pattern `*` stands for any text, `?` for a character. */
export interface Difference {
  readonly what: string;
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

interface Pattern {
  readonly text: string;
  readonly expression: RegExp;
  readonly sides: readonly Side[];
  /** Whether a line of one side needs one of the other. */
  readonly paired: boolean;
  /** Whether it may never be of use. */
  readonly optional: boolean;
  used: boolean;
}

const SIDES: readonly Side[] = ['there', 'here'];

/** Tells which lines the differences explain, and which explanations have been of use. */
export class Explanations {
  readonly #patterns: readonly Pattern[];

  constructor(table: readonly Difference[]) {
    const rows = (texts: readonly string[] = [], sides = SIDES, more: Partial<Pattern> = {}): Pattern[] =>
      texts.map((text) => ({ text, expression: matcher(text), sides, paired: false, optional: false, used: false, ...more }));
    this.#patterns = table.flatMap(({ there, here, both, sometimes }) => [
      ...rows(there, ['there']),
      ...rows(here, ['here']),
      ...rows(both, SIDES, { paired: true }),
      ...rows(sometimes, SIDES, { optional: true }),
    ]);
  }

  /** The lines of one log's differences that nothing explains. */
  unexplained(found: Readonly<Record<Side, readonly string[]>>): Record<Side, string[]> {
    const explains = this.#patterns.filter(({ expression, sides, paired }) =>
      sides[paired ? 'every' : 'some']((side) => found[side].some((line) => expression.test(line))),
    );
    for (const pattern of explains) pattern.used = true;
    const left = (side: Side): string[] =>
      found[side].filter((line) => !explains.some(({ sides, expression }) => sides.includes(side) && expression.test(line)));
    return { there: left('there'), here: left('here') };
  }

  /** Patterns that have explained nothing so far: the difference is gone, or never was. */
  unused(): string[] {
    return this.#patterns.filter(({ optional, used }) => !optional && !used).map(({ text }) => text);
  }
}

const matcher = (text: string): RegExp =>
  new RegExp(
    `^${text
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );
