// Domains in the background, with guests of a few bytes.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SHUTDOWN } from '../../src/abi/xen/sched.ts';
import { busyGuest, echoGuest, shutdownGuest } from '../guest-program.ts';
import { dom1 as anyDom1, PROGRAM, type Run } from './dom1.ts';

vi.setConfig({ testTimeout: 120_000 });

const POLL = { timeout: 60_000, interval: 200 };
let directory: string;
let environment: NodeJS.ProcessEnv;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-create-'));
  environment = { XDG_RUNTIME_DIR: directory };
  const guests = {
    busy: busyGuest(),
    echo: echoGuest(),
    off: shutdownGuest(SHUTDOWN.poweroff),
    reboot: shutdownGuest(SHUTDOWN.reboot),
    crash: shutdownGuest(SHUTDOWN.crash),
  };
  for (const [name, program] of Object.entries(guests)) writeFileSync(join(directory, name), program);
});
afterEach(async () => {
  for (const { name } of await list()) await dom1(`destroy ${name}`);
  // Nothing is left but logs.
  await expect.poll(runtime, POLL).toEqual([]);
});
afterAll(() => rmSync(directory, { recursive: true }));

const dom1 = (words: string, stdin = ''): Promise<Run> => anyDom1(words.split(' '), { env: environment, stdin });
const runtime = (): string[] => {
  const path = join(directory, 'dom1');
  return existsSync(path) ? readdirSync(path).filter((file) => file !== 'log') : [];
};
const done = (stdout = ''): Run => ({ code: 0, stdout, stderr: '' });
const list = async (): Promise<{ name: string; state: string; pid: number }[]> =>
  JSON.parse((await dom1('list --json')).stdout) as { name: string; state: string; pid: number }[];
const log = (name: string): string => readFileSync(join(directory, 'dom1', 'log', `${name}.log`), 'utf8');

function config(kernel: string, more = ''): string {
  const path = join(directory, `${kernel}.cfg`);
  writeFileSync(path, `name = "${kernel}"\nkernel = "${join(directory, kernel)}"\nmemory = 64\n${more}\n`);
  return path;
}
/** A command that goes on, as the person's own process. */
function start(words: string): { readonly child: ChildProcess; output: () => string; readonly code: Promise<number | null> } {
  const child = spawn(process.execPath, [PROGRAM, ...words.split(' ')], { env: { ...process.env, ...environment } });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part));
  return { child, output: () => text, code: new Promise((resolve) => child.on('close', (code) => resolve(code))) };
}
const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

describe('dom1 create', () => {
  it('returns when the domain runs, which then is found, and destroyed', async () => {
    const created = await dom1(`create ${config('busy')} --json`);
    expect(created).toMatchObject({ code: 0, stderr: '' });
    const { id, pid, name } = JSON.parse(created.stdout) as { id: number; pid: number; name: string };
    expect({ id, name }).toEqual({ id: 1, name: 'busy' });
    expect(await list()).toMatchObject([{ id: 1, name: 'busy', state: 'running', pid, memory: 64 * 2 ** 20 }]);
    expect(await dom1(`create ${config('busy')}`)).toMatchObject({
      code: 65,
      stderr: expect.stringMatching(
        /^dom1: a domain named busy runs already \(id 1, process \d+\); give this one another name\n$/,
      ),
    });
    expect(await dom1('destroy busy')).toEqual(done());
    await expect.poll(() => gone(pid), POLL).toBe(true);
    expect(await list()).toEqual([]);
  });

  it('tells why a domain cannot be built, and leaves nothing', async () => {
    writeFileSync(join(directory, 'text'), 'no kernel at all\n');
    const run = await dom1(`create ${config('text')}`);
    expect(run).toMatchObject({ code: 65, stdout: '' });
    expect(run.stderr).toMatch(/^dom1: \S+\/text: [^\n]+\n$/);
    expect(await dom1(`create ${config('missing')}`)).toMatchObject({
      code: 65,
      stderr: expect.stringContaining('there is no such kernel file'),
    });
    expect(runtime()).toEqual([]);
  });

  it('leaves the domain paused with -p', async () => {
    expect(await dom1(`create -p ${config('off')}`)).toEqual(done());
    expect(await list()).toMatchObject([{ name: 'off', state: 'paused' }]);
    expect(await dom1('unpause off')).toEqual(done());
    await expect.poll(list, POLL).toEqual([]);
    expect(log('off')).toContain('hello\n');
  });

  it('shows the console with -c, which others may attach too', async () => {
    const attached = start(`create ${config('echo')} -c`);
    await expect.poll(attached.output, POLL).toBe('ready\n');
    attached.child.stdin?.write('first ');
    await expect.poll(attached.output, POLL).toBe('ready\nfirst ');
    const other = start('console echo');
    await expect.poll(other.output, POLL).toBe('ready\nfirst ');
    other.child.stdin?.write('second ');
    await expect.poll(attached.output, POLL).toBe('ready\nfirst second ');
    // Whoever looks is of no concern to the domain.
    attached.child.kill('SIGKILL');
    other.child.kill('SIGINT');
    await attached.code;
    await other.code;
    expect(await dom1('console echo --history')).toEqual(done('ready\nfirst second '));
    expect(readFileSync(join(directory, 'dom1', 'log', 'echo.console.log'), 'utf8')).toBe('ready\nfirst second ');
    const last = start('console echo --no-history');
    await expect.poll(async () => (await dom1('inspect echo /state')).stdout, POLL).toBe('running\n');
    expect(await dom1('destroy echo')).toEqual(done());
    expect(await last.code).toBe(0);
  });

  it.skipIf(spawnSync('script', ['--version']).status !== 0)('hands a terminal over, keys and all, until Ctrl-]', async () => {
    await dom1(`create ${config('echo')}`);
    const command = `stty rows 33 cols 101; '${process.execPath}' '${PROGRAM}' console echo; echo status $?; stty -a`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...environment } });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    const ended = new Promise((resolve) => child.on('close', resolve));
    await expect.poll(() => text, POLL).toContain('ready');
    child.stdin.write('\x03\x04z');
    await expect.poll(() => text, POLL).toContain('\x03\x04z');
    child.stdin.write('y\x1dnot typed');
    await expect.poll(() => text, POLL).toContain('status 0');
    await ended;
    expect(text).toContain('dom1: left the console; echo goes on: dom1 console echo');
    // The terminal is as it was: lines, with an echo.
    expect(text).toMatch(/[^-]icanon/);
    expect(text).toMatch(/[^-]echo /);
    expect((await dom1('console echo --history')).stdout).toBe('ready\n\x03\x04zy');
  });

  it.each(['SIGINT', 'SIGKILL'] as const)('leaves nothing when it gets %s while the domain is built', async (signal) => {
    // A kernel that nobody writes: the domain is built for ever.
    rmSync(join(directory, 'fifo'), { force: true });
    expect(spawnSync('mkfifo', [join(directory, 'fifo')]).status).toBe(0);
    const creating = start(`create ${config('fifo')}`);
    await expect.poll(runtime, POLL).toEqual(['1.json']);
    const { pid } = JSON.parse(readFileSync(join(directory, 'dom1', '1.json'), 'utf8')) as { pid: number };
    creating.child.kill(signal);
    expect(await creating.code).toBe(signal === 'SIGINT' ? 130 : null);
    await expect.poll(() => gone(pid), POLL).toBe(true);
    expect(runtime()).toEqual([]);
  });
});

describe('when the guest ends', () => {
  it('on_reboot=restart starts it anew under the same id, until it is destroyed', async () => {
    await dom1(`create ${config('reboot')}`);
    const [first] = await list();
    await expect.poll(() => log('reboot').match(/hello\n/g)?.length ?? 0, POLL).toBeGreaterThanOrEqual(2);
    expect(log('reboot')).toContain('the guest ended: reboot; restart\n');
    const [again] = await list();
    expect([again?.name, again?.pid]).toEqual(['reboot', first?.pid]);
    expect(await dom1('destroy reboot')).toEqual(done());
  });

  it('on_crash=preserve keeps it to be looked at', async () => {
    await dom1(`create ${config('crash', 'on_crash = "preserve"')}`);
    await expect.poll(list, POLL).toMatchObject([{ name: 'crash', state: 'crashed' }]);
    expect((await dom1('registers crash')).stdout).toMatch(/\brip /);
    expect(await dom1('dmesg crash')).toEqual(done('hello\n'));
    expect(await dom1('destroy crash')).toEqual(done());
  });

  it('on_poweroff=destroy ends its process', async () => {
    await dom1(`create ${config('off')}`);
    await expect.poll(list, POLL).toEqual([]);
    expect(log('off')).toContain('the guest ended: poweroff; destroy\n');
  });

  it('SIGTERM to its process ends it cleanly, and SIGKILL is cleaned up after', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const { pid } = JSON.parse((await dom1(`create ${config('busy')} --json`)).stdout) as { pid: number };
      process.kill(pid, signal);
      await expect.poll(() => gone(pid), POLL).toBe(true);
      expect(await list()).toEqual([]);
      expect(runtime()).toEqual([]);
    }
  });
});
