// The toolstack's commands, against a domain that is not there behind a real socket.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ByteHistory } from '../control/console/byte-history.ts';
import { FakeConsole, FakeTarget } from '../control/fixtures/fake-target.ts';
import { type ServedControl, serveControl } from '../node/serve-control.ts';
import { COMMANDS } from './commands.ts';
import { domainFlags } from './domain-flags.ts';
import { durationText } from './duration.ts';
import { type Run, runWords } from './fixtures/run-words.ts';
import { manPage } from './man-page-command.ts';
import { memoryKib } from './memory-argument.ts';

let directory: string;
let parent: string;
let web: FakeTarget;
let served: ServedControl;
let log: ByteHistory;

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-toolstack-'));
  directory = join(parent, 'dom1');
  web = new FakeTarget({ name: 'web' });
  log = new ByteHistory();
  served = await serveControl(web, {
    directory,
    version: '0.1.0',
    host: { log, config: () => ({ name: 'web', memoryMiB: 256 }) },
  });
});
afterEach(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(parent, { recursive: true });
});

const dom1 = (words: string, options: { input?: string; onOut?: (text: string) => void } = {}): Promise<Run> =>
  runWords(words.split(' '), { directory, ...options });
const done = (stdout = ''): Run => ({ code: 0, stdout, stderr: '' });
const node = (path: string): string | undefined => web.xenstore.read(`/local/domain/1/${path}`);

describe('console', () => {
  it('prints what was printed before and after, and types what comes on stdin', async () => {
    web.console.print('login: ');
    web.console.room = 3;
    const run = await dom1('console web', {
      input: 'root\nls\n',
      onOut: (text) => {
        if (text === 'login: ') web.console.print('more');
        else if (text.endsWith('more')) setTimeout(() => web.end('shutdown', { reason: 'poweroff', retired: 1 }), 200);
      },
    });
    expect(run).toEqual(done('login: more'));
    expect(web.console.typed).toBe('root\nls\n');
  });

  it('prints the history and leaves', async () => {
    web.console.print('one\ntwo\n');
    expect(await dom1('console web --history')).toEqual(done('one\ntwo\n'));
  });

  it('leaves the history out', async () => {
    web.console.print('before');
    setTimeout(() => {
      web.console.print('after');
      web.end('shutdown', { reason: 'poweroff', retired: 1 });
    }, 200);
    expect(await dom1('console web --no-history')).toEqual(done('after'));
  });

  it('attaches a further one by its number, and lists them', async () => {
    const second = new FakeConsole();
    web.further.set(2, { console: second, channel: 'org.x.agent', tty: '/dev/pts/3' });
    expect(await dom1('console web -l')).toEqual(
      done(`Number  Type  Clients  Printed  TTY         Channel
     0  pv          0        0  -           -
     2  pv          0        0  /dev/pts/3  org.x.agent
`),
    );
    second.print('hvc2: ');
    const run = await dom1('console web -t pv -n 2', {
      input: 'ls\n',
      onOut: (text) => {
        web.console.print('not this');
        if (text.startsWith('hvc2')) setTimeout(() => web.end('shutdown', { reason: 'poweroff', retired: 1 }), 200);
      },
    });
    expect(run).toEqual(done('hvc2: '));
    expect([second.typed, web.console.typed]).toEqual(['ls\n', '']);
  });

  it('names a console that is not there', async () => {
    expect(await dom1('console web -n 3')).toMatchObject({ stderr: 'dom1: the domain has no console 3\n' });
    expect(await dom1('console web -n x')).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("'x' is no number of a console"),
    });
    expect(await dom1('console web -t serial')).toMatchObject({ code: 64, stderr: expect.stringContaining('use pv') });
  });
});

describe('verbs', () => {
  it('dmesg prints the log, and forgets it', async () => {
    log.append(new TextEncoder().encode('(XEN) d1 hello\n'));
    expect(await dom1('dmesg web -c')).toEqual(done('(XEN) d1 hello\n'));
    expect(await dom1('dmesg web')).toEqual(done());
  });

  it('sysrq presses a key', async () => {
    expect(await dom1('sysrq web s')).toEqual(done());
    expect(node('control/sysrq')).toBe('s');
    expect(await dom1('sysrq web sync')).toMatchObject({
      code: 64,
      stderr: "dom1: 'sync' is no key; give one letter or digit, such as s\n",
    });
  });

  it('mem-set sets the target, up to the most there may be', async () => {
    web.xenstore.write('/local/domain/1/memory/static-max', '262144');
    expect(await dom1('mem-set web 128')).toEqual(done());
    expect(node('memory/target')).toBe('131072');
    expect(await dom1('mem-set web 65536k')).toEqual(done());
    expect(node('memory/target')).toBe('65536');
    expect(await dom1('mem-set web 1g')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('more than the domain may have (262144 KiB)'),
    });
    expect(await dom1('mem-set web much')).toMatchObject({ code: 64 });
  });

  it('mem-max limits it, between the target and what the domain was created with', async () => {
    web.xenstore.write('/local/domain/1/memory/target', '131072');
    expect(await dom1('mem-max web 192')).toEqual(done());
    expect(web.maxMemory).toBe(192 * 2 ** 20);
    const less = expect.stringContaining('less than the target of the balloon (131072 KiB); lower that first');
    expect(await dom1('mem-max web 64')).toMatchObject({ code: 1, stderr: less });
    const more = expect.stringContaining('more than there is; give it more maxmem');
    expect(await dom1('mem-max web 2g')).toMatchObject({ code: 1, stderr: more });
  });

  it('rename, domid, domname', async () => {
    expect(await dom1('rename web www')).toEqual(done());
    expect(await dom1('domid www')).toEqual(done('1\n'));
    expect(await dom1('domname 1')).toEqual(done('www\n'));
    expect(await dom1('domid web')).toMatchObject({ code: 65, stderr: expect.stringContaining("no domain named 'web' runs") });
    expect(JSON.parse((await dom1('domid www --json')).stdout)).toEqual({ id: 1, name: 'www' });
  });

  it('reboot asks the guest', async () => {
    expect(await dom1('reboot web')).toEqual(done());
    expect(web.calls).toEqual(['shutdown reboot']);
  });

  it('list -l shows what domains are made of', async () => {
    expect(JSON.parse((await dom1('list -l')).stdout)).toEqual([
      { domid: 1, name: 'web', config: { name: 'web', memoryMiB: 256 } },
    ]);
    expect((await dom1('list web')).stdout).toMatch(/^web +1 /m);
    expect(await dom1('list wbe')).toMatchObject({ code: 65, stderr: expect.stringContaining('did you mean web?') });
  });

  it('vcpu-list, uptime and top show numbers', async () => {
    expect((await dom1('vcpu-list')).stdout).toMatch(
      /^Name +ID +VCPU +State +Time\(s\) +Affinity \(Hard \/ Soft\)\nweb +1 +0 +r-- +0\.0 +all \/ all\n$/,
    );
    expect((await dom1('uptime web')).stdout).toMatch(/^Name +ID +Uptime\nweb +1 +0:00:0\d\n$/);
    const { stdout } = await dom1('top -b -i 2 -d 1');
    expect(stdout.match(/^ +NAME +STATE +CPU\(sec\)/gm)).toHaveLength(2);
    expect(stdout).toMatch(/^ {7}web -----r {10}0 {4}0\.0 {5}262144 /m);
    const lines = (await dom1('top --json -i 1')).stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([[{ id: 1, name: 'web', cpuPercent: null }]]);
  });

  it('info tells of the host', async () => {
    expect((await dom1('info')).stdout).toMatch(/^xen_version +: 4\.20$/m);
    expect(JSON.parse((await dom1('info --json')).stdout)).toMatchObject({ xen_major: 4, xen_minor: 20, domains: 1 });
  });
});

describe('create', () => {
  const config = (text: string): string => {
    const path = join(parent, 'a.cfg');
    writeFileSync(path, text);
    return path;
  };

  it('prints what a configuration says, with absolute paths', async () => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const { code, stdout } = await dom1(`create ${config('name="a"\nkernel="vmlinuz"\nvnc=1')} -n memory=64`);
    expect(stderr.mock.calls.flat()).toEqual([
      `dom1: ${parent}/a.cfg:3:1: vnc (a VNC server) is not supported yet, and is ignored\n`,
    ]);
    stderr.mockRestore();
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'a', memoryMiB: 64, kernel: join(process.cwd(), 'vmlinuz') });
  });

  it.each([
    ['name = a', 65, ":1:8: 'a' stands where a value for name should be; put strings into quotes"],
    ['name = "a b"\nkernel="x"', 64, "'a b' is no name for a domain"],
    ['name = "a"', 65, 'a: there is no kernel to boot, and no disk; add kernel = "…" or disk = [ "…" ]'],
    ['name = "a"\ntype="hvm"\nboot="x"', 65, "'x' is no order of devices"],
  ])('%j is refused', async (text, code, line) => {
    const run = await dom1(`create ${config(text)}`);
    expect(run).toMatchObject({ code, stdout: '' });
    expect(run.stderr).toMatch(/^dom1: [^\n]+\n$/);
    expect(run.stderr).toContain(line);
  });

  it('tells of every mistake at once, and of unknown keys too', async () => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const run = await dom1(`create ${config('name="a"\nmemroy=5\nvcpus=0\ndisk = [ "x" ]')} memory=much`);
    expect(stderr.mock.calls.flat()).toEqual([
      expect.stringMatching(/a\.cfg:2:1: there is no key memroy.*did you mean memory\?\n$/),
    ]);
    stderr.mockRestore();
    expect(run).toMatchObject({ code: 65, stdout: '' });
    expect(
      run.stderr.split('\n').map((line) => /^dom1: \S*a\.cfg:\d+:\d+|^dom1: command line, setting 1:1:8|^$/.exec(line)?.[0]),
    ).toEqual([`dom1: ${parent}/a.cfg:3:7`, `dom1: ${parent}/a.cfg:4:11`, 'dom1: command line, setting 1:1:8', '']);
  });

  it('names a configuration that is not there', async () => {
    expect(await dom1('create /nowhere.cfg')).toEqual({
      code: 65,
      stdout: '',
      stderr: 'dom1: /nowhere.cfg: there is no such configuration; check the path\n',
    });
  });
});

describe('completion and manual page', () => {
  it.each(['bash', 'zsh', 'fish'])('%s knows every command and its options', async (shell) => {
    const { stdout } = await dom1(`completion ${shell}`);
    for (const { name, options } of COMMANDS) {
      for (const word of name.split(' ')) expect(stdout).toContain(word);
      for (const option of options) expect(stdout).toContain(shell === 'fish' ? ` -l ${option.name}` : `--${option.name}`);
    }
  });

  it.skipIf(spawnSync('bash', ['-c', 'true']).status !== 0)('bash completes domains, and files behind them', async () => {
    const { stdout } = await dom1('completion bash');
    const complete = (...words: readonly string[]): string => {
      const script = `${stdout}\ndom1() { printf 'Name ID\\nweb 1\\n'; }\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dom1; echo "\${COMPREPLY[@]}"`;
      return spawnSync('bash', ['-c', script, 'bash', 'dom1', ...words], { cwd: parent, encoding: 'utf8' }).stdout.trim();
    };
    writeFileSync(join(parent, 'data.img'), '');
    expect(complete('block-att')).toBe('block-attach');
    expect(complete('block-attach', 'w')).toBe('web');
    expect(complete('block-attach', 'web', 'dat')).toBe('data.img');
    expect(complete('block-detach', 'web', '--fo')).toBe('--force');
  });

  it('no other shell has one', async () => {
    expect(await dom1('completion csh')).toMatchObject({
      code: 64,
      stderr: "dom1: there is no completion for 'csh'; use bash, zsh, fish\n",
    });
  });

  it('the manual page has every command, and no line that roff takes for a request by mistake', () => {
    const page = manPage('0.1.0');
    for (const { name } of COMMANDS) expect(page).toContain(`\n.SS "${name.replaceAll('-', '\\-')}`);
    for (const line of page.split('\n').filter((one) => /^[.']/.test(one)))
      expect(line).toMatch(/^\.(TH|SH|SS|B|I|BR|TP|PP)( |$)/);
  });
});

it.each([
  [7, '0:00:07'],
  [3661.9, '1:01:01'],
  [90_061, '1 day, 1:01:01'],
  [200_000, '2 days, 7:33:20'],
])('%d seconds are %s', (seconds, text) => {
  expect(durationText(seconds)).toBe(text);
});

it.each([
  ['256', 262144],
  ['64m', 65536],
  ['1G', 1048576],
  ['2048k', 2048],
  ['4096b', 4],
])('%s is %d KiB', (text, kib) => {
  expect(memoryKib(text)).toBe(kib);
});

it.each([
  ['running', false, 'r-----'],
  ['running', true, '-b----'],
  ['paused', false, '--p---'],
  ['suspended', false, '---s--'],
  ['crashed', false, '----c-'],
])('%s, blocked %s: %s', (state, blocked, flags) => {
  expect(domainFlags(state, blocked)).toBe(flags);
});
