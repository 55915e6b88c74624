// The person's terminal while it belongs to the guest: keys go to the guest one by one, Ctrl-] leaves.
import type { GuestConsole } from '../machine/guest-console.ts';

/** Ctrl-], the key of `xl console` and telnet. */
const LEAVE = 0x1d;
const LINE_FEED = 0x0a;
/** Colours off, cursor visible: what a guest may have left behind. */
const RESET = '\x1b[0m\x1b[?25h';

export const onTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** Size and kind of the terminal, as kernel parameters that become init's environment. */
export function terminalParameters(): string {
  const { columns, rows } = process.stdout;
  const kind = process.env.TERM ?? '';
  return [
    ...(columns > 0 && rows > 0 ? [`COLUMNS=${columns}`, `LINES=${rows}`] : []),
    ...(/^[\w.+-]{1,40}$/.test(kind) ? [`TERM=${kind}`] : []),
  ].join(' ');
}

/** The terminal hands keys over one by one until this is disposed of. `last`: the last byte that was printed. */
export function rawTerminal(last: () => number | undefined): Disposable {
  const { stdin, stdout } = process;
  const restore = (): void => {
    stdin.setRawMode(false);
    stdout.write((last() ?? LINE_FEED) === LINE_FEED ? RESET : `${RESET}\n`);
  };
  // Whatever ends the process, an exception included.
  process.once('exit', restore);
  stdin.setRawMode(true);
  return {
    [Symbol.dispose]() {
      process.off('exit', restore);
      restore();
    },
  };
}

/** Connects terminal and console. `left` resolves at Ctrl-]; disposing gives the terminal back. */
export function attachTerminal(console: GuestConsole): Disposable & { readonly left: Promise<void> } {
  const { stdin, stdout } = process;
  let last: number | undefined = LINE_FEED;
  const restore = (): void => {
    stdin.setRawMode(false);
    stdout.write(last === LINE_FEED ? RESET : `${RESET}\n`);
  };
  let leave: () => void = () => {};
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const onKeys = (keys: Buffer): void => {
    const at = keys.indexOf(LEAVE);
    console.write(at < 0 ? keys : keys.subarray(0, at));
    if (at >= 0) leave();
  };
  const output = console.onOutput((bytes) => {
    last = bytes.at(-1);
    stdout.write(bytes);
  });
  // Whatever ends the process, an exception included.
  process.once('exit', restore);
  stdin.setRawMode(true);
  stdin.on('data', onKeys);
  stdin.once('end', leave);
  stdin.resume();
  return {
    left,
    [Symbol.dispose]() {
      output[Symbol.dispose]();
      stdin.off('data', onKeys);
      stdin.off('end', leave);
      stdin.pause();
      process.off('exit', restore);
      restore();
    },
  };
}
