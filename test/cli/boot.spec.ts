// The program with a real guest: commands and their status, pipes, a terminal.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guest } from '../guest/kernels.ts';
import { dom1, PROGRAM } from './dom1.ts';

const parts = await guest('linux-image-cloud-amd64');
const BOOT = 120_000;
let directory: string;
let words: string[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-boot-'));
  if (parts === undefined) return;
  writeFileSync(join(directory, 'initrd'), parts.initrd);
  words = ['run', parts.kernel, '--initrd', join(directory, 'initrd'), '--timeout', '100'];
});
afterAll(() => rmSync(directory, { recursive: true }));

const COMMAND_LINE = ['--', 'console=hvc0', 'quiet', 'cryptomgr.notests'];

describe.skipIf(parts === undefined)('dom1 with a Linux guest', () => {
  it('demo shows the guest and powers it off', { timeout: BOOT }, async () => {
    const { code, stdout, stderr } = await dom1(['demo']);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/^dom1: booting linux-image-[^\n]*\ndom1: at the guest's shell after [\d.]+ s\n$/),
    });
    expect(stdout).toMatch(/^# uname -a\nLinux guest 6\.[^\n]* x86_64 GNU\/Linux\n$/m);
    expect(stdout).toMatch(/^# cat \/sys\/hypervisor\/type\nxen\n$/m);
    expect(stdout).toMatch(/^\[[^\n]*\] Hypervisor detected: Xen HVM$/m);
  });

  it("run --exec prints the command's output and exits with its status", { timeout: BOOT }, async () => {
    const run = await dom1([
      ...words,
      '--memory',
      '128MiB',
      '--exec',
      'cat /proc/cmdline; echo complaint >&2; exit 3',
      ...COMMAND_LINE,
    ]);
    expect(run).toEqual({ code: 3, stdout: 'console=hvc0 quiet cryptomgr.notests\ncomplaint\n', stderr: '' });
  });

  it('run types its input and prints what the guest prints', { timeout: BOOT }, async () => {
    const { code, stdout, stderr } = await dom1([...words, ...COMMAND_LINE], { stdin: 'echo $((6 * 7))ish\nexit\n' });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('\n42ish\r\n');
  });

  const script = spawnSync('script', ['--version']).status === 0;
  it.skipIf(!script)('on a terminal, Ctrl-] leaves the guest and gives the terminal back', { timeout: BOOT }, async () => {
    const program = [process.execPath, PROGRAM, ...words, ...COMMAND_LINE].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', `stty rows 33 cols 101; ${program}; echo status $?; stty -a`, '/dev/null'], {
      env: { ...process.env, SHELL: '/bin/sh' },
    });
    let seen = '';
    const when = (pattern: RegExp): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (pattern.test(seen)) resolve();
        };
        child.stdout.on('data', look);
        look();
      });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text.replaceAll('\r', ''); // raw mode leaves the host's own carriage returns on
    });
    await when(/guest:~# /);
    // A program that runs, to see that Ctrl-C is the guest's: it is in the foreground before it says so.
    child.stdin.write(`sh -c 'echo run""ning; exec cat'\r`);
    await when(/\nrunning\n/);
    child.stdin.write('\x03');
    await when(/\^C[\s\S]*guest:~# /);
    child.stdin.write('echo $((6 * 7))ish\r');
    await when(/\n42ish\n[\s\S]*# /);
    child.stdin.write('\x1d');
    await new Promise((resolve) => child.on('close', resolve));
    expect(seen).toContain('dom1: left the guest and ended it');
    expect(seen).toContain('status 0');
    expect(seen).toMatch(/ icanon/);
    expect(seen).toMatch(/ echo /);
  });
});
