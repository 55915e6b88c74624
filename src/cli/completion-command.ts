// `dom1 completion`: what completes commands, options, domains and files in a shell, made from the table of commands.
import { type Invocation, UsageError } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import type { CommandRow, OptionRow } from './command-row.ts';
import { COMMANDS } from './commands.ts';
import { EXIT_CODE } from './exit-codes.ts';

/** `domain-files`: a domain first, and files behind it. */
type Kind = 'domains' | 'domain-files' | 'files' | 'commands' | 'shells' | 'none';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What the arguments of a command are. */
function kindOf({ arguments: names, on }: CommandRow): Kind {
  if (on === 'image') return 'files';
  const first = names[0]?.replaceAll(/[[\].]/g, '');
  if (first === 'domain') return names.some((name) => /^\[?(file|disk-spec)/.test(name)) ? 'domain-files' : 'domains';
  if (first === 'config' || first === 'kernel') return 'files';
  if (first === 'command') return 'commands';
  return first === 'shell' ? 'shells' : 'none';
}

const words = (option: OptionRow): readonly string[] => [
  `--${option.name}`,
  ...(option.short === undefined ? [] : [`-${option.short}`]),
];
/** What stands first; names of two words have one in common. */
const firstWords = [...new Set(COMMANDS.map(({ name }) => name.split(' ')[0] as string))];
/** The second words that may follow a first one. */
const secondWords = (first: string): readonly string[] =>
  COMMANDS.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []));
const groups = firstWords.filter((first) => secondWords(first).length > 0);
const LIST_DOMAINS = "dom1 list 2>/dev/null | awk 'NR > 1 { print $1 }'";
/** The word after it is a file. */
const takesFile = ({ value, valueOptional }: OptionRow): boolean => value === 'file' && valueOptional !== true;

export async function completionCommand({ positionals }: Invocation, io: CommandIo): Promise<number> {
  const shell = positionals[0] as string;
  const make = { bash, zsh, fish }[shell];
  if (make === undefined) throw new UsageError(`there is no completion for '${shell}'; use ${SHELLS.join(', ')}`);
  io.out(make());
  return EXIT_CODE.ok;
}

function bash(): string {
  const ofCommands = COMMANDS.map((row) => {
    const options = row.options.flatMap(words).join(' ');
    return `    '${row.name}') kind=${kindOf(row)}; options='${options}'; files='${row.options.filter(takesFile).flatMap(words).join(' ')}' ;;`;
  });
  const ofGroups = groups.map((first) => {
    const second = `COMPREPLY=($(compgen -W '${secondWords(first).join(' ')}' -- "$word"))`;
    return `    ${first}) if (( COMP_CWORD == 2 )); then ${second}; return; fi; command+=" \${COMP_WORDS[2]}" ;;`;
  });
  return `# bash completion for dom1
_dom1() {
  local command=\${COMP_WORDS[1]} word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} kind=none options='' files=''
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '${firstWords.join(' ')} --help --version' -- "$word"))
    return
  fi
  case $command in
${ofGroups.join('\n')}
  esac
  case $command in
${ofCommands.join('\n')}
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options --help" -- "$word"))
    return
  fi
  if [[ -n $files && " $files " == *" $before "* ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
    return
  fi
  case $kind in
    domains) COMPREPLY=($(compgen -W "$(${LIST_DOMAINS})" -- "$word")) ;;
    domain-files)
      if (( COMP_CWORD == 2 )); then COMPREPLY=($(compgen -W "$(${LIST_DOMAINS})" -- "$word"))
      else COMPREPLY=($(compgen -f -- "$word")); fi ;;
    files) COMPREPLY=($(compgen -f -- "$word")) ;;
    commands) COMPREPLY=($(compgen -W '${firstWords.join(' ')}' -- "$word")) ;;
    shells) COMPREPLY=($(compgen -W '${SHELLS.join(' ')}' -- "$word")) ;;
  esac
}
complete -o filenames -F _dom1 dom1
`;
}

/** Within single quotes of zsh and fish. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** In a specification of _arguments, brackets and colons have a meaning. */
const zshText = (text: string): string => text.replaceAll(/([[\]:\\])/g, '\\$1');

function zsh(): string {
  const action: Record<Kind, string> = {
    domains: '_dom1_domains',
    'domain-files': '_files',
    files: '_files',
    commands: `(${firstWords.join(' ')})`,
    shells: `(${SHELLS.join(' ')})`,
    none: ' ',
  };
  const option = ({ name, short, value, valueOptional, help, many }: OptionRow): string[] => {
    const inWord = valueOptional === true;
    const argument = value === undefined ? '' : `${inWord ? '::' : ':'}${value}:${value === 'file' ? '_files' : ' '}`;
    const star = many === true ? '*' : '';
    return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])].map((word) =>
      quoted(`${star}${word}${inWord ? '=-' : ''}[${zshText(help)}]${argument}`),
    );
  };
  const ofCommands = COMMANDS.map((row) => {
    const kind = kindOf(row);
    const first = kind === 'domain-files' ? [quoted('1:domains:_dom1_domains')] : [];
    const argument = kind === 'none' ? [] : [...first, quoted(`*:${kind}:${action[kind]}`)];
    return `    '${row.name}') _arguments ${[...row.options.flatMap(option), ...argument].join(' ')} ;;`;
  });
  const described = firstWords.map((first) => {
    const summary = COMMANDS.find(({ name }) => name === first)?.summary ?? secondWords(first).join(', ');
    return `    ${quoted(`${zshText(first)}:${summary}`)}`;
  });
  const ofGroups = groups.map(
    (first) =>
      `    ${first}) if (( CURRENT == 2 )); then compadd ${secondWords(first).join(' ')}; return; fi; command+=" $words[2]"; shift words; (( CURRENT-- )) ;;`,
  );
  return `#compdef dom1
# zsh completion for dom1
_dom1_domains() {
  local -a domains
  domains=(\${(f)"$(${LIST_DOMAINS})"})
  compadd -a domains
}
_dom1() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${ofGroups.join('\n')}
  esac
  case $command in
${ofCommands.join('\n')}
  esac
}
_dom1 "$@"
`;
}

function fish(): string {
  const lines = [
    '# fish completion for dom1',
    'complete -c dom1 -f',
    ...groups.map((group) => `complete -c dom1 -n __fish_use_subcommand -a ${group}`),
  ];
  for (const row of COMMANDS) {
    const { name, summary, options } = row;
    const [first = name, second] = name.split(' ');
    const others = groups.filter((group) => group !== first).map((group) => `; and not __fish_seen_subcommand_from ${group}`);
    const inGroup = `__fish_seen_subcommand_from ${first}`;
    const seen = quoted(
      second === undefined ? `${inGroup}${others.join('')}` : `${inGroup}; and __fish_seen_subcommand_from ${second}`,
    );
    const before =
      second === undefined
        ? '__fish_use_subcommand'
        : quoted(`${inGroup}; and not __fish_seen_subcommand_from ${secondWords(first).join(' ')}`);
    lines.push(`complete -c dom1 -n ${before} -a ${second ?? first} -d ${quoted(summary)}`);
    for (const { name: long, short, value, valueOptional, help } of options) {
      const letter = short === undefined ? '' : ` -s ${short}`;
      const argument = value === undefined || valueOptional === true ? '' : value === 'file' ? ' -r -F' : ' -x';
      lines.push(`complete -c dom1 -n ${seen} -l ${long}${letter}${argument} -d ${quoted(help)}`);
    }
    const kind = kindOf(row);
    if (kind === 'domains' || kind === 'domain-files')
      lines.push(`complete -c dom1 -n ${seen} -a ${quoted(`(${LIST_DOMAINS})`)}`);
    if (kind === 'files' || kind === 'domain-files') lines.push(`complete -c dom1 -n ${seen} -F`);
    else if (kind === 'commands') lines.push(`complete -c dom1 -n ${seen} -a ${quoted(firstWords.join(' '))}`);
    else if (kind === 'shells') lines.push(`complete -c dom1 -n ${seen} -a ${quoted(SHELLS.join(' '))}`);
  }
  return `${lines.join('\n')}\n`;
}
