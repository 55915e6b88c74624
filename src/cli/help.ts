// What --help prints, made from the table of commands.
import { argumentUsage, type CommandRow, type OptionRow } from './command-row.ts';
import { COMMANDS, GLOBAL_OPTIONS } from './commands.ts';
import { CONTROL_EXIT_CODE_HELP, EXIT_CODE_HELP, IMAGE_EXIT_CODE_HELP } from './exit-codes.ts';

const WIDTH = 100;

/** Help for dom1 as a whole, or for one command. */
export function help(command?: CommandRow): string {
  return command === undefined ? general() : ofCommand(command);
}

function general(): string {
  return [
    'dom1 runs unmodified Xen guests on an emulated Xen platform and CPU.',
    '',
    'Commands:',
    ...columns(commandsOn(undefined)),
    '',
    'Domains in the background:',
    ...columns(commandsOn('host')),
    '',
    'On a domain that runs (dom1 create, or dom1 run --name <domain>):',
    ...columns(commandsOn('domain')),
    '',
    'On its XenStore:',
    ...columns(commandsOn('store')),
    '',
    'On disk images:',
    ...columns(commandsOn('image')),
    '',
    'Options of run and demo:',
    ...columns(
      [
        ...COMMANDS.filter(({ on }) => on === undefined)
          .flatMap(({ options }) => options)
          .filter(firstOfItsName),
        ...GLOBAL_OPTIONS,
      ].map(optionColumns),
    ),
    '',
    'Exit codes of run and demo:',
    ...columns(EXIT_CODE_HELP),
    '',
    'Exit codes of the others:',
    ...columns(CONTROL_EXIT_CODE_HELP),
    '',
    '`dom1 help <command>` explains a command and its options.',
    'DOM1_DEBUG=1 shows where in dom1 an error comes from.',
    '',
  ].join('\n');
}

const commandsOn = (what: CommandRow['on']): readonly (readonly [string, string])[] =>
  COMMANDS.filter(({ on }) => on === what).map((row) => [usage(row, false), row.summary]);

function ofCommand(row: CommandRow): string {
  return [
    `Usage: dom1 ${usage(row, true)}`,
    '',
    `${row.summary[0]?.toUpperCase()}${row.summary.slice(1)}.`,
    ...row.notes.flatMap((note) => ['', ...wrap(note, WIDTH)]),
    ...(row.options.length === 0 ? [] : ['', 'Options:', ...columns(row.options.map(optionColumns))]),
    ...(row.on === undefined && row.options.length === 0 ? [] : ['', 'Exit codes:', ...columns(exitCodes(row))]),
    '',
  ].join('\n');
}

const exitCodes = ({ on }: CommandRow): readonly (readonly [string, string])[] =>
  on === undefined ? EXIT_CODE_HELP : on === 'image' ? IMAGE_EXIT_CODE_HELP : CONTROL_EXIT_CODE_HELP;

function usage(row: CommandRow, full: boolean): string {
  return [
    row.name,
    ...row.arguments.map(argumentUsage),
    ...(full && row.options.length > 0 ? ['[options]'] : []),
    ...(row.guestCommandLine ? ['[-- guest command line]'] : []),
  ].join(' ');
}

const optionColumns = ({ name, short, value, valueOptional, help: text }: OptionRow): readonly [string, string] => [
  `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : valueOptional === true ? `[=<${value}>]` : ` <${value}>`}`,
  text,
];

const firstOfItsName = (row: OptionRow, index: number, rows: readonly OptionRow[]): boolean =>
  rows.findIndex(({ name }) => name === row.name) === index;

/** Two columns, the second one wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length)) + 4;
  return rows.flatMap(([left, right]) =>
    wrap(right, WIDTH - width).map((line, i) => `${i === 0 ? `  ${left}`.padEnd(width) : ' '.repeat(width)}${line}`),
  );
}

/** Lines of at most so many characters, unless a word is longer. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
