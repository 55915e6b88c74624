// Words of xl's configuration language: libxlu_cfg_l.l of Xen's tools/libs/util.
import { type ConfigPosition, XlConfigError } from './config-error.ts';

/** `end`: of a statement, a line feed or a semicolon; only line feeds may stand within a list. `broken`: what is no token. */
export interface ConfigToken {
  readonly kind: 'key' | 'atom' | 'operator' | 'end' | 'eof' | 'broken';
  /** An atom's value; an operator as it is written; '\n' or ';'. */
  readonly text: string;
  /** Whether an atom was a quoted string. */
  readonly quoted: boolean;
  readonly position: ConfigPosition;
}

/** Longest configuration in characters. */
export const MAX_CONFIG_LENGTH = 2 ** 20;

const TOKEN =
  /(?<blank>[ \t\r]+|#[^\n]*)|(?<end>[\n;])|(?<key>[a-z][._0-9a-z]*)|(?<number>[0-9][0-9a-fx]*)|(?<string>'(?:[^'\\\n]|\\[^\n])*'|"(?:[^"\\\n]|\\[^\n])*")|(?<operator>\+=|[=,[\]])/y;

/** Is told what is wrong, and the reading goes on as well as it can. */
export type OnConfigError = (error: XlConfigError) => void;

/** What cannot be read is left out up to the end of its line. @throws XlConfigError for a text that is too long */
export function lexConfig(text: string, file: string, onError: OnConfigError): ConfigToken[] {
  let line = 1;
  let lineStart = 0;
  const at = (index: number): ConfigPosition => ({ file, line, column: index - lineStart + 1 });
  if (text.length > MAX_CONFIG_LENGTH)
    throw new XlConfigError(at(0), `the configuration is longer than ${MAX_CONFIG_LENGTH} characters`, 'is this the right file?');
  const tokens: ConfigToken[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < text.length) {
    const index = pattern.lastIndex;
    const position = at(index);
    const groups = pattern.exec(text)?.groups;
    if (groups === undefined) {
      onError(unexpected(text, index, position));
      tokens.push({ kind: 'broken', text: '', quoted: false, position });
      const lineEnd = text.indexOf('\n', index);
      pattern.lastIndex = lineEnd < 0 ? text.length : lineEnd;
      continue;
    }
    const { end, key, number, string, operator } = groups;
    if (end !== undefined) tokens.push({ kind: 'end', text: end, quoted: false, position });
    else if (key !== undefined) tokens.push({ kind: 'key', text: key, quoted: false, position });
    else if (number !== undefined) tokens.push({ kind: 'atom', text: number, quoted: false, position });
    else if (string !== undefined)
      tokens.push({ kind: 'atom', text: dequote(string, position, onError), quoted: true, position });
    else if (operator !== undefined) tokens.push({ kind: 'operator', text: operator, quoted: false, position });
    if (end === '\n') {
      line++;
      lineStart = pattern.lastIndex;
    }
  }
  tokens.push({ kind: 'eof', text: '', quoted: false, position: at(text.length) });
  return tokens;
}

function unexpected(text: string, index: number, position: ConfigPosition): XlConfigError {
  const char = String.fromCodePoint(text.codePointAt(index) ?? 0);
  if (char === "'" || char === '"')
    return new XlConfigError(position, `the string that begins here has no end`, `close it with ${char} on the same line`);
  if (char === '\\')
    return new XlConfigError(
      position,
      'a line cannot be continued with a backslash',
      'break the line within the brackets of a list',
    );
  if (/[A-Z_]/.test(char)) return new XlConfigError(position, `'${char}' cannot begin a key`, 'keys are written in lower case');
  if (char === '-')
    return new XlConfigError(position, "a value cannot begin with '-' here", 'put negative numbers and options into quotes');
  if ('(){}:+.%'.includes(char))
    return new XlConfigError(position, `'${char}' is not allowed here; this looks like Python`, 'put strings into quotes');
  return new XlConfigError(position, `${JSON.stringify(char)} is not allowed here`, 'put strings into quotes');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  '\\': '\\',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** The value of a string with its quotes. */
function dequote(quoted: string, position: ConfigPosition, onError: OnConfigError): string {
  const inside = quoted.slice(1, -1);
  return inside.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\s\S]))/g,
    (_whole, hex?: string, octal?: string, char?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      const plain = ESCAPES[char as string];
      if (plain === undefined)
        onError(new XlConfigError(position, `the string has the unknown escape \\${char}`, 'write \\\\ for a backslash'));
      return plain ?? '';
    },
  );
}
