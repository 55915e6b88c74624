// How dom1 exits for each way a guest can end, on guests of a few bytes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SHUTDOWN } from '../../src/abi/xen/sched.ts';
import { busyGuest, haltGuest, shutdownGuest, tripleFaultGuest } from '../guest-program.ts';
import { dom1 } from './dom1.ts';

let directory: string;
const path = (name: string): string => join(directory, name);
const REGISTERS = /rip [0-9a-f]{16} {2}rflags [0-9a-f]{8}[\s\S]*rax [0-9a-f]{16}[\s\S]*cr3 [0-9a-f]{16}[\s\S]*code /;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-end-'));
  for (const reason of ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog'] as const)
    writeFileSync(path(reason), shutdownGuest(SHUTDOWN[reason]));
  writeFileSync(path('halt'), haltGuest());
  writeFileSync(path('busy'), busyGuest());
  writeFileSync(path('triple-fault'), tripleFaultGuest());
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('the exit code says how the guest ended', () => {
  it('0: it powered off', async () => {
    expect(await dom1(['run', path('poweroff')])).toEqual({ code: 0, stdout: '', stderr: 'hello\n' });
  });

  it('0: its only vCPU halted with interrupts off', async () => {
    expect(await dom1(['run', path('halt')])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('81: it asked for a reboot', async () => {
    const { code, stderr } = await dom1(['run', path('reboot')]);
    expect({ code, stderr }).toEqual({
      code: 81,
      stderr: 'hello\ndom1: the guest asked for a reboot; start dom1 again to boot it again\n',
    });
  });

  it('not at all when it suspended itself: it waits to be resumed', async () => {
    const { code, stderr } = await dom1(['run', path('suspend')], { signal: { name: 'SIGTERM', after: 'suspended itself' } });
    expect(code).toBe(143);
    expect(stderr).toContain('dom1: the guest suspended itself; let it go on with: dom1 resume ');
  });

  it('82: its watchdog ran out', async () => {
    const { code, stderr } = await dom1(['run', path('watchdog')]);
    expect(code).toBe(82);
    expect(stderr).toContain("dom1: the guest's watchdog ran out");
    expect(stderr).toMatch(REGISTERS);
  });

  it('80: it crashed, with registers and what its console had', async () => {
    const { code, stderr } = await dom1(['run', path('crash')]);
    expect(code).toBe(80);
    expect(stderr).toContain('dom1: the guest crashed: it told Xen so');
    expect(stderr).toMatch(REGISTERS);
    expect(stderr).toContain('its console printed nothing');
  });

  it('80: it triple-faulted, with the registers of that place', async () => {
    const { code, stderr } = await dom1(['run', path('triple-fault')]);
    expect(code).toBe(80);
    expect(stderr).toContain('dom1: the guest crashed: triple fault');
    expect(stderr).toMatch(/rip 0000000000100007/); // the ud2 behind the seven bytes of lidt
    expect(stderr).toMatch(/code 0f 0b/);
  });

  it('84: it powered off before the command of --exec had ended', async () => {
    const { code, stderr } = await dom1(['run', path('poweroff'), '--exec', 'true']);
    expect(code).toBe(84);
    expect(stderr).toContain('dom1: the guest powered off before the command had ended');
  });

  it('124: its time was over', async () => {
    const { code, stderr } = await dom1(['run', path('busy'), '--timeout', '0.5']);
    expect(code).toBe(124);
    expect(stderr).toMatch(/dom1: the guest did not end within 0\.5 s/);
    expect(stderr).toMatch(REGISTERS);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('after %s: %i', async (name, expected) => {
    const { code, stderr } = await dom1(['run', path('busy')], { signal: { name, after: 'hello' } });
    expect({ code, stderr }).toEqual({ code: expected, stderr: `hello\ndom1: ended the guest on ${name}\n` });
  });
});

describe('--trace', () => {
  it('prints the tracepoints that match, with their time', async () => {
    const { code, stderr } = await dom1(['run', path('poweroff'), '--trace', 'xen.*']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^\[ +\d+\.\d{6}\] xen\.hypercall vcpu=0 nr=18 op=0x0 result=0$/m);
    expect(stderr).toMatch(/^\[ +\d+\.\d{6}\] xen\.shutdown reason=0$/m);
  });

  it('prints nothing else', async () => {
    const { stderr } = await dom1(['run', path('poweroff'), '--trace', 'xen.shutdown']);
    expect(stderr.split('\n').filter((line) => line.startsWith('['))).toHaveLength(1);
  });
});
