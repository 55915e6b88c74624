// The person's terminal while `dom1 top` has it: a screen beside the one with the shell's lines, and keys one by one.
import { rawTerminal } from './terminal.ts';

export interface TopTerminal {
  write(text: string): void;
  size(): { readonly columns: number; readonly rows: number };
  onKeys(listener: (keys: string) => void): void;
  onResize(listener: () => void): void;
}

/** The other screen, without a cursor and without the lines that a terminal would break. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

/** Disposing, or the end of the process, gives the terminal back as it was. */
export function processTerminal(): TopTerminal & Disposable {
  const { stdin, stdout } = process;
  const raw = rawTerminal(() => undefined);
  const leave = (): void => void stdout.write(LEAVE);
  process.once('exit', leave);
  stdout.write(ENTER);
  const listeners: (() => void)[] = [];
  return {
    write: (text) => void stdout.write(text),
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    onKeys(listener) {
      const onData = (keys: Buffer): void => listener(keys.toString('latin1'));
      stdin.on('data', onData);
      stdin.resume();
      listeners.push(() => {
        stdin.off('data', onData);
        stdin.pause();
      });
    },
    onResize(listener) {
      stdout.on('resize', listener);
      listeners.push(() => stdout.off('resize', listener));
    },
    [Symbol.dispose]() {
      for (const end of listeners) end();
      process.off('exit', leave);
      leave();
      raw[Symbol.dispose]();
    },
  };
}
