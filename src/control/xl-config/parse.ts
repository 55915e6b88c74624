// xl's configuration language: libxlu_cfg_y.y of Xen's tools/libs/util.
import { type ConfigPosition, XlConfigError } from './config-error.ts';
import { type ConfigToken, lexConfig, type OnConfigError } from './lexer.ts';

export type XlValue =
  | { readonly kind: 'atom'; readonly text: string; readonly quoted: boolean; readonly position: ConfigPosition }
  | { readonly kind: 'list'; readonly items: readonly XlValue[]; readonly position: ConfigPosition };
export type XlAtom = Extract<XlValue, { kind: 'atom' }>;
export type XlList = Extract<XlValue, { kind: 'list' }>;

export interface XlSetting {
  readonly key: string;
  readonly value: XlValue;
  /** Of the key. */
  readonly position: ConfigPosition;
  /** Whether the value was put together with `+=`. */
  readonly added: boolean;
}

/** The last setting of each key, in the order in which the keys appear first. */
export type XlSettings = ReadonlyMap<string, XlSetting>;

/** Lists within lists. */
const MAX_DEPTH = 32;

export interface ParseOptions {
  /** Settings that were there before: `+=` adds to them, and `=` replaces them. */
  readonly into?: XlSettings;
  /** Is told of each mistake, and the settings around it are read; default: the first one is thrown. */
  readonly onError?: OnConfigError;
}

/** @throws XlConfigError unless there is `onError` */
export function parseXlConfig(text: string, file: string, options: ParseOptions = {}): XlSettings {
  const { into = new Map(), onError = raise } = options;
  const settings = new Map(into);
  const parser = new Parser(lexConfig(text, file, onError));
  while (!parser.atEnd) {
    try {
      const setting = parser.next();
      if (setting === undefined) break;
      const before = settings.get(setting.key);
      settings.set(setting.key, setting.added && before !== undefined ? concatenate(before, setting) : setting);
    } catch (error) {
      // The lexer has told of what is broken.
      if (!(error instanceof Broken)) onError(configError(error));
      parser.skipSetting();
    }
  }
  return settings;
}

/** The first mistake ends the reading. */
export const raise: OnConfigError = (error) => {
  throw error;
};

function configError(error: unknown): XlConfigError {
  if (error instanceof XlConfigError) return error;
  throw error;
}

/** A setting with something in it that is no word of the language. */
class Broken extends Error {
  override readonly name = 'Broken';
}

function concatenate(before: XlSetting, { key, value, position }: XlSetting): XlSetting {
  const old = before.value;
  if (old.kind === 'list' && value.kind === 'list') {
    return { key, position, added: true, value: { ...value, items: [...old.items, ...value.items] } };
  }
  if (old.kind === 'atom' && value.kind === 'atom') {
    return { key, position, added: true, value: { ...value, quoted: true, text: old.text + value.text } };
  }
  const [had, adds] = old.kind === 'list' ? ['a list', 'a string'] : ['a string', 'a list'];
  throw new XlConfigError(
    value.position,
    `${key} is ${had} since line ${before.position.line}, and ${adds} cannot be added to it`,
    `add ${had}, or write ${key} = …`,
  );
}

class Parser {
  readonly #tokens: readonly ConfigToken[];
  #at = 0;

  constructor(tokens: readonly ConfigToken[]) {
    this.#tokens = tokens;
  }

  get atEnd(): boolean {
    return this.#peek().kind === 'eof';
  }

  /** Goes on where a line begins like a setting: the lines of a broken list do not. */
  skipSetting(): void {
    while (!this.atEnd) {
      const [here, next, after] = this.#tokens.slice(this.#at, this.#at + 3);
      const begins = next?.kind === 'key' && after?.kind === 'operator' && (after.text === '=' || after.text === '+=');
      if (here?.kind === 'end' && (begins || next?.kind === 'eof')) return;
      this.#at++;
    }
  }

  next(): XlSetting | undefined {
    while (this.#peek().kind === 'end') this.#at++;
    const name = this.#peek();
    if (name.kind === 'eof') return undefined;
    if (name.kind !== 'key') throw this.#unexpected('the name of a setting', 'write key = value');
    this.#at++;
    const operator = this.#peek().text;
    if (this.#peek().kind !== 'operator' || (operator !== '=' && operator !== '+='))
      throw this.#unexpected(`'=' after ${name.text}`, `write ${name.text} = value`);
    this.#at++;
    const value = this.#value(name.text, 0);
    if (this.#peek().kind !== 'end' && this.#peek().kind !== 'eof')
      throw this.#unexpected(`the end of the line after the value of ${name.text}`, 'begin each setting on a line of its own');
    return { key: name.text, value, position: name.position, added: operator === '+=' };
  }

  #peek(): ConfigToken {
    return this.#tokens[this.#at] as ConfigToken;
  }

  #isOperator(text: string): boolean {
    return this.#peek().kind === 'operator' && this.#peek().text === text;
  }

  #skipLineFeeds(): void {
    while (this.#peek().kind === 'end' && this.#peek().text === '\n') this.#at++;
  }

  #value(key: string, depth: number): XlValue {
    const token = this.#peek();
    if (token.kind === 'atom') {
      this.#at++;
      return { kind: 'atom', text: token.text, quoted: token.quoted, position: token.position };
    }
    if (!this.#isOperator('[')) throw this.#unexpected(`a value for ${key}`, 'put strings into quotes');
    if (depth >= MAX_DEPTH)
      throw new XlConfigError(token.position, `the lists of ${key} are nested too deeply`, `${MAX_DEPTH} is the limit`);
    this.#at++;
    const items: XlValue[] = [];
    for (this.#skipLineFeeds(); !this.#isOperator(']'); this.#skipLineFeeds()) {
      items.push(this.#value(key, depth + 1));
      this.#skipLineFeeds();
      if (this.#isOperator(',')) this.#at++;
      else if (!this.#isOperator(']'))
        throw this.#unexpected(`',' or ']' in the list ${key}`, `the list begins on line ${token.position.line}`);
    }
    this.#at++;
    return { kind: 'list', items, position: token.position };
  }

  #unexpected(wanted: string, hint: string): XlConfigError | Broken {
    const { kind, text, quoted, position } = this.#peek();
    if (kind === 'broken') return new Broken();
    const found =
      kind === 'eof'
        ? 'the end of the file'
        : text === '\n' && kind === 'end'
          ? 'the end of the line'
          : quoted
            ? 'a string'
            : `'${text}'`;
    return new XlConfigError(position, `${found} stands where ${wanted} should be`, hint);
  }
}
