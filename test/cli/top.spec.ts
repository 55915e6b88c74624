// `dom1 top` on a terminal: it updates in place, and gives the terminal back however it ends.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { busyGuest } from '../guest-program.ts';
import { dom1 as anyDom1, PROGRAM } from './dom1.ts';

const POLL = { timeout: 60_000, interval: 100 };
const [OTHER_SCREEN, FIRST_SCREEN] = ['\x1b[?1049h', '\x1b[?1049l'];

describe.skipIf(spawnSync('script', ['--version']).status !== 0)('dom1 top', { timeout: 120_000 }, () => {
  let directory: string;
  let environment: NodeJS.ProcessEnv;
  let started: ChildProcess | undefined;
  const pidFile = (): string => join(directory, 'pid');

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'dom1-top-'));
    environment = { XDG_RUNTIME_DIR: directory };
    writeFileSync(join(directory, 'kernel'), busyGuest());
    writeFileSync(join(directory, 'busy.cfg'), `name = "busy"\nkernel = "${join(directory, 'kernel')}"\nmemory = 64\n`);
    expect(await anyDom1(['create', join(directory, 'busy.cfg')], { env: environment })).toMatchObject({ code: 0 });
  });
  // Of a test that failed: the terminal goes, and what runs on it.
  afterEach(() => void started?.kill());
  afterAll(async () => {
    await anyDom1(['destroy', 'busy'], { env: environment });
    rmSync(directory, { recursive: true });
  });

  /** On a terminal of its own; what follows it there is printed when it has ended. */
  function onTerminal(options: string): { readonly child: ChildProcess; text: () => string; readonly ended: Promise<unknown> } {
    const top = `exec '${process.execPath}' '${PROGRAM}' top ${options}`;
    const command = `stty rows 10 cols 60; sh -c "echo \\$\\$ > '${pidFile()}'; ${top}"; echo status $?; stty -a`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...environment } });
    started = child;
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    return { child, text: () => text, ended: new Promise((resolve) => child.on('close', resolve)) };
  }

  /** What follows the screen is as before, and the cursor is there. */
  function expectRestored(text: string): void {
    expect(text.indexOf(FIRST_SCREEN)).toBeGreaterThan(text.indexOf(OTHER_SCREEN));
    expect(text.slice(text.indexOf(FIRST_SCREEN))).not.toContain(OTHER_SCREEN);
    expect(text.lastIndexOf('\x1b[?25h')).toBeGreaterThan(text.lastIndexOf('\x1b[?25l'));
    expect(text).toMatch(/[^-]icanon/);
    expect(text).toMatch(/[^-]echo /);
  }

  it('draws over what it has drawn, takes keys, and ends with q', async () => {
    const top = onTerminal('-d 1');
    const drawn = (): number => top.text().split('\x1b[H').length - 1;
    await expect.poll(drawn, POLL).toBeGreaterThanOrEqual(3);
    expect(top.text()).toContain('1 domains: 1 running, 0 blocked');
    expect(top.text()).toMatch(/ busy -----r +\d+ +\d+\.\d +65536 /);
    top.child.stdin?.write('v');
    await expect.poll(top.text, POLL).toContain('VCPUs(sec):');
    // No line is wider than the terminal.
    for (const line of top.text().split('\x1b[H').at(-1)?.split(/\r+\n/) ?? [])
      expect(line.replaceAll(new RegExp(`${'\x1b'}\\[[?\\d;]*[A-Za-z]`, 'g'), '').length).toBeLessThanOrEqual(60);
    top.child.stdin?.write('q');
    await top.ended;
    expect(top.text()).toContain('status 0');
    expectRestored(top.text());
  });

  it.each([
    ['Ctrl-C', '\x03', 0],
    ['its last look', '', 0],
  ])('gives the terminal back after %s', async (_, keys, status) => {
    const top = onTerminal(keys === '' ? '-i 1' : '');
    await expect.poll(top.text, POLL).toContain('busy');
    if (keys !== '') top.child.stdin?.write(keys);
    await top.ended;
    expect(top.text()).toContain(`status ${status}`);
    expectRestored(top.text());
  });

  it('gives the terminal back when it gets SIGTERM', async () => {
    const top = onTerminal('');
    await expect.poll(top.text, POLL).toContain('busy');
    process.kill(Number(readFileSync(pidFile(), 'utf8')), 'SIGTERM');
    await top.ended;
    expect(top.text()).toContain('status 143');
    expectRestored(top.text());
  });

  it('prints table after table without a terminal', async () => {
    const run = await anyDom1(['top', '-i', '2', '-d', '1'], { env: environment });
    expect(run.code).toBe(0);
    expect(run.stdout).not.toContain('\x1b');
    expect(run.stdout.match(/^ +NAME +STATE/gm)).toHaveLength(2);
  });
});
