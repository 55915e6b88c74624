import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlConnectionError } from './control-error.ts';
import { isDomainName } from './domain-record.ts';
import { claimDomain, listDomains } from './domain-registry.ts';
import { defaultRuntimeDirectory, openRuntimeDirectory, requireUnixSockets } from './runtime-directory.ts';

let parent: string;
let directory: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-registry-'));
  directory = join(parent, 'dom1');
});
afterEach(() => rmSync(parent, { recursive: true }));

const refusal = (code: ControlConnectionError['code'], text: RegExp) =>
  expect.objectContaining({ name: 'ControlConnectionError', code, message: expect.stringMatching(text) });

/** A pid that was a process a moment ago. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

const record = (id: number, more: object = {}): void => {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const whole = { id, name: `old-${id}`, pid: deadPid(), started: '2026-01-01T00:00:00.000Z', key: `k${id}`, ...more };
  writeFileSync(join(directory, `${id}.json`), JSON.stringify(whole));
  writeFileSync(join(directory, `${id}.sock`), '');
};

describe('a claim', () => {
  it('takes the lowest free id, and gives it back', async () => {
    const one = await claimDomain({ directory, name: 'one' });
    await using two = await claimDomain({ directory });
    expect([one.record.id, two.record.id]).toEqual([1, 2]);
    expect(two.record.name).toBe('guest-2');
    await one[Symbol.asyncDispose]();
    await using three = await claimDomain({ directory, name: 'three' });
    expect(three.record.id).toBe(1);
    expect((await listDomains({ directory })).map(({ id, name }) => [id, name])).toEqual([
      [1, 'three'],
      [2, 'guest-2'],
    ]);
  });

  it('finds a name of its own where somebody has chosen guest-2', async () => {
    await using _ = await claimDomain({ directory, name: 'guest-2' });
    await using other = await claimDomain({ directory });
    expect([other.record.id, other.record.name]).toEqual([2, expect.stringMatching(/^guest-2-[0-9a-f]{16}$/)]);
  });

  it('leaves nothing behind', async () => {
    {
      await using claim = await claimDomain({ directory, name: 'web' });
      expect(readdirSync(directory)).toEqual([`${claim.record.id}.json`]);
      expect(JSON.parse(readFileSync(join(directory, '1.json'), 'utf8'))).toMatchObject({ id: 1, name: 'web', pid: process.pid });
    }
    expect(readdirSync(directory)).toEqual([]);
  });

  it('makes the directory for its owner alone', async () => {
    await using _ = await claimDomain({ directory });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  it('never shares an id or a name, however many claim at once', async () => {
    const names = ['a', 'a', 'a', 'b', 'b', undefined, undefined, undefined];
    const results = await Promise.allSettled(
      names.map((name) => claimDomain({ directory, ...(name !== undefined && { name }) })),
    );
    const claims = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const taken = claims.map((claim) => claim.record);
    expect(new Set(taken.map(({ id }) => id)).size).toBe(taken.length);
    expect(new Set(taken.map(({ name }) => name)).size).toBe(taken.length);
    expect(taken.filter(({ name }) => name === 'a' || name === 'b')).toHaveLength(2);
    expect(await listDomains({ directory })).toHaveLength(taken.length);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'name-taken' });
    for (const claim of claims) await claim[Symbol.asyncDispose]();
  });

  it('refuses a name that is taken, and one that is none', async () => {
    await using _ = await claimDomain({ directory, name: 'web' });
    await expect(claimDomain({ directory, name: 'web' })).rejects.toEqual(
      refusal('name-taken', /^a domain named web runs already \(id 1, /),
    );
    for (const name of ['7', '', 'a b', '../x', '-n', 'x'.repeat(65), 'ü'])
      await expect(claimDomain({ directory, name })).rejects.toEqual(refusal('bad-name', /is no name for a domain; /));
    expect(isDomainName('7up_x.y:z+-')).toBe(true);
  });
});

describe('a record whose process is gone', () => {
  it('is cleaned away with its socket, and its id is free', async () => {
    record(1);
    record(2, { pid: process.pid });
    expect((await listDomains({ directory })).map(({ id }) => id)).toEqual([2]);
    expect(readdirSync(directory).sort()).toEqual(['2.json', '2.sock']);
    await using claim = await claimDomain({ directory, name: 'new' });
    expect(claim.record.id).toBe(1);
  });

  it.runIf(process.platform === 'linux')('is told from one whose process number is in use again', async () => {
    record(1, { pid: process.pid, processStart: '1' });
    expect(await listDomains({ directory })).toEqual([]);
    await using claim = await claimDomain({ directory });
    expect(claim.record.processStart).toMatch(/^\d+$/);
    expect(await listDomains({ directory })).toHaveLength(1);
  });

  it.each(['', '{', 'null', '{"id":1}', '{"id":2,"name":"x","pid":1,"started":"","key":""}'])(
    'may be nonsense: %s',
    async (text) => {
      mkdirSync(directory, { mode: 0o700 });
      writeFileSync(join(directory, '1.json'), text);
      writeFileSync(join(directory, 'notes.json'), text);
      expect(await listDomains({ directory })).toEqual([]);
      expect(readdirSync(directory)).toEqual(['notes.json']);
    },
  );
});

describe('the runtime directory', () => {
  it('need not be there for a list', async () => {
    expect(await listDomains({ directory })).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  it('must not be open to others', async () => {
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    await expect(claimDomain({ directory })).rejects.toEqual(refusal('permission', /other users may enter.*; run `chmod 700 /));
    await expect(listDomains({ directory })).rejects.toEqual(refusal('permission', /other users/));
  });

  it('must be a directory, not a link to one', async () => {
    const real = join(parent, 'real');
    mkdirSync(real, { mode: 0o700 });
    symlinkSync(real, directory);
    await expect(claimDomain({ directory })).rejects.toEqual(refusal('permission', /is no directory; /));
    const file = join(parent, 'file');
    writeFileSync(file, '');
    await expect(claimDomain({ directory: file })).rejects.toEqual(refusal('permission', /is no directory; /));
    await expect(claimDomain({ directory: join(parent, 'no', 'such') })).rejects.toEqual(
      refusal('permission', /cannot be made \(ENOENT\); /),
    );
  });

  it('must not have too long a path for a socket', async () => {
    await expect(openRuntimeDirectory(join(parent, 'x'.repeat(100)))).rejects.toEqual(refusal('path-too-long', /shorter path$/));
  });

  it('is in $XDG_RUNTIME_DIR where that is a directory', async () => {
    expect(await defaultRuntimeDirectory({ XDG_RUNTIME_DIR: parent })).toBe(join(parent, 'dom1'));
    const fallback = join(tmpdir(), `dom1-${process.getuid?.()}`);
    for (const XDG_RUNTIME_DIR of [undefined, '', 'relative', join(parent, 'none')])
      expect(await defaultRuntimeDirectory({ XDG_RUNTIME_DIR })).toBe(fallback);
  });

  it('is of no use on Windows, and that is said', () => {
    expect(() => requireUnixSockets('win32')).toThrow(refusal('unsupported', /does not have on Windows; run dom1 on Linux/));
    expect(() => requireUnixSockets('darwin')).not.toThrow();
    expect(() => requireUnixSockets('win32')).toThrow(ControlConnectionError);
  });
});
