// Running a command in a shell on a console: what is typed, and how the command's output and status are found in what comes
// back, which has the echo of what was typed in it.

/** Characters of a typed line; shells that edit lines keep about a thousand. */
const PIECE = 600;

/**
 * The lines to type for a command. Only printable ASCII is typed, since a tab or another control character means
 * something to a shell that edits lines. A mark is printed before and after; it is put together by the shell, so that the
 * echo does not contain it.
 */
export function shellLines(command: string, tag: string): string[] {
  const typed = asFormat(command);
  const mark = `${tag.slice(0, 1)}""${tag.slice(1)}`;
  const run = (script: string): string =>
    `printf '%s<\\n' ${mark}; sh -c "$(${script})" </dev/null 2>&1; printf '%s:%d>\\n' ${mark} $?\n`;
  if (typed.length <= PIECE) return [run(`printf '${typed}'`)];
  const lines = ['_dom1=\n'];
  // An escape that is cut in two is whole again when the pieces are.
  for (let at = 0; at < typed.length; at += PIECE) lines.push(`_dom1="$_dom1"'${typed.slice(at, at + PIECE)}'\n`);
  return [...lines, run('printf "$_dom1"')];
}

/** As a format of printf(1): what is not a plain character is written in octal. */
function asFormat(text: string): string {
  let out = '';
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && !`'"\\%!`.includes(String.fromCharCode(byte));
    out += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
  }
  return out;
}

interface LineEnd {
  readonly whole: RegExp;
  /** The start of one that text ends with. */
  readonly begun: RegExp;
}
const PLAIN: LineEnd = { whole: /\r\n/g, begun: /\r$/ };
const RETURNED: LineEnd = { whole: /\r\n\r?/g, begun: /\r\n$|(?<!\r\n)\r$/ };

/** Longest end mark beyond the tag: ":255>" and a line end. */
const MARK_EXTRA = 8;

export interface ShellEnd {
  /** 0..255 */
  readonly status: number;
  /** Characters that came after the command's end: the next prompt. */
  readonly rest: number;
}

/** Finds a command's output in a console's. */
export class ShellReply {
  readonly #end: RegExp;
  /** Found in the output when the command has begun. */
  readonly begin: RegExp;
  readonly #holdBack: number;
  readonly #onOutput: (text: string) => void;
  #state: 'before' | 'inside' | 'after' = 'before';
  #text = '';
  /** What the console makes of a line end: Xen's own console (console=xen,pv of its shim) adds a \r behind it. */
  #lineEnd: LineEnd | undefined;

  constructor(tag: string, onOutput: (text: string) => void) {
    this.begin = new RegExp(`${tag}<\\r?\\n`);
    this.#end = new RegExp(`${tag}:(\\d+)>\\r?\\n`);
    this.#holdBack = tag.length + MARK_EXTRA;
    this.#onOutput = onOutput;
  }

  /** Nothing more will come: gives what was held back. */
  close(): void {
    if (this.#state === 'inside' && this.#text !== '')
      this.#onOutput(this.#text.replaceAll((this.#lineEnd ?? PLAIN).whole, '\n'));
    this.#state = 'after';
  }

  /** The console printed `text`. Gives how the command ended, when it has. */
  receive(text: string): ShellEnd | undefined {
    if (this.#state === 'after') return undefined;
    this.#text += text;
    if (this.#state === 'before') {
      const begin = this.begin.exec(this.#text);
      if (begin === null) return undefined;
      this.#text = this.#text.slice(begin.index + begin[0].length);
      this.#state = 'inside';
    }
    if (this.#lineEnd === undefined) {
      if (this.#text.length < 2) return undefined;
      this.#lineEnd = /^\r[^\n]/.test(this.#text) ? RETURNED : PLAIN;
      // That of the mark.
      if (this.#lineEnd === RETURNED) this.#text = this.#text.slice(1);
    }
    const { whole, begun } = this.#lineEnd;
    const end = this.#end.exec(this.#text);
    // Until the end is there, what may be the start of its mark stays here, and a line end that is not complete.
    let ready = end === null ? Math.max(0, this.#text.length - this.#holdBack) : end.index;
    if (end === null) ready -= begun.exec(this.#text.slice(0, ready))?.[0].length ?? 0;
    if (ready > 0) this.#onOutput(this.#text.slice(0, ready).replaceAll(whole, '\n'));
    this.#text = this.#text.slice(ready);
    if (end !== null) this.#state = 'after';
    return end === null ? undefined : { status: Number(end[1]), rest: this.#text.length - end[0].length };
  }
}
