// Specifications of devices that are lists of key=value and flags: vif, p9, channel, vfb, vkb.
import { closest } from '../../util/closest.ts';
import { type ConfigPosition, XlConfigError } from './config-error.ts';
import { configInteger, type PlacedString } from './setting-reader.ts';

export interface DeviceWord {
  readonly key: string;
  /** undefined for a flag. */
  readonly value: string | undefined;
  readonly position: ConfigPosition;
}

/** A place within a string: exact when the string has no escapes before it. */
export const within = ({ position }: PlacedString, offset: number): ConfigPosition => ({
  ...position,
  column: position.column + 1 + offset,
});

/** Words between commas, without the blanks around them; empty ones are left out. */
export function deviceWords(spec: PlacedString): readonly DeviceWord[] {
  const words: DeviceWord[] = [];
  let offset = 0;
  for (const part of spec.text.split(',')) {
    const text = part.trim();
    const position = within(spec, offset + part.length - part.trimStart().length);
    offset += part.length + 1;
    if (text === '') continue;
    const equals = text.indexOf('=');
    if (equals < 0) words.push({ key: text, value: undefined, position });
    else words.push({ key: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim(), position });
  }
  return words;
}

/** What there may be in a specification; flags have the value 1, or 0 where their name is another one's with "un" before it. */
export interface DeviceFields {
  readonly device: string;
  readonly strings?: readonly string[];
  /** Strings that may be given several times. */
  readonly many?: readonly string[];
  readonly integers?: readonly string[];
  readonly booleans?: readonly string[];
  /** Flag → the boolean that it sets, and how. */
  readonly flags?: Readonly<Record<string, readonly [field: string, value: boolean]>>;
}

export interface DeviceValues {
  readonly strings: ReadonlyMap<string, string>;
  readonly many: ReadonlyMap<string, readonly string[]>;
  readonly integers: ReadonlyMap<string, number>;
  readonly booleans: ReadonlyMap<string, boolean>;
  readonly positions: ReadonlyMap<string, ConfigPosition>;
}

/** @throws XlConfigError for words that are not known, given twice, or of the wrong kind */
export function readDevice(spec: PlacedString, fields: DeviceFields): DeviceValues {
  const { device, strings = [], many = [], integers = [], booleans = [], flags = {} } = fields;
  const values = {
    strings: new Map<string, string>(),
    many: new Map<string, string[]>(),
    integers: new Map<string, number>(),
    booleans: new Map<string, boolean>(),
    positions: new Map<string, ConfigPosition>(),
  };
  for (const { key, value, position } of deviceWords(spec)) {
    const flag = value === undefined && Object.hasOwn(flags, key) ? flags[key] : undefined;
    const field = flag?.[0] ?? key;
    if (values.positions.has(field) && !many.includes(field))
      throw new XlConfigError(position, `${device}: ${field} is given twice`, 'give it once');
    values.positions.set(field, position);
    if (flag !== undefined) {
      values.booleans.set(field, flag[1]);
      continue;
    }
    const known = [...strings, ...many, ...integers, ...booleans];
    if (!known.includes(key)) {
      const near = closest(key, [...known, ...Object.keys(flags)]);
      throw new XlConfigError(
        position,
        `${device}: there is no '${key}'`,
        near === undefined ? `it has ${known.join(', ')}` : `did you mean ${near}?`,
      );
    }
    if (value === undefined) throw new XlConfigError(position, `${device}: ${key} needs a value`, `write ${key}=…`);
    if (strings.includes(key)) values.strings.set(key, value);
    else if (many.includes(key)) values.many.set(key, [...(values.many.get(key) ?? []), value]);
    else {
      const number = configInteger(value);
      if (number === undefined || number < 0)
        throw new XlConfigError(
          position,
          `${device}: '${value}' is no number for ${key}`,
          booleans.includes(key) ? 'write 0 or 1' : 'give a number from 0',
        );
      if (integers.includes(key)) values.integers.set(key, number);
      else values.booleans.set(key, number !== 0);
    }
  }
  return values;
}
