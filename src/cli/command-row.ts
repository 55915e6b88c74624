// A row of the table of commands.

export interface OptionRow {
  readonly name: string;
  /** One letter that does the same: -n for --number. */
  readonly short?: string;
  /** What the value is, for --help; an option without one is a switch. */
  readonly value?: string;
  /** It may be given without its value, which is written behind a `=` then. */
  readonly valueOptional?: true;
  /** May be given several times. */
  readonly many?: boolean;
  readonly help: string;
}

export interface CommandRow {
  /** One word, or two: `image create`. */
  readonly name: string;
  /**
   * Positional arguments: those in brackets may be left out. The last one stands for any number of words if its name ends in
   * dots, as in `path...` (at least one) and `[path...]`; words behind `--` are such words too, whatever they begin with.
   */
  readonly arguments: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionRow[];
  /** Whether `-- words` are the guest's command line. */
  readonly guestCommandLine: boolean;
  /** Whether the words behind the name are another program's, and read by the command itself. */
  readonly ownSyntax?: boolean;
  /** Paragraphs for `help <command>`. */
  readonly notes: readonly string[];
  /** What it works on: the host's domains, one of them that runs already, its XenStore, or disk images; default: none of these. */
  readonly on?: 'host' | 'domain' | 'store' | 'image';
}

/** An argument as --help writes it: `<path>`, `[path]`, `<path>...`. */
export const argumentUsage = (name: string): string =>
  name.startsWith('[') ? name : `<${name.replace(/\.\.\.$/, '')}>${name.endsWith('...') ? '...' : ''}`;
