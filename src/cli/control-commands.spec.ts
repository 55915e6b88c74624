// The commands on a running domain, against a domain that is not there behind a real socket.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { claimDomain } from '../node/domain-registry.ts';
import { type ServedControl, serveControl } from '../node/serve-control.ts';
import { COMMANDS } from './commands.ts';
import { CONTROL_IMPLEMENTATIONS } from './control-commands.ts';
import { type Run, runWords } from './fixtures/run-words.ts';
import { STORE_IMPLEMENTATIONS } from './store-commands.ts';

let parent: string;
let directory: string;
let web: FakeTarget;
let served: ServedControl[];

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-cli-'));
  directory = join(parent, 'dom1');
  web = new FakeTarget({ name: 'web' });
  served = [await serveControl(web, { directory, version: '0.1.0' })];
});
afterEach(async () => {
  for (const one of served) await one[Symbol.asyncDispose]();
  rmSync(parent, { recursive: true });
});

const dom1 = (words: string, options: { input?: string; onOut?: (text: string) => void } = {}): Promise<Run> =>
  runWords(words.split(' '), { directory, ...options });

it('each row of the table has its implementation, and the other way round', () => {
  const rows = COMMANDS.filter(({ on }) => on !== undefined && on !== 'image').map(({ name }) => name);
  expect([...Object.keys(CONTROL_IMPLEMENTATIONS), ...Object.keys(STORE_IMPLEMENTATIONS)].sort()).toEqual(rows.sort());
});

describe('list', () => {
  it('is a table of the domains that run', async () => {
    served.push(await serveControl(new FakeTarget({ id: 2, name: 'database' }), { directory, version: '0.1.0' }));
    await web.pause();
    const { stdout } = await dom1('list');
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ['Name', 'ID', 'Mem', 'VCPUs', 'State', 'PID'],
      ['web', '1', '256', '1', 'paused', `${process.pid}`],
      ['database', '2', '256', '1', 'running', `${process.pid}`],
    ]);
  });

  it('shows domains that do not answer, and no dead ones', async () => {
    await using _ = await claimDomain({ directory, name: 'starting' });
    writeFileSync(join(directory, '9.json'), JSON.stringify({ id: 9, name: 'dead', pid: 2 ** 22 + 1, started: '', key: '' }));
    const { stdout } = await dom1('list --json');
    expect(JSON.parse(stdout)).toEqual([
      expect.objectContaining({
        id: 1,
        domid: 1,
        name: 'web',
        state: 'running',
        vcpus: 1,
        memory: 256 * 2 ** 20,
        pid: process.pid,
      }),
      expect.objectContaining({ id: 2, name: 'starting', state: 'no answer' }),
    ]);
  });

  it('is only a heading where no domain runs', async () => {
    expect(await runWords(['list'], { directory: join(parent, 'none') })).toEqual({
      code: 0,
      stdout: 'Name  ID  Mem  VCPUs  State  PID\n',
      stderr: '',
    });
  });
});

describe('verbs', () => {
  it.each([
    ['pause web', ['pause']],
    ['pause 1', ['pause']],
    ['unpause web', []],
    ['reset web', ['reset']],
    ['trigger web nmi', ['nmi 0']],
    ['trigger web nmi 0', ['nmi 0']],
    ['trigger web reset', ['reset']],
    ['event-inject web 2', ['inject 2']],
    ['event-inject web 0x2', ['inject 2']],
    ['shutdown web', ['shutdown poweroff']],
    ['shutdown web --reboot', ['shutdown reboot']],
    ['shutdown web --suspend', ['shutdown suspend']],
    ['destroy web', ['destroy']],
  ])('%s', async (words, calls) => {
    // As the process of a domain does: it lets go of the name when the domain has ended.
    const [one] = served;
    web.ended.then(() => one?.[Symbol.asyncDispose]());
    expect(await dom1(words)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(web.calls).toEqual(calls);
  });

  it.each([
    ['pause wbe', 65, "no domain named 'wbe' runs; did you mean web?"],
    ['pause other', 65, "no domain named 'other' runs; running: web"],
    ['pause 17', 65, 'no domain with the id 17 runs; running: web'],
    ['pause', 64, 'dom1 pause needs a domain; write `dom1 pause <domain>`'],
    ['pause web now', 64, "'now' is one argument too many; see `dom1 --help`"],
    ['trigger web', 64, 'dom1 trigger needs a nmi|reset; write `dom1 trigger <domain> <nmi|reset>`'],
    ['trigger web init', 64, "there is no trigger 'init'; use nmi or reset"],
    ['trigger web reset 1', 64, 'a reset is for all virtual CPUs; leave the number out'],
    ['trigger web nmi x', 64, "'x' is no virtual CPU; give a number from 0 to 4294967295"],
    ['trigger web nmi 3', 1, 'the domain has no vCPU 3'],
    ['event-inject web -- -1', 64, 'dom1 event-inject needs a port'],
    ['event-inject web 77777', 1, 'the port 77777 is not open'],
    ['shutdown web --reboot --suspend', 64, 'a guest cannot reboot and suspend itself; give --reboot or --suspend'],
    ['inspect web /xen/evtchm', 1, 'there is nothing at /xen/evtchm; /xen has evtchn'],
    ['registers web 4', 1, 'the domain has no vCPU 4'],
  ])('%s: exit code %i', async (words, code, line) => {
    const run = await dom1(words);
    expect({ code: run.code, stdout: run.stdout }).toEqual({ code, stdout: '' });
    expect(run.stderr).toContain(`dom1: ${line}`);
    expect(run.stderr).toMatch(/^[^\n]+\n$/);
    expect(web.calls).toEqual([]);
  });

  it.each([
    ['resume web', 'resume'],
    ['resume web -c', 'resume cancelled'],
  ])('%s', async (words, call) => {
    expect(await dom1(words)).toMatchObject({ code: 1, stderr: 'dom1: the domain is running: it cannot be resumed\n' });
    web.change('suspended');
    expect(await dom1(words)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(web.calls).toEqual([call]);
  });

  it('say when the state does not allow it', async () => {
    web.change('suspended');
    expect(await dom1('pause web')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'dom1: the domain is suspended: it cannot be paused\n',
    });
  });

  it('say when the domain has ended', async () => {
    web.end('crashed', { reason: 'crash', retired: 0 });
    const stderr = 'dom1: the domain web has ended; see `dom1 list` for those that run\n';
    expect(await dom1('pause web')).toEqual({ code: 65, stdout: '', stderr });
    expect(await dom1('destroy web')).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

describe('shutdown --wait', () => {
  it.each([
    ['--wait', () => web.end('shutdown', { reason: 'poweroff', retired: 0 })],
    ['-w --suspend', () => web.change('suspended')],
    ['-w --reboot', () => web.change('running', 'reset')],
    ['-w --reboot', () => web.end('shutdown', { reason: 'reboot', retired: 0 })],
  ])('%s ends when the guest has done so', async (options, obey) => {
    let over = false;
    const run = dom1(`shutdown web ${options}`).finally(() => {
      over = true;
    });
    await expect.poll(() => web.calls.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(over).toBe(false);
    obey();
    expect(await run).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

describe('what is shown', () => {
  it('event-list', async () => {
    expect((await dom1('event-list web')).stdout).toBe(
      [
        'Port  VCPU  Type         Remote    Target  Pending  Masked',
        '   1     0  interdomain  dom0           3  no       no',
        '   2     0  virq         -              0  yes      yes',
        '   5     0  interdomain  loopback       6  no       no',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await dom1('event-list web --json')).stdout)).toHaveLength(3);
  });

  it('grant-list', async () => {
    expect((await dom1('grant-list web')).stdout).toBe(
      ['Ref  Type    To   Frame  Readonly  Readers  Writers', '  8  access   0  0x1234  yes             1        0', ''].join(
        '\n',
      ),
    );
  });

  it('registers', async () => {
    expect((await dom1('registers web')).stdout).toBe('rip ffffffff81000000\nrax 0000000000000001\n');
    expect(JSON.parse((await dom1('registers web 0 --json')).stdout)).toMatchObject({ vcpu: 0, registers: { rax: '0x1' } });
  });

  it('inspect', async () => {
    expect((await dom1('inspect web /xen/evtchn')).stdout).toBe(
      '   type         target\n1  interdomain       3\n2  virq              0\n',
    );
    expect((await dom1('inspect web vcpu/0/rip')).stdout).toBe('0xffffffff81000000\n');
    expect(JSON.parse((await dom1('inspect web --json')).stdout)).toMatchObject({
      name: 'web',
      vcpu: { 0: { rip: '0xffffffff81000000' } },
    });
  });
});

describe('monitor', () => {
  it('passes lines on until stdin ends and everything is answered', async () => {
    const { code, stdout } = await dom1('monitor web', { input: '{"execute":"stop"}\n{"execute":"query-status","id":1}\n' });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(code).toBe(0);
    expect(lines).toMatchObject([{ dom1: {} }, { event: 'STOP' }, { return: {} }, { return: { status: 'paused' }, id: 1 }]);
  });

  it('finds no domain that is not there', async () => {
    expect(await dom1('monitor wbe')).toMatchObject({
      code: 65,
      stderr: "dom1: no domain named 'wbe' runs; did you mean web?\n",
    });
  });
});
