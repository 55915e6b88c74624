// A command in the shell that listens on a console: typed, and its output and status found in what comes back.
import { boundedWait, type WaitLimits } from '../util/bounded-wait.ts';
import { ConsoleError } from './console-error.ts';
import type { ConsoleText } from './console-text.ts';
import { ShellReply, shellLines } from './shell-command.ts';

/** What a command in the guest printed and how it ended. */
export interface CommandResult {
  /** Standard output and errors, in the order in which they came, with line ends as "\n". */
  readonly output: string;
  /** Exit status, 0..255. */
  readonly status: number;
}

/** How a command is run in a guest. */
export interface CommandOptions extends WaitLimits {
  /** What the command prints, as it comes; `output` is then empty. */
  readonly onOutput?: (text: string) => void;
  /** False: types at once. Default: waits until the console shows a shell's prompt, unless a command has run there before. */
  readonly prompt?: boolean;
}

/** Characters of output that a command may print when nobody takes them as they come. */
const MAX_OUTPUT = 16 * 2 ** 20;
const INTERRUPT = '\x03';
/** Characters of a command or of its output in a message. */
const SHOWN = 60;

/**
 * Types the command, and waits for its end; one that is given up is interrupted.
 * @param tag marks its output; no other command's may be the same
 * @param limits what is left of those in `options`
 * @throws ConsoleError 'timeout', 'closed' or 'too-much', the signal's reason, what `onOutput` throws
 */
export async function runCommand(
  text: ConsoleText,
  write: (line: string) => void,
  tag: string,
  command: string,
  options: CommandOptions,
  limits: WaitLimits,
): Promise<CommandResult> {
  const { onOutput, timeout: whole } = options;
  const what = shortened(command);
  let output = '';
  let tooMuch = (): void => {};
  const take = (piece: string): void => {
    output += piece;
    if (output.length > MAX_OUTPUT) tooMuch();
  };
  const reply = new ShellReply(tag, onOutput ?? take);
  const start = text.end;
  const tooLate = (timeout: number): Error => {
    reply.close();
    const seen = output.trimEnd().split('\n').at(-1)?.slice(-SHOWN);
    const last = onOutput !== undefined ? '' : seen ? `; it printed last: ${JSON.stringify(seen)}` : '; it printed nothing';
    return new ConsoleError('timeout', `'${what}' did not end within ${whole ?? timeout} ms${last}`);
  };
  try {
    return await boundedWait<CommandResult>(limits, tooLate, (settle) => {
      tooMuch = () => settle.reject(new ConsoleError('too-much', `'${what}' printed more than is kept; take it with onOutput`));
      const listening = text.onText((piece) => {
        try {
          const end = reply.receive(piece);
          if (end === undefined) return;
          text.skip(text.end - end.rest);
          settle.resolve({ output, status: end.status });
        } catch (error) {
          settle.reject(error);
        }
      });
      text.skip();
      for (const line of shellLines(command, tag)) write(line);
      const closing = text.onClose(() => {
        reply.close();
        settle.reject(new ConsoleError('closed', `${text.closed} before '${what}' did`));
      });
      return () => {
        listening[Symbol.dispose]();
        closing[Symbol.dispose]();
        reply.close();
      };
    });
  } catch (error) {
    interrupt(text, write, reply, start);
    throw error;
  }
}

/** A shell that still reads the line would take ^C for a part of it: the command must have begun. */
function interrupt(text: ConsoleText, write: (line: string) => void, reply: ShellReply, start: number): void {
  const begun = (): boolean => reply.begin.test(text.since(start));
  if (text.closed !== undefined) return;
  if (begun()) return write(INTERRUPT);
  const waiting = text.onText(() => {
    if (!begun()) return;
    waiting[Symbol.dispose]();
    write(INTERRUPT);
  });
}

const shortened = (command: string): string => {
  const line = command.trim().replaceAll(/\s+/g, ' ');
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
};
