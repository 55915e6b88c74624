// `dom1 man-page`: dom1(1) in roff, made from the table of commands.
import type { Invocation } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { argumentUsage, type CommandRow, type OptionRow } from './command-row.ts';
import { COMMANDS, GLOBAL_OPTIONS } from './commands.ts';
import { CONTROL_EXIT_CODE_HELP, EXIT_CODE, EXIT_CODE_HELP, IMAGE_EXIT_CODE_HELP } from './exit-codes.ts';
import { version } from './version.ts';

export async function manPageCommand(_invocation: Invocation, io: CommandIo): Promise<number> {
  io.out(manPage(version()));
  return EXIT_CODE.ok;
}

/** Text of roff: no character has a meaning. */
const plain = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');

export function manPage(programVersion: string): string {
  const groups: readonly (readonly [string, CommandRow['on']])[] = [
    ['GUESTS IN THE FOREGROUND', undefined],
    ['DOMAINS IN THE BACKGROUND', 'host'],
    ['DOMAINS THAT RUN', 'domain'],
    ['XENSTORE', 'store'],
    ['DISK IMAGES', 'image'],
  ];
  return [
    `.TH DOM1 1 "" ${quoted(`dom1 ${programVersion}`)} "User Commands"`,
    '.SH NAME',
    'dom1 \\- runs unmodified Xen guests on an emulated Xen platform and CPU',
    '.SH SYNOPSIS',
    '.B dom1',
    '.I command',
    '[\\fIargument\\fR ...] [\\fIoption\\fR ...]',
    '.SH DESCRIPTION',
    plain(
      'A domain is called by its name or its id. Domains are found in $XDG_RUNTIME_DIR/dom1, or else in dom1-<uid> in the directory for temporary files.',
    ),
    ...groups.flatMap(([title, on]) => [`.SH ${quoted(title)}`, ...COMMANDS.filter((row) => row.on === on).flatMap(ofCommand)]),
    '.SH OPTIONS',
    ...GLOBAL_OPTIONS.flatMap(ofOption),
    '.SH EXIT STATUS',
    'Of run and demo:',
    ...EXIT_CODE_HELP.flatMap(item),
    '.PP',
    'Of the commands on disk images:',
    ...IMAGE_EXIT_CODE_HELP.flatMap(item),
    '.PP',
    'Of the other commands:',
    ...CONTROL_EXIT_CODE_HELP.flatMap(item),
    '.SH ENVIRONMENT',
    ...item(['DOM1_DEBUG', 'when it is set, errors show where in dom1 they come from']),
    ...item(['XDG_RUNTIME_DIR', 'where domains are found']),
    ...item(['XDG_CACHE_HOME', 'where the parts of the demo are kept']),
    '.SH SEE ALSO',
    '.BR xl.cfg (5),',
    '.BR xl\\-disk\\-configuration (5),',
    '.BR xl\\-network\\-configuration (5)',
    '',
  ].join('\n');
}

const quoted = (text: string): string => `"${plain(text).replaceAll('"', '\\(dq')}"`;

const item = ([left, right]: readonly [string, string]): readonly string[] => ['.TP', `.B ${plain(left)}`, plain(right)];

function ofCommand(row: CommandRow): readonly string[] {
  const usage = [
    row.name,
    ...row.arguments.map(argumentUsage),
    ...(row.guestCommandLine ? ['[-- guest command line]'] : []),
  ].join(' ');
  return [
    `.SS ${quoted(usage)}`,
    plain(`${row.summary[0]?.toUpperCase()}${row.summary.slice(1)}.`),
    ...row.notes.flatMap((note) => ['.PP', plain(note)]),
    ...row.options.flatMap(ofOption),
  ];
}

function ofOption({ name, short, value, valueOptional, help }: OptionRow): readonly string[] {
  const word = value === undefined ? '' : `\\fI${plain(value)}\\fR`;
  const argument = value === undefined ? '' : valueOptional === true ? `[=${word}]` : ` ${word}`;
  const words = [...(short === undefined ? [] : [`\\fB\\-${short}\\fR`]), `\\fB\\-\\-${plain(name)}\\fR`].join(', ');
  return ['.TP', `${words}${argument}`, plain(help)];
}
