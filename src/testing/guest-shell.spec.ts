import { describe, expect, it } from 'vitest';
import { scriptedGuest, shell } from '../machine/fixtures/scripted-guest.ts';
import { guestShell } from './guest-shell.ts';

function start() {
  const { console: terminal, print } = scriptedGuest(shell());
  print('# ');
  return guestShell(terminal);
}

describe("a test's shell in a guest", () => {
  it('gives what a command printed, without the line end', async () => {
    expect(await start()('printf "a\\nb\\n\\n"')).toBe('a\nb');
  });

  it('fails with the command, its status and its output', async () => {
    await expect(start()('echo no such luck >&2; exit 4')).rejects.toMatchObject({
      name: 'GuestCommandError',
      command: 'echo no such luck >&2; exit 4',
      status: 4,
      output: 'no such luck\n',
      message: "'echo no such luck >&2; exit 4' exited with status 4:\nno such luck",
    });
    await expect(start()('false')).rejects.toThrow(/^'false' exited with status 1$/);
  });
});
