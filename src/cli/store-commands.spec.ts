// The XenStore commands, against a store of a map behind a real socket.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { type ServedControl, serveControl } from '../node/serve-control.ts';
import { formatPermission } from '../xen/store/permissions.ts';
import { type Run, runWords } from './fixtures/run-words.ts';

let parent: string;
let directory: string;
let web: FakeTarget;
let served: ServedControl;

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-store-'));
  directory = join(parent, 'dom1');
  web = new FakeTarget({ name: 'web' });
  served = await serveControl(web, { directory, version: '0.1.0' });
});
afterEach(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(parent, { recursive: true });
});

const dom1 = (
  words: string | readonly string[],
  options: { columns?: number; onOut?: (text: string) => void } = {},
): Promise<Run> => runWords(typeof words === 'string' ? words.split(' ') : words, { directory, ...options });
const ok = (stdout: string): Run => ({ code: 0, stdout, stderr: '' });
const valueOfNode = (path: string): string | undefined => web.xenstore.read(path);

describe('xenstore-read', () => {
  it('prints values, with their paths when asked to', async () => {
    expect(await dom1('xenstore-read web name data/greeting')).toEqual(ok('web\nhello\n'));
    expect(await dom1('xenstore-read web -p /local/domain/1/name')).toEqual(ok('/local/domain/1/name: web\n'));
  });

  it('escapes what is not printable, unless told not to', async () => {
    web.xenstore.write('/local/domain/1/raw', Uint8Array.of(0x61, 0x0a, 0x00, 0xff));
    expect(await dom1('xenstore-read web raw')).toEqual(ok('a\\n\\000\\xff\n'));
    web.xenstore.write('/local/domain/1/raw', new TextEncoder().encode('a\n\x1b'));
    expect(await dom1('xenstore-read web -R raw')).toEqual(ok('a\n\x1b'));
  });

  it('exits with 1 when there is no such node', async () => {
    expect(await dom1('xenstore-read web name nope')).toEqual({
      code: 1,
      stdout: 'web\n',
      stderr: 'dom1: could not read nope: there is no such node (ENOENT); `dom1 xenstore-ls` shows what there is\n',
    });
  });
});

describe('xenstore-write', () => {
  it('sets values, several of them too, with escapes', async () => {
    expect(await dom1('xenstore-write web data/a 1 /tool/b two\\n')).toEqual(ok(''));
    expect([valueOfNode('/local/domain/1/data/a'), valueOfNode('/tool/b')]).toEqual(['1', 'two\n']);
    await dom1('xenstore-write web -R data/a \\n');
    expect(valueOfNode('/local/domain/1/data/a')).toBe('\\n');
  });

  it('takes values that begin with a dash, and empty ones', async () => {
    expect(await dom1('xenstore-write web -- data/a -1')).toEqual(ok(''));
    expect(valueOfNode('/local/domain/1/data/a')).toBe('-1');
    await dom1(['xenstore-write', 'web', 'data/a', '']);
    expect(valueOfNode('/local/domain/1/data/a')).toBe('');
  });

  it('writes nothing when the command line is wrong', async () => {
    const before = web.xenstore.store.root;
    expect(await dom1('xenstore-write web a')).toMatchObject({ code: 64, stderr: expect.stringContaining('needs a value') });
    expect(await dom1('xenstore-write web a 1 b')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('the path b has no value'),
    });
    expect(await dom1('xenstore-write web a 1 b x\\')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('ends in a backslash'),
    });
    expect(web.xenstore.store.root).toBe(before);
  });

  it('exits with 1 when the store refuses', async () => {
    expect(await dom1('xenstore-write web // x')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('could not write //: '),
    });
  });
});

describe('xenstore-list', () => {
  it('prints the names of the children', async () => {
    expect(await dom1('xenstore-list web /local/domain/1')).toEqual(ok('name\ndata\ncontrol\n'));
    expect(await dom1('xenstore-list web -p data /')).toEqual(ok('data/greeting\n/tool\n/local\n'));
    expect(await dom1('xenstore-list web name')).toEqual(ok(''));
    expect(JSON.parse((await dom1('xenstore-list web data --json')).stdout)).toEqual(['greeting']);
  });
});

describe('xenstore-ls', () => {
  it('shows the tree from the root', async () => {
    expect((await dom1('xenstore-ls web')).stdout).toBe(
      [
        'tool = ""',
        ' xenstored = ""',
        'local = ""',
        ' domain = ""',
        '  1 = ""',
        '   name = "web"',
        '   data = ""',
        '    greeting = "hello"',
        '   control = ""',
        '    shutdown = ""',
        '',
      ].join('\n'),
    );
  });

  it('shows paths as they were asked for', async () => {
    expect(await dom1('xenstore-ls web -f data')).toEqual(ok('data/greeting = "hello"\n'));
    expect(await dom1('xenstore-ls web -fp /local/domain/1/data')).toEqual(
      ok('/local/domain/1/data/greeting = "hello"   (n0)\n'),
    );
    expect(JSON.parse((await dom1('xenstore-ls web data --json')).stdout)).toEqual([
      { path: 'data/greeting', value: 'hello', permissions: ['n0'] },
    ]);
  });

  it('cuts values at the width of the terminal', async () => {
    web.xenstore.write('/local/domain/1/data/greeting', new TextEncoder().encode('x'.repeat(60)));
    expect(await dom1('xenstore-ls web data', { columns: 40 })).toEqual(ok(`greeting = "${'x'.repeat(22)}\\..."\n`));
    expect((await dom1('xenstore-ls web data')).stdout).toContain('x'.repeat(60));
  });

  it('exits with 1 when there is no such node', async () => {
    expect(await dom1('xenstore-ls web nope')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('(ENOENT)'),
    });
  });
});

describe('xenstore-rm', () => {
  it('removes a node with all below it, and empty parents when asked to', async () => {
    expect(await dom1('xenstore-rm web data')).toEqual(ok(''));
    expect(web.xenstore.exists('/local/domain/1/data/greeting')).toBe(false);
    expect(await dom1('xenstore-rm web -t control/shutdown')).toEqual(ok(''));
    expect(web.xenstore.exists('/local/domain/1/control')).toBe(false);
    expect(await dom1('xenstore-rm web data/x')).toMatchObject({ code: 1 });
  });
});

describe('xenstore-exists', () => {
  it('says it with its exit code alone', async () => {
    expect(await dom1('xenstore-exists web name data')).toEqual(ok(''));
    expect(await dom1('xenstore-exists web name nope')).toEqual({ code: 1, stdout: '', stderr: '' });
  });
});

describe('xenstore-chmod', () => {
  const permissions = (path: string): string => web.xenstore.permissions(path).map(formatPermission).join(' ');

  it('sets permissions, of parents and children too when asked to', async () => {
    for (const domid of [2, 3]) web.xenstore.store.addDomain(domid);
    expect(await dom1('xenstore-chmod web data n1 r0')).toEqual(ok(''));
    expect(permissions('/local/domain/1/data')).toBe('n1 r0');
    expect(permissions('/local/domain/1/data/greeting')).toBe('n0');
    expect(await dom1('xenstore-chmod web -r /local b2')).toEqual(ok(''));
    expect(permissions('/local/domain/1/data/greeting')).toBe('b2');
    expect(await dom1('xenstore-chmod web -u data/greeting w3')).toEqual(ok(''));
    expect([permissions('/local/domain/1/data/greeting'), permissions('/local/domain/1/data')]).toEqual(['w3', 'w3']);
    expect(permissions('/local/domain/1')).toBe('b2');
  });

  it('refuses what is no permission', async () => {
    expect(await dom1('xenstore-chmod web data x1')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"x1" is no permission'),
    });
    expect(await dom1('xenstore-chmod web data')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining('needs a permission'),
    });
  });
});

describe('xenstore-watch', () => {
  it('prints what changes, the first time at once, and ends after a number of events', async () => {
    const run = dom1('xenstore-watch web -n 3 data', {
      onOut(text) {
        if (text === 'data\n') web.xenstore.write('/local/domain/1/data/x/y', '');
        else if (text === 'data\ndata/x/y\n') web.xenstore.remove('/local/domain/1/data/x');
      },
    });
    expect(await run).toEqual(ok('data\ndata/x/y\ndata/x\n'));
    await expect.poll(() => web.xenstore.watches.length).toBe(0);
  });

  it('watches several paths', async () => {
    expect(await dom1('xenstore-watch web -n 2 name /tool')).toEqual(ok('name\n/tool\n'));
  });

  it('takes a count of at least 1', async () => {
    expect(await dom1('xenstore-watch web -n 0 data')).toMatchObject({
      code: 64,
      stderr: "dom1: '0' is no count; give a number from 1 to 4294967295\n",
    });
  });

  it('ends with an error when the domain ends', async () => {
    const run = dom1('xenstore-watch web data', {
      onOut: () => void web.end('destroyed', { reason: 'destroyed', retired: 0 }),
    });
    expect(await run).toEqual({
      code: 65,
      stdout: 'data\n',
      stderr: 'dom1: the domain web has ended; see `dom1 list` for those that run\n',
    });
  });
});
