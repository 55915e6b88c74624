// The console through the monitor.
import { describe, expect, it } from 'vitest';
import { FakeConsole, FakeTarget } from '../fixtures/fake-target.ts';
import { ControlSession } from '../session.ts';
import { ByteHistory, HISTORY_BYTES } from './byte-history.ts';
import { ConsoleHub } from './console-hub.ts';
import { ConsoleHubs, type FurtherConsole } from './console-hubs.ts';

type Message = Readonly<Record<string, unknown>>;

class Client {
  readonly sent: Message[] = [];
  readonly session: ControlSession;
  ready = true;

  constructor(target: FakeTarget, hub: ConsoleHub, log?: ByteHistory, consoles?: ConsoleHubs) {
    this.session = new ControlSession({
      target,
      version: '0.1.0',
      nowMs: () => 0,
      host: { console: hub, ...(log !== undefined && { log }), ...(consoles !== undefined && { consoles }) },
      peer: { send: (line) => this.sent.push(JSON.parse(line) as Message), ready: () => this.ready },
    });
  }

  async execute(execute: string, given: object = {}): Promise<Message> {
    this.session.receive(new TextEncoder().encode(`${JSON.stringify({ execute, arguments: given, id: 'x' })}\n`));
    await this.session.idle;
    return this.sent.findLast(({ id }) => id === 'x') as Message;
  }

  /** Everything that came from the console. */
  get output(): string {
    return this.#events.map(({ data }) => Buffer.from(data.data, 'base64').toString()).join('');
  }
  outputOf(console: number | undefined): string {
    const events = this.#events.filter(({ data }) => data.console === console);
    return events.map(({ data }) => Buffer.from(data.data, 'base64').toString()).join('');
  }
  get lost(): number {
    return this.#events.reduce((sum, { data }) => sum + (data.lost ?? 0), 0);
  }
  get #events(): { data: { data: string; lost?: number; console?: number } }[] {
    return this.sent.filter(({ event }) => event === 'CONSOLE_OUTPUT') as never;
  }
}

const setUp = () => {
  const target = new FakeTarget();
  const hub = new ConsoleHub(target.console);
  return { target, hub, attach: () => new Client(target, hub) };
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('the console', () => {
  it('shows each client what was printed before and after it came', async () => {
    const { target, attach } = setUp();
    target.console.print('one ');
    const [first, second, third] = [attach(), attach(), attach()];
    await first.execute('console-attach');
    await second.execute('console-attach', { history: false });
    target.console.print('two ');
    expect([first.output, second.output, third.output]).toEqual(['one two ', 'two ', '']);
    await first.execute('console-detach');
    target.console.print('three');
    expect([first.output, second.output]).toEqual(['one two ', 'two three']);
    expect(await third.execute('console-history')).toMatchObject({ return: { data: base64('one two three') } });
    expect(await third.execute('query-console')).toMatchObject({ return: { clients: 1, printed: 13, attached: false } });
  });

  it('is typed into, as much as the guest takes', async () => {
    const { target, attach } = setUp();
    const client = attach();
    expect(await client.execute('console-write', { data: base64('ls\n') })).toMatchObject({ return: { taken: 3 } });
    target.console.room = 2;
    expect(await client.execute('console-write', { data: base64('pwd') })).toMatchObject({ return: { taken: 2 } });
    expect(target.console.typed).toBe('ls\npw');
    expect(await client.execute('console-write', { data: '?' })).toMatchObject({ error: { class: 'InvalidArgument' } });
  });

  it('can be had alone, until its client goes', async () => {
    const { target, attach } = setUp();
    const [one, other] = [attach(), attach()];
    await one.execute('console-attach', { exclusive: true });
    expect(await other.execute('console-attach', { exclusive: true })).toMatchObject({
      error: { desc: 'another client has the console for itself' },
    });
    await other.execute('console-attach');
    expect(await other.execute('console-write', { data: base64('x') })).toMatchObject({ error: { class: 'GenericError' } });
    target.console.print('shown');
    expect(other.output).toBe('shown');
    one.session[Symbol.dispose]();
    expect(await other.execute('console-write', { data: base64('x') })).toMatchObject({ return: { taken: 1 } });
  });

  it('tells others the size of a terminal', async () => {
    const { attach } = setUp();
    const [one, other] = [attach(), attach()];
    await one.execute('console-attach');
    await other.execute('console-attach');
    await one.execute('console-resize', { columns: 100, rows: 30 });
    expect(other.sent).toContainEqual(expect.objectContaining({ event: 'CONSOLE_RESIZE', data: { columns: 100, rows: 30 } }));
    expect(one.sent).not.toContainEqual(expect.objectContaining({ event: 'CONSOLE_RESIZE' }));
    expect(await other.execute('query-console')).toMatchObject({ return: { columns: 100, rows: 30 } });
  });

  it('does not pile up for a client that does not read: it misses bytes, and is told how many', async () => {
    const { target, attach } = setUp();
    const client = attach();
    await client.execute('console-attach');
    client.ready = false;
    for (let i = 0; i < 100; i++) target.console.print('x'.repeat(10_000));
    target.console.print('end');
    expect(client.output).toBe('');
    client.ready = true;
    client.session.drained();
    expect(client.output).toHaveLength(HISTORY_BYTES);
    expect(client.output).toMatch(/xend$/);
    expect(client.lost).toBe(1_000_003 - HISTORY_BYTES);
  });

  it('shows the last words before the end', async () => {
    const { target, attach } = setUp();
    const client = attach();
    await client.execute('console-attach');
    client.ready = false;
    target.console.print('Power down.');
    target.end('shutdown', { reason: 'poweroff', retired: 1 });
    await client.session.ended;
    expect(client.output).toBe('Power down.');
    expect(client.sent.at(-1)).toMatchObject({ event: 'SHUTDOWN' });
  });

  it('outlives the guest', async () => {
    const { target, hub, attach } = setUp();
    const client = attach();
    await client.execute('console-attach');
    target.console.print('first;');
    const next = new FakeConsole();
    hub.connect(next);
    target.console.print('gone');
    next.print('second');
    expect(client.output).toBe('first;second');
    await client.execute('console-write', { data: base64('y') });
    expect([target.console.typed, next.typed]).toEqual(['', 'y']);
  });
});

describe('further consoles', () => {
  const setUpSecond = () => {
    const target = new FakeTarget();
    const consoles = new Map<number, FurtherConsole>();
    const second = new FakeConsole();
    consoles.set(2, { console: second, channel: 'org.x.agent' });
    const hubs = new ConsoleHubs(() => consoles);
    const hub = new ConsoleHub(target.console);
    return { target, consoles, second, client: new Client(target, hub, undefined, hubs) };
  };

  it('are attached, typed into and left by their numbers', async () => {
    const { target, second, client } = setUpSecond();
    second.print('before ');
    await client.execute('console-attach', { console: 2 });
    await client.execute('console-attach');
    second.print('after');
    target.console.print('primary');
    expect(client.outputOf(2)).toBe('before after');
    expect(client.outputOf(undefined)).toBe('primary');
    await client.execute('console-write', { console: 2, data: base64('ls') });
    expect([second.typed, target.console.typed]).toEqual(['ls', '']);
    await client.execute('console-detach', { console: 2 });
    second.print(' unheard');
    target.console.print(' still');
    expect([client.outputOf(2), client.outputOf(undefined)]).toEqual(['before after', 'primary still']);
    expect(await client.execute('console-history', { console: 2 })).toMatchObject({
      return: { data: base64('before after unheard') },
    });
  });

  it('are listed, and come and go', async () => {
    const { target, consoles, client } = setUpSecond();
    target.xenstore.write('/local/domain/1/console/tty', '/dev/pts/8');
    const list = async () => (await client.execute('query-consoles'))['return'] as object[];
    expect(await list()).toMatchObject([
      { console: 0, type: 'pv', tty: '/dev/pts/8', attached: false },
      { console: 2, name: 'org.x.agent', clients: 0, printed: 0 },
    ]);
    const hot = new FakeConsole();
    consoles.set(1, { console: hot, tty: '/dev/pts/9' });
    consoles.delete(2);
    expect(await list()).toMatchObject([{ console: 0 }, { console: 1, tty: '/dev/pts/9' }]);
    expect(await client.execute('console-attach', { console: 2 })).toMatchObject({
      error: { desc: 'the domain has no console 2' },
    });
  });

  it('outlive the guest', async () => {
    const { consoles, second, client } = setUpSecond();
    await client.execute('console-attach', { console: 2 });
    second.print('one ');
    const next = new FakeConsole();
    consoles.set(2, { console: next });
    await client.execute('query-consoles');
    second.print('gone');
    next.print('two');
    expect(client.outputOf(2)).toBe('one two');
  });
});

it("the hypervisor's log is told, and forgotten when asked to", async () => {
  const { target, hub } = setUp();
  const log = new ByteHistory();
  const client = new Client(target, hub, log);
  log.append(new TextEncoder().encode('(d1) hello\n'));
  expect(await client.execute('query-log', { clear: true })).toMatchObject({ return: { data: base64('(d1) hello\n') } });
  expect(await client.execute('query-log')).toMatchObject({ return: { data: '' } });
});
