// The commands on a running domain, against guests of a few bytes that run in another process.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SHUTDOWN } from '../../src/abi/xen/sched.ts';
import { busyGuest, shutdownGuest } from '../guest-program.ts';
import { dom1 as anyDom1, PROGRAM, type Run } from './dom1.ts';

// Each command is a process of its own, beside a guest that never rests.
vi.setConfig({ testTimeout: 120_000 });

let directory: string;
let environment: NodeJS.ProcessEnv;
const guests: { readonly child: ChildProcess; readonly ended: Promise<{ code: number | null; stderr: string }> }[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-control-'));
  environment = { XDG_RUNTIME_DIR: directory };
  writeFileSync(join(directory, 'busy'), busyGuest());
  writeFileSync(join(directory, 'suspend'), shutdownGuest(SHUTDOWN.suspend));
});
afterEach(async () => {
  for (const { child, ended } of guests.splice(0)) {
    child.kill('SIGKILL');
    await ended;
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

const dom1 = (words: string): Promise<Run> => anyDom1(words.split(' '), { env: environment });
const runtime = (): string[] => (existsSync(join(directory, 'dom1')) ? readdirSync(join(directory, 'dom1')).sort() : []);
const done = (stdout = ''): Run => ({ code: 0, stdout, stderr: '' });

/** Starts a guest, and waits until it has said hello. */
async function start(kernel: string, ...options: string[]): Promise<(typeof guests)[number]> {
  const child = spawn(process.execPath, [PROGRAM, 'run', join(directory, kernel), ...options], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, stderr }));
  });
  const hello = new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      if (stderr.includes('hello\n')) resolve();
    });
    child.on('close', () => reject(new Error(`the guest ended before it said hello: ${stderr}`)));
  });
  const guest = { child, ended };
  guests.push(guest);
  await hello;
  return guest;
}

describe('a guest that runs', () => {
  it('is found by name and by id, is shown, paused, unpaused and destroyed', async () => {
    const web = await start('busy', '--name', 'web');
    await start('busy');
    const list = JSON.parse((await dom1('list --json')).stdout) as object[];
    expect(list).toMatchObject([
      { id: 1, domid: 1, name: 'web', state: 'running', vcpus: 1, memory: 256 * 2 ** 20, pid: web.child.pid },
      { id: 2, domid: 2, name: 'guest-2', state: 'running' },
    ]);
    expect(await dom1('pause web')).toEqual(done());
    expect((await dom1('list')).stdout).toMatch(/^web +1 +256 +1 +paused /m);
    expect(await dom1('inspect web /state')).toEqual(done('paused\n'));
    expect(await dom1('unpause 1')).toEqual(done());
    expect(await dom1('inspect web /state')).toEqual(done('running\n'));
    expect(await dom1('destroy web')).toEqual(done());
    expect(await web.ended).toEqual({ code: 0, stderr: 'hello\n' });
    expect(runtime()).toEqual(['2.json', '2.sock']);
    expect(await dom1('pause web')).toMatchObject({ code: 65, stderr: expect.stringContaining("no domain named 'web' runs; ") });
  });

  it('shows registers, event channels, grants and its state', async () => {
    await start('busy', '--name', 'web');
    // jmp $ after the hypercall's fifth instruction, within the guest's one page of code.
    expect((await dom1('registers web')).stdout).toMatch(/\brip 00000000001000[0-9a-f]{2}\b/);
    const json = JSON.parse((await dom1('registers web 0 --json')).stdout) as {
      registers: { rip: string };
      control: { cr0: string };
    };
    expect(Number(json.registers.rip)).toBeGreaterThan(0x10_0000);
    expect(Number(json.control.cr0) & 1).toBe(1);
    expect((await dom1('event-list web')).stdout).toMatch(/^Port +VCPU +Type +Remote +Target +Pending +Masked\n/);
    expect((await dom1('grant-list web')).stdout).toMatch(/^Ref +Type/);
    expect((await dom1('inspect web')).stdout).toMatch(/^name +web$/m);
    const tree = JSON.parse((await dom1('inspect web /xen --json')).stdout) as object;
    expect(Object.keys(tree)).toEqual(expect.arrayContaining(['evtchn', 'grants', 'overlays', 'store']));
    expect(await dom1('inspect web /xen/nothing')).toMatchObject({ code: 1, stderr: expect.stringContaining('/xen has evtchn') });
    expect(await dom1('registers web 1')).toMatchObject({ code: 1, stderr: expect.stringContaining('no vCPU 1') });
  });

  it('has events injected, a port out of range being an error', async () => {
    await start('busy', '--name', 'web');
    const [first] = JSON.parse((await dom1('event-list web --json')).stdout) as { port: number }[];
    expect(await dom1(`event-inject web ${first?.port}`)).toEqual(done());
    const [after] = JSON.parse((await dom1('event-list web --json')).stdout) as { pending: boolean }[];
    expect(after?.pending).toBe(true);
    expect(await dom1('event-inject web 100000')).toMatchObject({ code: 1, stderr: expect.stringContaining('100000') });
  });

  it('has a XenStore', async () => {
    await start('busy', '--name', 'web');
    expect(await dom1('xenstore-read web name domid')).toEqual(done('web\n1\n'));
    expect(await dom1('xenstore-write web data/a 1 data/b 2')).toEqual(done());
    expect(await dom1('xenstore-ls web -f data')).toEqual(done('data/a = "1"\ndata/b = "2"\n'));
    expect(await dom1('xenstore-list web data')).toEqual(done('a\nb\n'));
    expect(await dom1('xenstore-chmod web data/a n0 r1')).toEqual(done());
    expect((await dom1('xenstore-ls web -fp data')).stdout).toContain('data/a = "1"   (n0,r1)\n');
    expect(await dom1('xenstore-rm web data/a')).toEqual(done());
    expect(await dom1('xenstore-exists web data/a')).toEqual({ code: 1, stdout: '', stderr: '' });
    expect(await dom1('xenstore-exists web data/b')).toEqual(done());
    expect(await dom1('xenstore-watch web -n 2 data /tool')).toEqual(done('data\n/tool\n'));
    const lines = [
      { execute: 'xenstore-watch', arguments: { path: 'data' } },
      { execute: 'xenstore-write', arguments: { path: 'data/c', value: '3' } },
    ].map((line) => `${JSON.stringify(line)}\n`);
    const { stdout } = await anyDom1(['monitor', 'web'], { env: environment, stdin: lines.join('') });
    expect(stdout).toContain('"data":{"path":"data/c","token":"data"}');
    expect(await dom1('shutdown web')).toEqual(done());
    expect(await dom1('xenstore-read web control/shutdown')).toEqual(done('poweroff\n'));
  });

  it('is reset and goes on', async () => {
    await start('busy', '--name', 'web');
    await dom1('xenstore-write web data/mine 1');
    expect(await dom1('reset web')).toEqual(done());
    expect(await dom1('xenstore-exists web data/mine')).toMatchObject({ code: 1 });
    expect(await dom1('inspect web /state')).toEqual(done('running\n'));
    expect(await dom1('trigger web reset')).toEqual(done());
    expect(await dom1('trigger web nmi')).toEqual(done());
  });

  it('suspends itself, and is resumed', async () => {
    await start('suspend', '--name', 'sleeper');
    await expect.poll(async () => (await dom1('inspect sleeper /state')).stdout, { timeout: 10_000 }).toBe('suspended\n');
    expect(await dom1('unpause sleeper')).toMatchObject({ code: 1, stderr: expect.stringContaining('the domain is suspended') });
    expect(await dom1('resume sleeper')).toEqual(done());
    expect(await dom1('inspect sleeper /state')).toEqual(done('running\n'));
  });

  it('answers a monitor, with events', async () => {
    const web = await start('busy', '--name', 'web');
    const lines = ['stop', 'query-status', 'cont', 'xen-event-list', 'nonsense'].map((execute, id) =>
      JSON.stringify({ execute, id }),
    );
    const { stdout } = await anyDom1(['monitor', 'web'], { env: environment, stdin: `${lines.join('\n')}\n` });
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(messages[0]).toMatchObject({ dom1: { domain: { id: 1, domid: 1, name: 'web' } } });
    expect(messages.flatMap(({ event }) => (event === undefined ? [] : [event]))).toEqual(['STOP', 'RESUME']);
    expect(messages.filter(({ id }) => id !== undefined).map(({ id }) => id)).toEqual([0, 1, 2, 3, 4]);
    const quit = await anyDom1(['monitor', 'web'], { env: environment, stdin: '{"execute":"quit"}\n' });
    expect(quit.stdout).toContain('{"return":{}}');
    expect((await web.ended).code).toBe(0);
  });
});

describe('the runtime directory', () => {
  it('is clean again after a guest was killed', async () => {
    const web = await start('busy', '--name', 'web');
    web.child.kill('SIGKILL');
    await web.ended;
    expect(runtime()).toEqual(['1.json', '1.sock']);
    expect(await dom1('list --json')).toEqual(done('[]\n'));
    expect(runtime()).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('is clean again after %s', async (signal) => {
    const web = await start('busy', '--name', 'web');
    web.child.kill(signal);
    await web.ended;
    expect(runtime()).toEqual([]);
  });

  it('holds a name once', async () => {
    await start('busy', '--name', 'web');
    expect(await dom1(`run ${join(directory, 'busy')} --name web`)).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(
        /^dom1: a domain named web runs already \(id 1, process \d+\); give this one another name\n$/,
      ),
    });
    expect(await dom1(`run ${join(directory, 'busy')} --name 7`)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("'7' is no name"),
    });
  });

  it('that others may enter is refused with a name, and noted without', async () => {
    const open = join(directory, 'open');
    mkdirSync(join(open, 'dom1'), { recursive: true, mode: 0o755 });
    writeFileSync(join(directory, 'off'), shutdownGuest(SHUTDOWN.poweroff));
    const run = (...words: string[]): Promise<Run> =>
      anyDom1(['run', join(directory, 'off'), ...words], { env: { XDG_RUNTIME_DIR: open } });
    expect(await run('--name', 'web')).toMatchObject({ code: 65, stderr: expect.stringContaining('other users may enter') });
    expect(await run()).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^dom1: other commands will not find this guest: .*chmod 700.*\nhello\n$/),
    });
  });
});
