// Settings checked against the table of keys, and their values.
import { closest, edits } from '../../util/closest.ts';
import { type ConfigPosition, type ConfigWarning, positionText, XlConfigError } from './config-error.ts';
import type { ConfigKey } from './config-key.ts';
import { CONFIG_KEYS } from './key-table.ts';
import type { XlAtom, XlSetting, XlSettings, XlValue } from './parse.ts';

const KEYS: ReadonlyMap<string, ConfigKey> = new Map(CONFIG_KEYS.map((key) => [key.name, key]));

/** A string out of a list, with its place. */
export interface PlacedString {
  readonly text: string;
  readonly position: ConfigPosition;
}

export class SettingReader {
  /** Those whose values are of the right kind. */
  readonly settings: XlSettings;
  readonly warnings: ConfigWarning[] = [];
  readonly errors: XlConfigError[] = [];
  /** Where to point when something is missing. */
  readonly end: ConfigPosition;
  readonly #given: XlSettings;

  /** Checks every value. */
  constructor(settings: XlSettings, file: string) {
    this.#given = settings;
    this.end = { file, line: 1, column: 1 };
    const right = new Map(settings);
    this.settings = right;
    for (const setting of settings.values()) {
      const checked = this.attempt(() => {
        this.#check(setting);
        return true;
      });
      if (checked !== true) right.delete(setting.key);
    }
  }

  /** Whether the key is there, whatever its value. */
  has(key: string): boolean {
    return this.#given.has(key);
  }

  position(key: string): ConfigPosition {
    return this.#given.get(key)?.value.position ?? this.end;
  }

  /** What the work gives; undefined when there is a mistake in what it reads, which is then among `errors`. */
  attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof XlConfigError)) throw error;
      this.errors.push(error);
      return undefined;
    }
  }

  /** A mistake that does not keep the rest from being read. */
  fail(position: ConfigPosition, problem: string, hint: string): void {
    this.errors.push(new XlConfigError(position, problem, hint));
  }

  string(key: string): string | undefined {
    const value = this.settings.get(key)?.value;
    return value?.kind === 'atom' ? value.text : undefined;
  }

  integer(key: string): number | undefined {
    const text = this.string(key);
    return text === undefined ? undefined : configInteger(text);
  }

  boolean(key: string): boolean | undefined {
    const number = this.integer(key);
    return number === undefined ? undefined : number !== 0;
  }

  /** The strings of a list; none when it is left out. */
  strings(key: string): readonly PlacedString[] {
    const value = this.settings.get(key)?.value;
    if (value?.kind !== 'list') return [];
    return value.items.flatMap((item) => (item.kind === 'atom' ? [{ text: item.text, position: item.position }] : []));
  }

  /** What is quoted in `text` may have line ends; a warning is one line. */
  warn(kind: ConfigWarning['kind'], key: string, position: ConfigPosition, text: string): void {
    const line = text.replace(/\s*[\r\n]+\s*/g, ' ');
    this.warnings.push({ kind, key, position, message: `${positionText(position)}: ${line}` });
  }

  #check({ key, value, position, added }: XlSetting): void {
    const row = KEYS.get(key);
    if (row === undefined) {
      const near = closest(key, [...KEYS.keys()]);
      // Far from any key it is somebody's own, as xen-tools has them.
      const hint =
        near === undefined || edits(key, near) > Math.max(1, Math.floor(key.length / 3))
          ? 'xl.cfg(5) lists the keys'
          : `did you mean ${near}?`;
      return this.warn('unknown-key', key, position, `there is no key ${key}, and it is ignored; ${hint}`);
    }
    checkValue(row, value, added);
    const off = row.type === 'boolean' && value.kind === 'atom' && configInteger(value.text) === 0;
    if (row.support === 'no' && !off)
      this.warn('not-supported', key, position, `${key} (${row.meaning}) is not supported yet, and is ignored`);
    else if (row.support === 'ignored' && row.default === '1' && off)
      this.warn('not-supported', key, position, `${key} (${row.meaning}) cannot be turned off yet`);
    else if (row.instead !== undefined)
      this.warn('deprecated', key, position, `${key} is deprecated; write ${row.instead} instead`);
  }
}

/** A number as strtol(3) reads it: decimal, octal after 0, hexadecimal after 0x; undefined when it is none. */
export function configInteger(text: string): number | undefined {
  const [, sign, digits] = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const octal = /^0[0-7]+$/.test(digits);
  const value = (octal ? Number.parseInt(digits, 8) : Number(digits)) * (sign === '-' ? -1 : 1);
  return Number.isSafeInteger(value) ? value : undefined;
}

function checkValue(row: ConfigKey, value: XlValue, added: boolean): void {
  switch (row.type) {
    case 'any':
      return;
    case 'string':
      return checkString(row, atom(row, value, 'a string'));
    case 'integer':
      return checkInteger(row, atom(row, value, 'a number'), added);
    case 'boolean':
      return checkBoolean(row, atom(row, value, '0 or 1'));
    case 'boolean-or-string':
      return void atom(row, value, '0, 1 or a string');
    case 'strings-or-boolean':
      if (value.kind === 'list') return void list(row, value, 'a list of strings');
      return checkBoolean(row, value);
    case 'strings-or-string':
      return value.kind === 'list' ? void list(row, value, 'a list of strings') : undefined;
    case 'strings':
      return void list(row, value, 'a list of strings');
    case 'integers':
      for (const item of list(row, value, 'a list of numbers')) checkInteger(row, item, false);
      return;
    case 'lists':
      if (value.kind !== 'list') throw wrong(row, value, 'a list of lists');
      for (const item of value.items) list(row, item, 'a list of lists of strings');
  }
}

const wrong = ({ name }: ConfigKey, { position, kind }: XlValue, wanted: string): XlConfigError => {
  const hint = /list/.test(wanted) ? `write ${name} = [ … ]` : `write ${name} = value, without brackets`;
  return new XlConfigError(
    position,
    `${name} is ${kind === 'list' ? 'a list' : 'a single value'}, but should be ${wanted}`,
    hint,
  );
};

function atom(row: ConfigKey, value: XlValue, wanted: string): XlAtom {
  if (value.kind !== 'atom') throw wrong(row, value, wanted);
  return value;
}

function list(row: ConfigKey, value: XlValue, wanted: string): readonly XlAtom[] {
  if (value.kind !== 'list') throw wrong(row, value, wanted);
  return value.items.map((item) => {
    if (item.kind === 'list')
      throw new XlConfigError(
        item.position,
        `${row.name} is ${wanted}, and there is a list in it`,
        'take the inner brackets away',
      );
    return item;
  });
}

function checkString({ name, values }: ConfigKey, { text, position }: XlAtom): void {
  if (values === undefined || values.includes(text)) return;
  const near = closest(text, values);
  const hint = near === undefined ? `use ${values.join(', ')}` : `did you mean ${near}?`;
  throw new XlConfigError(position, `'${text}' is no value for ${name}`, hint);
}

function checkInteger(
  { name, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, meaning }: ConfigKey,
  value: XlAtom,
  added: boolean,
): void {
  const { text, position } = value;
  if (added) throw new XlConfigError(position, `${name} is a number, and += is for strings and lists`, `write ${name} = …`);
  const number = configInteger(text);
  if (number === undefined) {
    const unit =
      /MiB/.test(meaning) && /^\s*\d+\s*[mMgG]/.test(text)
        ? 'it is a number of MiB, without a unit'
        : 'give a number, such as 4 or 0x4';
    throw new XlConfigError(position, `'${text}' is no number for ${name}`, unit);
  }
  if (number < min || number > max)
    throw new XlConfigError(position, `${name} cannot be ${number}`, number < min ? `${min} is the least` : `${max} is the most`);
}

function checkBoolean({ name }: ConfigKey, { text, position }: XlAtom): void {
  if (configInteger(text) !== undefined) return;
  const said = /^(true|yes|on)$/i.test(text)
    ? `write ${name} = 1`
    : /^(false|no|off)$/i.test(text)
      ? `write ${name} = 0`
      : 'write 0 or 1';
  throw new XlConfigError(position, `'${text}' is neither 0 nor 1, as ${name} should be`, said);
}
