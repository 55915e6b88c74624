// `dom1 run --profile` with a real guest: the tables, and the trace in a file.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenRules } from '../../src/machine/profile/fixtures/trace-event-rules.ts';
import { guest } from '../guest/kernels.ts';
import { dom1 } from './dom1.ts';

const parts = await guest('linux-image-cloud-amd64');
const BOOT = 120_000;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-profile-'));
  if (parts !== undefined) writeFileSync(join(directory, 'initrd'), parts.initrd);
});
afterAll(() => rmSync(directory, { recursive: true }));

const COMMAND_LINE = ['--', 'console=hvc0', 'quiet', 'cryptomgr.notests'];

describe.skipIf(parts === undefined)('dom1 run --profile', () => {
  const words = (): string[] => ['run', parts?.kernel ?? '', '--initrd', join(directory, 'initrd'), '--timeout', '100'];

  it('prints where the time went, and writes a trace', { timeout: BOOT }, async () => {
    const trace = join(directory, 'trace.json');
    // A symbol for all of the kernel's code.
    writeFileSync(join(directory, 'System.map'), 'ffffffff81000000 T all_of_it\n');
    const options = [`--profile=${trace}`, '--system-map', join(directory, 'System.map'), '--exec', 'echo done'];
    const { code, stdout, stderr } = await dom1([...words(), ...options, ...COMMAND_LINE]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'done\n' });
    expect(stderr).toMatch(/^profile of vCPU 0: [\d.]+ s, of it [\d.]+ s busy, \d+ million instructions/);
    expect(stderr).toMatch(/\n {2}translated code +[\d.]+ +[\d.]+\n {2}interpreted code +[\d.]+ +[\d.]+\n/);
    expect(stderr).toMatch(/ {2}all_of_it\n/);
    expect(stderr).toMatch(/ {2}hypercall event_channel_op\n/);
    expect(stderr).toMatch(/ {2}exception 14\n/);
    expect(stderr).toMatch(/ {2}not hot yet\n/);
    expect(stderr).toMatch(/ {2}return: ret\n/);
    expect(stderr).toContain(`the trace is in ${trace}`);
    const parsed: unknown = JSON.parse(readFileSync(trace, 'utf8'));
    expect(brokenRules(parsed)).toEqual([]);
    const { traceEvents } = parsed as { traceEvents: { ph: string; cat?: string }[] };
    for (const cat of ['translated', 'interpreted', 'compile'])
      expect(traceEvents.some((event) => event.ph === 'X' && event.cat === cat)).toBe(true);
  });

  it('prints it on Ctrl-C too', { timeout: BOOT }, async () => {
    const { code, stderr } = await dom1([...words(), '--profile', '--', 'console=hvc0'], {
      signal: { name: 'SIGINT', after: 'Linux version' },
    });
    expect(code).toBe(130);
    expect(stderr).toMatch(/profile of vCPU 0: /);
    expect(stderr).toContain('--system-map gives the functions names');
  });

  it('says what is wrong with its files before the guest runs', async () => {
    const nowhere = await dom1([...words(), '--profile=/nonexistent/trace.json', ...COMMAND_LINE]);
    expect(nowhere.stderr).toBe('dom1: /nonexistent/trace.json: the profile cannot be written (ENOENT); check the path\n');
    const map = join(directory, 'initrd');
    const wrong = await dom1([...words(), '--profile', '--system-map', map, ...COMMAND_LINE]);
    expect(wrong.stderr).toMatch(/^dom1: .*initrd: no line is a symbol/);
    const alone = await dom1([...words(), '--system-map', map, ...COMMAND_LINE]);
    expect(alone.stderr).toBe('dom1: --system-map names the functions of a profile; give --profile too\n');
  });
});
