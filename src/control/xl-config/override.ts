// Settings as words of a command line: key=value, where a value that is plainly a string needs no quotes of its own.
import { XlConfigError } from './config-error.ts';
import type { OnConfigError } from './lexer.ts';
import { parseXlConfig, raise, type XlSettings } from './parse.ts';

const FILE = 'command line';

/**
 * Settings of one word, over those that there are.
 * @throws XlConfigError unless there is `onError`
 */
export function overrideSetting(word: string, index: number, settings: XlSettings, onError: OnConfigError = raise): XlSettings {
  // Positions on the command line are those of words.
  const file = `${FILE}, setting ${index + 1}`;
  const [, key, operator, value] = /^\s*([a-z][._0-9a-z]*)\s*(\+?=)\s*([\s\S]*)$/.exec(word) ?? [];
  if (key === undefined || operator === undefined || value === undefined) {
    onError(new XlConfigError({ file, line: 1, column: 1 }, `'${word}' is no setting`, 'write key=value, as in memory=512'));
    return settings;
  }
  const plain = !/^(['"[]|[0-9][0-9a-fx]*\s*$)/.test(value);
  if (!plain) return parseXlConfig(word, file, { into: settings, onError });
  const quoted = `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`;
  return parseXlConfig(`${key}${operator}${quoted}`, file, { into: settings, onError });
}
