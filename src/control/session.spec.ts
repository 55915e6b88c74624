import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL_COMMANDS } from './command-table.ts';
import { FakeTarget } from './fixtures/fake-target.ts';
import { TestSession } from './fixtures/test-session.ts';
import { MAX_LINE_BYTES } from './line-splitter.ts';

describe('a connection', () => {
  it('begins with a greeting', () => {
    using session = new TestSession(new FakeTarget({ id: 3, name: 'db' }));
    expect(session.sent).toEqual([
      {
        dom1: {
          version: { major: 0, minor: 1, micro: 0, package: '0.1.0' },
          domain: { id: 3, domid: 3, name: 'db', uuid: '12345678-9abc-4def-8123-456789abcdef' },
          capabilities: [],
        },
      },
    ]);
  });

  it('gives the id of a request back, whatever kind it has', async () => {
    using session = new TestSession();
    for (const id of ['a', 7, 0, true, null, ''])
      expect(await session.raw(`{"execute":"query-name","id":${JSON.stringify(id)}}\n`)).toEqual([
        { return: { name: 'web' }, id },
      ]);
    expect(await session.raw('{"execute":"nope","id":5}\n')).toMatchObject([{ error: { class: 'CommandNotFound' }, id: 5 }]);
    expect(await session.raw('{"id":6}\n')).toMatchObject([{ error: { class: 'BadRequest' }, id: 6 }]);
  });

  it('answers in the order of the requests, however the bytes are cut', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `{"execute":"${i % 3 === 0 ? 'stop' : 'query-name'}","id":${i}}\r\n`).join(
      '',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), async (cuts) => {
        using session = new TestSession();
        const bytes = new TextEncoder().encode(lines);
        for (let at = 0, i = 0; at < bytes.length; at += cuts[i++ % cuts.length] as number)
          session.session.receive(bytes.subarray(at, at + (cuts[i % cuts.length] as number)));
        await session.session.idle;
        const ids = session.sent.filter((message) => 'id' in message).map(({ id }) => id);
        expect(ids).toEqual(Array.from({ length: 40 }, (_, i) => i));
      }),
      { numRuns: 30 },
    );
  });

  it('asks the peer to hold back while many requests wait, and to go on after', async () => {
    using session = new TestSession();
    await session.raw('{"execute":"query-name"}\n'.repeat(100));
    expect(session.holds).toEqual([true, false]);
    expect(session.sent).toHaveLength(101);
  });

  it('says nothing any more once it is disposed of', async () => {
    const session = new TestSession();
    await session.execute('xenstore-watch', { path: 'data' });
    session[Symbol.dispose]();
    const before = session.sent.length;
    session.target.xenstore.write('/local/domain/1/data/x', new Uint8Array());
    await session.target.pause();
    await session.execute('query-name');
    expect(session.sent).toHaveLength(before);
    expect(session.target.xenstore.watches.length).toBe(0);
    expect(session.target.listeners.size).toBe(0);
  });
});

describe('a wrong request', () => {
  it.each([
    ['{', 'BadRequest', /one line of JSON/],
    ['[]', 'BadRequest', /is an object/],
    ['null', 'BadRequest', /is an object/],
    ['{}', 'BadRequest', /names its command/],
    ['{"execute":5}', 'BadRequest', /names its command/],
    ['{"execute":"stop","id":{}}', 'BadRequest', /id of a request/],
    ['{"exec-oob":"stop","execute":"stop"}', 'BadRequest', /but not "exec-oob"/],
    ['{"execute":"sotp"}', 'CommandNotFound', /no command "sotp"; query-commands/],
    ['{"execute":"constructor"}', 'CommandNotFound', /no command "constructor"/],
    ['{"execute":"stop","arguments":[]}', 'InvalidArgument', /must be an object/],
    ['{"execute":"stop","arguments":{"x":1}}', 'InvalidArgument', /has no argument "x"; it takes none/],
    ['{"execute":"stop","arguments":{"__proto__":1}}', 'InvalidArgument', /has no argument "__proto__"/],
    ['{"execute":"xen-event-inject"}', 'InvalidArgument', /needs port: an integer from 0 to 4294967295/],
    ['{"execute":"xen-event-inject","arguments":{"port":"1"}}', 'InvalidArgument', /needs port: an integer/],
    ['{"execute":"xen-event-inject","arguments":{"port":1.5}}', 'InvalidArgument', /needs port: an integer/],
    ['{"execute":"xen-event-inject","arguments":{"port":-1}}', 'InvalidArgument', /needs port: an integer/],
    ['{"execute":"xen-shutdown","arguments":{"kind":"halt"}}', 'InvalidArgument', /one of poweroff, reboot, suspend/],
    ['{"execute":"xenstore-chmod","arguments":{"path":"a","permissions":[1]}}', 'InvalidArgument', /a list of strings/],
    ['{"execute":"xenstore-rm","arguments":{"path":"a","tidy":"yes"}}', 'InvalidArgument', /true or false/],
  ])('%s', async (line, kind, text) => {
    using session = new TestSession();
    const [reply, ...rest] = await session.raw(`${line}\n`);
    expect(reply).toMatchObject({ error: { class: kind, desc: expect.stringMatching(text) } });
    expect(rest).toEqual([]);
    expect(session.target.calls).toEqual([]);
  });

  it('that is too long is one error, and the next line is served', async () => {
    using session = new TestSession();
    expect(await session.raw('x'.repeat(3 * MAX_LINE_BYTES))).toHaveLength(1);
    const replies = await session.raw(`${'x'.repeat(MAX_LINE_BYTES)}\n{"execute":"query-name"}\n`);
    expect(replies).toEqual([{ return: { name: 'web' } }]);
    expect(session.sent[1]).toEqual({ error: { class: 'BadRequest', desc: 'a request has 65536 bytes at most' } });
    expect(session.sent).toHaveLength(3);
  });

  it('is always answered once a line and never ends the session', async () => {
    const names = CONTROL_COMMANDS.map(({ name }) => name).filter((name) => name !== 'quit');
    const argumentNames = [...new Set(CONTROL_COMMANDS.flatMap((command) => Object.keys(command.arguments)))];
    const request = fc.record(
      {
        execute: fc.oneof(fc.constantFrom(...names), fc.jsonValue()),
        arguments: fc.oneof(fc.dictionary(fc.constantFrom(...argumentNames), fc.jsonValue({ maxDepth: 1 })), fc.jsonValue()),
        id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const line = fc.oneof(
      request.map((value) => JSON.stringify(value)),
      fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/[\n\r]/g, ' ')),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
        using session = new TestSession();
        const messages = await session.raw(`${lines.join('\n')}\n`);
        const replies = messages.filter((message) => !('event' in message));
        // JSON's own notion of blanks is narrower than trim's; a line of exotic blanks may be skipped.
        expect(replies).toHaveLength(
          lines.filter((text) => new TextDecoder().decode(new TextEncoder().encode(text)).trim() !== '').length,
        );
        for (const reply of replies) expect('return' in reply !== 'error' in reply).toBe(true);
        expect(await session.execute('query-version')).toMatchObject([{ return: { package: '0.1.0' } }]);
      }),
      { numRuns: 300 },
    );
  });

  it('of any bytes does no harm', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), async (chunks) => {
        using session = new TestSession();
        for (const chunk of chunks) await session.raw(chunk);
        await session.raw('\n');
        for (const message of session.sent.slice(1)) expect(message).toMatchObject({ error: { class: 'BadRequest' } });
        expect(await session.execute('query-name')).toEqual([{ return: { name: 'web' } }]);
      }),
      { numRuns: 200 },
    );
  });
});

const timestamp = { seconds: 1_700_000_000, microseconds: 123_250 };

describe('events', () => {
  it('follow the state of the domain', async () => {
    using session = new TestSession();
    expect(await session.execute('stop')).toEqual([{ event: 'STOP', timestamp }, { return: {} }]);
    expect(await session.execute('stop')).toEqual([{ return: {} }]);
    expect(await session.execute('cont')).toEqual([{ event: 'RESUME', timestamp }, { return: {} }]);
    expect(await session.execute('system_reset')).toEqual([{ event: 'RESET', timestamp }, { return: {} }]);
    session.target.change('suspended');
    expect(session.sent.at(-1)).toEqual({ event: 'SUSPEND', timestamp });
    expect(await session.execute('system_wakeup', { cancelled: true })).toEqual([{ event: 'RESUME', timestamp }, { return: {} }]);
    expect(await session.execute('system_wakeup')).toMatchObject([
      { error: { class: 'WrongState', desc: 'the domain is running: it cannot be resumed' } },
    ]);
    expect(session.target.calls).toEqual(['pause', 'unpause', 'reset', 'resume cancelled']);
  });

  it('tell how the guest ended', async () => {
    using session = new TestSession();
    session.target.end('crashed', { reason: 'triple-fault', retired: 1 });
    await session.session.ended;
    expect(session.sent.slice(1)).toEqual([
      { event: 'GUEST_PANICKED', data: { reason: 'triple-fault' }, timestamp },
      { event: 'SHUTDOWN', data: { guest: true, reason: 'triple-fault' }, timestamp },
    ]);
    expect(await session.execute('stop')).toEqual([
      { error: { class: 'WrongState', desc: 'the domain is crashed: it cannot be paused' } },
    ]);
  });

  it('tell that the domain was destroyed, and quit has its reply', async () => {
    using session = new TestSession();
    const messages = await session.execute('quit');
    expect(messages).toContainEqual({ return: {} });
    expect(messages).toContainEqual({ event: 'SHUTDOWN', data: { guest: false, reason: 'destroyed' }, timestamp });
    expect(await session.execute('quit')).toEqual([{ return: {} }]);
    expect(session.target.calls).toEqual(['destroy']);
  });
});
