// The command line: what was asked for, checked against the table of commands.
import { parseArgs } from 'node:util';
import { closest } from '../util/closest.ts';
import { argumentUsage, type CommandRow, type OptionRow } from './command-row.ts';
import { COMMANDS, GLOBAL_OPTIONS } from './commands.ts';
import { UsageError } from './usage-error.ts';

export { UsageError } from './usage-error.ts';

/** A command with its options and arguments. */
export interface Invocation {
  readonly command: CommandRow;
  /** Values by option, in the order they were given; a switch has ''. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly positionals: readonly string[];
  /** The words after `--`, joined; undefined when there is no `--`, or they are arguments. */
  readonly guestCommandLine: string | undefined;
}

/** The last value of an option, or undefined. */
export const optionValue = (invocation: Invocation, option: string): string | undefined => invocation.options.get(option)?.at(-1);

/**
 * Parses the words after the program's name. `--help` and `--version` anywhere win over everything that is wrong: they
 * come back as 'help' and 'version', help with the command it was asked for, if any.
 * @throws UsageError
 */
export function parseCommandLine(
  words: readonly string[],
): Invocation | { readonly show: 'help' | 'version'; readonly command?: CommandRow } {
  const end = words.indexOf('--');
  const own = end < 0 ? words : words.slice(0, end);
  const first = own.findIndex((word) => !word.startsWith('-'));
  // A name may have two words.
  const named =
    first < 0
      ? undefined
      : (COMMANDS.find(({ name }) => name === own[first]) ??
        COMMANDS.find(({ name }) => name === `${own[first]} ${own[first + 1]}`));
  const nameWords = named?.name.split(' ').length ?? 0;
  if (named?.ownSyntax === true && first === 0 && !isHelp(words[1]))
    return { command: named, options: new Map(), positionals: words.slice(nameWords), guestCommandLine: undefined };
  // "-h" and "--help" of the words that are not an option's value.
  const known = [...(named?.options ?? []), ...GLOBAL_OPTIONS];
  const { tokens } = parseArgs({
    args: [...own],
    strict: false,
    tokens: true,
    options: {
      ...Object.fromEntries(
        known.map(({ name, value, valueOptional, short }) => [
          name,
          {
            type: value === undefined || valueOptional === true ? ('boolean' as const) : ('string' as const),
            ...(short !== undefined && { short }),
          },
        ]),
      ),
      help: { type: 'boolean', short: 'h' },
    },
  });
  const given = new Set(tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : [])));
  if (given.has('help')) return named === undefined ? { show: 'help' } : { show: 'help', command: named };
  if (given.has('version')) return { show: 'version' };

  if (first < 0)
    throw new UsageError(own[0] === undefined ? `no command is given; ${SEE_HELP}` : unknownOption(own[0], GLOBAL_OPTIONS));
  if (named === undefined && COMMANDS.some(({ name }) => name.startsWith(`${own[first]} `)))
    throw new UsageError(incompleteName(own[first] as string, own[first + 1]));
  if (named === undefined)
    throw new UsageError(
      `there is no command '${own[first]}'; ${didYouMean(
        own[first] as string,
        COMMANDS.map(({ name }) => name),
      )}`,
    );
  if (first > 0) throw new UsageError(`the option ${own[0]} comes before the command; write \`dom1 ${named.name} … ${own[0]}\``);
  const options = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional' && token.index >= nameWords) positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const row = named.options.find(({ name }) => name === token.name);
    if (row === undefined) throw new UsageError(unknownOption(token.rawName, known));
    options.set(row.name, [
      ...(options.get(row.name) ?? []),
      checkedValue(row, token.rawName, token.value, token.inlineValue === true),
    ]);
    if (row.many !== true && (options.get(row.name) ?? []).length > 1)
      throw new UsageError(`--${row.name} is given twice; give it once`);
  }
  // Arguments that begin with a dash, such as a XenStore value, stand behind `--`.
  const dashes = !named.guestCommandLine && takesMany(named);
  if (end >= 0 && dashes) positionals.push(...words.slice(end + 1));
  checkPositionals(named, positionals);
  if (end >= 0 && !named.guestCommandLine && !dashes)
    throw new UsageError(`dom1 ${named.name} takes no guest command line; leave out the words after --`);
  const guestCommandLine = end < 0 || dashes ? undefined : words.slice(end + 1).join(' ');
  return { command: named, options, positionals, guestCommandLine };
}

const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';
const takesMany = (command: CommandRow): boolean => command.arguments.at(-1)?.includes('...') === true;

export const SEE_HELP = 'see `dom1 --help`';

const didYouMean = (word: string, candidates: readonly string[]): string => {
  const near = closest(word, candidates);
  return near === undefined ? SEE_HELP : `did you mean ${near}?`;
};

/** `dom1 image`, or `dom1 image chek`. */
function incompleteName(first: string, second: string | undefined): string {
  const names = COMMANDS.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  const all = `it is one of ${names.map((name) => `\`dom1 ${name}\``).join(', ')}`;
  if (second === undefined || second.startsWith('-')) return `dom1 ${first} is no command of its own; ${all}`;
  const near = closest(`${first} ${second}`, names);
  return `there is no command '${first} ${second}'; ${near === undefined ? all : `did you mean ${near}?`}`;
}

const unknownOption = (raw: string, known: readonly OptionRow[]): string =>
  `there is no option ${raw}; ${didYouMean(
    raw,
    known.map(({ name }) => `--${name}`),
  )}`;

function checkedValue(row: OptionRow, raw: string, value: string | undefined, inline: boolean): string {
  if (row.value === undefined) {
    if (value !== undefined) throw new UsageError(`${raw} takes no value; write it without '=${value}'`);
    return '';
  }
  if (row.valueOptional === true && value === undefined) return '';
  if (value === undefined || value === '' || (!inline && value.startsWith('-')))
    throw new UsageError(`${raw} needs a value; write ${raw}${row.valueOptional === true ? '=' : ' '}<${row.value}>`);
  return value;
}

function checkPositionals(command: CommandRow, positionals: readonly string[]): void {
  const required = command.arguments.filter((name) => !name.startsWith('['));
  const missing = required[positionals.length];
  if (missing !== undefined) {
    // All of them: what is written stands in the help, and one alone would not do either.
    const usage = required.map((name) => argumentUsage(name)).join(' ');
    throw new UsageError(`dom1 ${command.name} needs a ${missing.replace('...', '')}; write \`dom1 ${command.name} ${usage}\``);
  }
  const extra = positionals[command.arguments.length];
  if (extra === undefined || takesMany(command)) return;
  const hint = command.guestCommandLine ? "write the guest's command line after --" : SEE_HELP;
  throw new UsageError(`'${extra}' is one argument too many; ${hint}`);
}
