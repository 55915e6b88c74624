// The commands on the XenStore of a domain, after Xen's own tools: what they print, and how they exit.

import { type StoreValueJson, storeValueBytes } from '../control/store-value.ts';
import { type ControlClient, ControlCommandError } from '../node/control-client.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { formatEntry, joinStorePath, quoteValue, type StoreEntry } from '../xen/store/format-store.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import type { ControlImplementation } from './control-commands.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { numberArgument } from './number-argument.ts';
import { openDomain } from './open-domain.ts';
import { unquoteValue } from './store-text.ts';

/** Columns of a line where there is no terminal, and those that a terminal keeps free. */
const DEFAULT_WIDTH = 80;
const MARGIN = 2;

interface StoreWork {
  readonly client: ControlClient;
  readonly invocation: Invocation;
  readonly io: CommandIo;
  /** The arguments after the domain. */
  readonly words: readonly string[];
  readonly has: (option: string) => boolean;
}

const onStore =
  (work: (context: StoreWork) => Promise<number | undefined>): ControlImplementation =>
  async (invocation, io) => {
    const [domain, ...words] = invocation.positionals;
    using client = await openDomain(domain as string, io);
    const has = (option: string): boolean => invocation.options.has(option);
    return (await work({ client, invocation, io, words, has })) ?? EXIT_CODE.ok;
  };

/** Says what could not be done, in the words of Xen's tools, and why. */
async function attempt<T>(failure: string, work: Promise<unknown>): Promise<T> {
  try {
    return (await work) as T;
  } catch (error) {
    if (!(error instanceof ControlCommandError) || error.class !== 'StoreError') throw error;
    const hint = error.errno === 'ENOENT' ? '; `dom1 xenstore-ls` shows what there is' : '';
    throw new ControlCommandError(error.class, `${failure} ${error.message}${hint}`, error.errno);
  }
}

const bytesOf = (value: StoreValueJson): Uint8Array => storeValueBytes(value);

const read = onStore(async ({ client, io, words, has }) => {
  const json: object[] = [];
  for (const path of words) {
    const value = await attempt<StoreValueJson>('could not read', client.execute('xenstore-read', { path }));
    json.push({ path, ...value });
    if (has('json')) continue;
    const bytes = bytesOf(value);
    if (has('prefix')) io.out(`${path}: `);
    if (has('raw')) io.out(bytes);
    else io.out(`${quoteValue(bytes)}\n`);
  }
  if (has('json')) printJson(io, json);
});

const write: ControlImplementation = (invocation, io) => {
  const words = invocation.positionals.slice(1);
  if (words.length % 2 === 1) throw new UsageError(`the path ${words.at(-1)} has no value; write path value path value`);
  const raw = invocation.options.has('raw');
  const nodes = words.flatMap((path, i) => (i % 2 === 0 ? [{ path, bytes: valueBytes(words[i + 1] as string, raw) }] : []));
  return onStore(async ({ client }) => {
    const hex = nodes.map(({ bytes }) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(''));
    await attempt('could not write', client.execute('xenstore-write-all', { paths: nodes.map(({ path }) => path), hex }));
  })(invocation, io);
};

const valueBytes = (text: string, raw: boolean): Uint8Array => (raw ? new TextEncoder().encode(text) : unquoteValue(text));

const list = onStore(async ({ client, io, words, has }) => {
  const all: string[] = [];
  for (const path of words) {
    const names = await attempt<readonly string[]>('could not list', client.execute('xenstore-list', { path }));
    for (const name of names) {
      const shown = has('prefix') ? joinStorePath(path, `/${name}`) : name;
      all.push(shown);
      if (!has('json')) io.out(`${shown}\n`);
    }
  }
  if (has('json')) printJson(io, all);
});

const ls = onStore(async ({ client, io, words, has }) => {
  const json: object[] = [];
  for (const top of words.length === 0 ? ['/'] : words) {
    const found = await attempt<readonly (StoreValueJson & Pick<StoreEntry, 'path' | 'permissions'>)[]>(
      'could not list',
      client.execute('xenstore-ls', { path: top }),
    );
    if (has('json')) {
      json.push(...found.map((entry) => ({ ...entry, path: joinStorePath(top, entry.path) })));
      continue;
    }
    const entries = found.map((entry) => ({ ...entry, value: bytesOf(entry) }));
    const width = io.columns === undefined ? DEFAULT_WIDTH : io.columns - MARGIN;
    const style = { top, flat: has('flat'), permissions: has('permissions'), width };
    const lines = entries.map((entry) => formatEntry(entry, style));
    io.out(lines.map((line) => `${line}\n`).join(''));
  }
  if (has('json')) printJson(io, json);
});

const remove = onStore(async ({ client, words, has }) => {
  for (const path of words) await attempt('could not remove', client.execute('xenstore-rm', { path, tidy: has('tidy') }));
});

const exists = onStore(async ({ client, words }) => {
  for (const path of words) if ((await client.execute('xenstore-exists', { path })) !== true) return EXIT_CODE.refused;
  return EXIT_CODE.ok;
});

const chmod = onStore(async ({ client, words: [path = '', ...permissions], has }) => {
  const set = (node: string): Promise<unknown> =>
    attempt('could not set the permissions of', client.execute('xenstore-chmod', { path: node, permissions }));
  await set(path);
  if (has('upto')) for (let up = path.lastIndexOf('/'); up > 0; up = path.lastIndexOf('/', up - 1)) await set(path.slice(0, up));
  if (!has('recurse')) return;
  const below = await attempt<readonly { readonly path: string }[]>('could not list', client.execute('xenstore-ls', { path }));
  for (const entry of below) await set(joinStorePath(path, entry.path));
});

const watch: ControlImplementation = (invocation, io) => {
  const text = optionValue(invocation, 'number');
  const limit = text === undefined ? Number.POSITIVE_INFINITY : numberArgument(text, 'count', { min: 1 });
  return onStore(async ({ client, words }) => {
    let seen = 0;
    const enough = new Promise<'enough'>((resolve) => {
      client.onEvent(({ event, data }) => {
        if (event !== 'XENSTORE_WATCH' || seen >= limit) return;
        const path = data['path'] as string;
        io.out(`${invocation.options.has('json') ? JSON.stringify({ path }) : path}\n`);
        if (++seen >= limit) resolve('enough');
      });
    });
    const ended = client.closed.then(() => 'ended' as const);
    const watching = (async (): Promise<never> => {
      for (const path of words) await attempt('could not watch', client.execute('xenstore-watch', { path }));
      return new Promise<never>(() => {});
    })();
    // Which of them wins, the others may fail later.
    watching.catch(() => {});
    if ((await Promise.race([enough, ended, watching])) === 'enough') return;
    const name = invocation.positionals[0] as string;
    throw new ControlConnectionError('ended', `the domain ${name} has ended`, 'see `dom1 list` for those that run');
  })(invocation, io);
};

export const STORE_IMPLEMENTATIONS: Readonly<Record<string, ControlImplementation>> = {
  'xenstore-ls': ls,
  'xenstore-read': read,
  'xenstore-write': write,
  'xenstore-list': list,
  'xenstore-rm': remove,
  'xenstore-exists': exists,
  'xenstore-watch': watch,
  'xenstore-chmod': chmod,
};
