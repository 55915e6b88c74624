// What is wrong with a domain's configuration, and where.

/** Where something stands in a configuration; lines and columns count from 1. */
export interface ConfigPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export const positionText = ({ file, line, column }: ConfigPosition): string => `${file}:${line}:${column}`;

/** `message` is one line: file:line:column, the thing, the reason and the next step; `hint` is the next step alone. */
export class XlConfigError extends Error {
  override readonly name = 'XlConfigError';
  readonly position: ConfigPosition;
  readonly problem: string;
  readonly hint: string;

  constructor(position: ConfigPosition, problem: string, hint: string) {
    super(`${positionText(position)}: ${problem}; ${hint}`.replaceAll(/\s*[\r\n]\s*/g, ' '));
    this.position = position;
    this.problem = problem;
    this.hint = hint;
  }
}

/**
 * Everything that is wrong with a configuration, in the order in which it stands there; as an error it is the first of them.
 * `warnings` is what else there is to say.
 */
export class XlConfigErrors extends XlConfigError {
  readonly all: readonly XlConfigError[];
  readonly warnings: readonly ConfigWarning[];

  /** @param all at least one */
  constructor(all: readonly XlConfigError[], warnings: readonly ConfigWarning[]) {
    const ordered = [...all].sort((a, b) => comparePositions(a.position, b.position));
    const first = ordered[0] as XlConfigError;
    super(first.position, first.problem, first.hint);
    this.all = ordered;
    this.warnings = warnings;
  }
}

/** A file's places before those of the command line, whose settings have a number each. */
function comparePositions(a: ConfigPosition, b: ConfigPosition): number {
  const setting = ({ file }: ConfigPosition): number => Number(/^command line, setting (\d+)$/.exec(file)?.[1] ?? 0);
  return setting(a) - setting(b) || a.line - b.line || a.column - b.column;
}

/** Something that does not keep the domain from being built. */
export interface ConfigWarning {
  readonly kind: 'unknown-key' | 'not-supported' | 'deprecated';
  /** The key, or the part of a device's specification. */
  readonly key: string;
  readonly position: ConfigPosition;
  /** One line, the position first. */
  readonly message: string;
}
