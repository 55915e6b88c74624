import { describe, expect, it } from 'vitest';
import { SoakVerdict } from '../../bench/soak-verdict.ts';

function read(...lines: string[]): { verdict: SoakVerdict; log: string[] } {
  const log: string[] = [];
  const verdict = new SoakVerdict((text) => void log.push(text));
  for (const [i, line] of lines.entries()) verdict.line(line, i * 1000);
  return { verdict, log };
}

describe('the verdict of a soak', () => {
  it('counts a turn once, though its marks come in pieces', () => {
    const { verdict, log } = read('@@B vm', '@@B vm.', '@@E vm 0', '@@E vm 0.', '@@E vm 0.', '@@D');
    expect([verdict.passed, verdict.failures, verdict.ended]).toEqual([1, [], true]);
    expect(log).toEqual(['vm: passed, 2 s']);
  });

  it('takes a status other than success for a failure, and shows what was printed', () => {
    const { verdict, log } = read('@@B cpu.', 'stress-ng: fail: wrong sum', '@@E cpu 2.');
    expect(verdict.failures).toEqual(['cpu ended with status 2']);
    expect(log.join('\n')).toContain('wrong sum');
    expect([verdict.passed, verdict.ended]).toEqual([0, false]);
  });

  it('does not blame the machine for what is not available', () => {
    const { verdict } = read('@@B fp.', '@@E fp 3.', '@@B vecfp.', '@@E vecfp 4.');
    expect([verdict.failures, [...verdict.skipped]]).toEqual([[], ['fp', 'vecfp']]);
  });

  it('does not take for a success what has done nothing', () => {
    const { verdict } = read(
      '@@B exec.',
      'stress-ng: info: exec stressor must not run as root, skipping the stressor',
      '@@E exec 0.',
    );
    expect([verdict.passed, verdict.failures, [...verdict.skipped]]).toEqual([0, [], ['exec']]);
  });

  it('hears the kernel complain, once for a line that grows', () => {
    const { verdict } = read(
      '[ 1.0] BUG: unable',
      '[ 1.0] BUG: unable to handle page fault',
      '[ 2.0] EXT4-fs error (device xvda)',
    );
    expect(verdict.failures).toHaveLength(2);
  });

  it('counts stalls apart: a busy host makes them', () => {
    const { verdict } = read(
      '[ 9.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!',
      '[ 9.1] rcu: INFO: rcu_sched self-detected stall on CPU',
    );
    expect([verdict.stalls, verdict.failures]).toEqual([2, []]);
  });
});
