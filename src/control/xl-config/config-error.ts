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
  readonly hint: string;

  constructor(position: ConfigPosition, problem: string, hint: string) {
    super(`${positionText(position)}: ${problem}; ${hint}`.replaceAll(/\s*[\r\n]\s*/g, ' '));
    this.position = position;
    this.hint = hint;
  }
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
