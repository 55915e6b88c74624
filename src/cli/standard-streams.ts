// The guest's console on stdin and stdout where there is no terminal.
import type { GuestConsole } from '../machine/guest-console.ts';

/** When to offer again what a guest did not take, in milliseconds. */
const RETRY = 20;

/** Prints what the guest prints, and types what comes on stdin unless that is a terminal. Disposing ends both. */
export function attachStreams(console: GuestConsole): Disposable {
  const { stdin, stdout } = process;
  const output = console.onOutput((bytes) => stdout.write(bytes));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const type = (bytes: Buffer): void => {
    const rest = bytes.subarray(console.write(bytes));
    if (rest.length === 0) return void stdin.resume();
    stdin.pause();
    timer = setTimeout(() => type(rest), RETRY);
  };
  const typing = stdin.isTTY !== true;
  if (typing) stdin.on('data', type);
  return {
    [Symbol.dispose]() {
      output[Symbol.dispose]();
      clearTimeout(timer);
      if (!typing) return;
      stdin.off('data', type);
      stdin.pause();
      stdin.unref?.();
    },
  };
}
