// `dom1 console`: a guest's console on the person's terminal, or in pipes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlClient } from '../node/control-client.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { textColumns } from '../util/text-columns.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { numberArgument } from './number-argument.ts';
import { openDomain } from './open-domain.ts';
import { onTerminal, rawTerminal } from './terminal.ts';

/** Bytes of one request to type. */
const CHUNK = 4096;
/** When to offer again what a guest did not take, in milliseconds. */
const RETRY = 20;
const MAX_NUMBER = 0xffff;
/** Ctrl-], the key of `xl console` and telnet. */
const LEAVE = 0x1d;

export interface AttachOptions {
  /** Which console; default 0, the primary one. */
  readonly number?: number;
  /** Begin with what was printed before. */
  readonly history?: boolean;
  /** Nobody else may type. */
  readonly exclusive?: boolean;
}

export async function consoleCommand(invocation: Invocation, io: CommandIo): Promise<number> {
  const { positionals, options } = invocation;
  const name = positionals[0] as string;
  const number = consoleNumber(invocation);
  if (options.has('list')) return await listConsoles(name, io);
  if (options.has('history')) {
    using client = await openDomain(name, io);
    const { data } = (await client.execute('console-history', which(number))) as { readonly data: string };
    io.out(Buffer.from(data, 'base64'));
    return EXIT_CODE.ok;
  }
  await attachConsole(name, io, { number, history: !options.has('no-history'), exclusive: options.has('exclusive') });
  return EXIT_CODE.ok;
}

/** @throws UsageError */
function consoleNumber(invocation: Invocation): number {
  const type = optionValue(invocation, 'type') ?? 'pv';
  if (type !== 'pv') throw new UsageError(`there are no consoles of the type '${type}'; use pv`);
  return numberArgument(optionValue(invocation, 'num') ?? '0', 'number of a console', { max: MAX_NUMBER });
}

/** What the monitor is told of the console; nothing of the primary one. */
const which = (number: number): { readonly console?: number } => (number === 0 ? {} : { console: number });

async function listConsoles(name: string, io: CommandIo): Promise<number> {
  using client = await openDomain(name, io);
  const consoles = (await client.execute('query-consoles')) as readonly ConsoleInfo[];
  const rows = consoles.map(({ console: number, type, clients, printed, tty = '-', name: channel = '-' }) => [
    String(number),
    type,
    String(clients),
    String(printed),
    tty,
    channel,
  ]);
  io.out(`${textColumns([['Number', 'Type', 'Clients', 'Printed', 'TTY', 'Channel'], ...rows]).join('\n')}\n`);
  return EXIT_CODE.ok;
}

interface ConsoleInfo {
  readonly console: number;
  readonly type: string;
  readonly clients: number;
  readonly printed: number;
  readonly tty?: string;
  readonly name?: string;
}

/** Connects terminal or pipes and console, until the domain ends or, on a terminal, until Ctrl-]. */
export async function attachConsole(name: string, io: CommandIo, options: AttachOptions): Promise<void> {
  using client = await openDomain(name, io);
  const { domain } = await client.greeting;
  const { number = 0 } = options;
  let last: number | undefined;
  const ended = new Promise<'ended'>((resolve) => {
    client.onEvent(({ event, data }) => {
      if (event === 'CONSOLE_OUTPUT' && (data['console'] ?? 0) === number) {
        const bytes = Buffer.from(String(data['data']), 'base64');
        last = bytes.at(-1) ?? last;
        io.out(bytes);
      } else if (event === 'SHUTDOWN' && (data['action'] === undefined || data['action'] === 'preserve')) resolve('ended');
    });
    void client.closed.then(() => resolve('ended'));
  });
  const interactive = io.input === process.stdin && onTerminal();
  if (interactive) process.stderr.write(`dom1: Ctrl-] leaves the console of ${domain.name}\n`);
  const { history = true, exclusive = false } = options;
  await client.execute('console-attach', { ...which(number), history, exclusive });
  let how: 'left' | 'ended';
  {
    using _ = interactive ? rawTerminal(() => last) : undefined;
    using typing = typeInto(client, number, io, interactive);
    using _size = interactive ? tellSize(client, number) : undefined;
    how = await Promise.race([ended, typing.left]);
  }
  const again = `dom1 console ${domain.name}${number === 0 ? '' : ` -n ${number}`}`;
  if (how === 'left') process.stderr.write(`dom1: left the console; ${domain.name} goes on: ${again}\n`);
}

/** Types what comes on the input, in order, and no faster than the guest reads. */
function typeInto(
  client: ControlClient,
  number: number,
  io: CommandIo,
  interactive: boolean,
): Disposable & { readonly left: Promise<'left'> } {
  let leave: (how: 'left') => void = () => {};
  const left = new Promise<'left'>((resolve) => {
    leave = resolve;
  });
  let over = false;
  const type = async (bytes: Buffer): Promise<void> => {
    for (let at = 0; at < bytes.length && !over; ) {
      const data = bytes.subarray(at, at + CHUNK).toString('base64');
      const { taken } = (await client.execute('console-write', { ...which(number), data })) as { readonly taken: number };
      at += taken;
      if (taken === 0) await sleep(RETRY, undefined, { ref: false });
    }
  };
  const onData = (chunk: Buffer | string): void => {
    const keys = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    const at = interactive ? keys.indexOf(LEAVE) : -1;
    io.input.pause();
    type(at < 0 ? keys : keys.subarray(0, at))
      .catch((error: unknown) => {
        // Somebody else has it alone, which is no reason to see nothing; or the domain has ended.
        if (!(error instanceof ControlConnectionError)) process.stderr.write(`dom1: ${(error as Error).message}\n`);
      })
      .finally(() => {
        if (at >= 0) leave('left');
        else if (!over) io.input.resume();
      });
  };
  io.input.on('data', onData);
  // A terminal that is gone; the end of a pipe is only the end of what is typed.
  const onEnd = (): void => void (interactive && leave('left'));
  io.input.once('end', onEnd);
  return {
    left,
    [Symbol.dispose]() {
      over = true;
      io.input.off('data', onData);
      io.input.off('end', onEnd);
      io.input.pause();
      if (io.input === process.stdin) process.stdin.unref?.();
    },
  };
}

function tellSize(client: ControlClient, number: number): Disposable {
  const tell = (): void => {
    const { columns, rows } = process.stdout;
    if (columns > 0 && rows > 0) client.execute('console-resize', { ...which(number), columns, rows }).catch(() => {});
  };
  tell();
  process.stdout.on('resize', tell);
  return { [Symbol.dispose]: () => void process.stdout.off('resize', tell) };
}
