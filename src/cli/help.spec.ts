import { describe, expect, it } from 'vitest';
import { COMMANDS } from './commands.ts';
import { help } from './help.ts';

describe('help', () => {
  it('names every command, and has no line wider than 100 columns', () => {
    for (const text of [help(), ...COMMANDS.map((row) => help(row))])
      for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
    for (const { name } of COMMANDS) expect(help()).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
  });

  it('shows short options and repeated arguments', () => {
    const text = help(COMMANDS.find(({ name }) => name === 'xenstore-watch'));
    expect(text).toContain('Usage: dom1 xenstore-watch <domain> <path>... [options]');
    expect(text).toContain('-n, --number <count>');
  });

  it('has the exit codes that a command can have', () => {
    const of = (name: string): string => help(COMMANDS.find((row) => row.name === name));
    expect(of('run')).toContain("the guest's watchdog ran out");
    expect(of('pause')).toContain('the domain refused');
    expect(of('pause')).not.toContain('watchdog');
  });
});
