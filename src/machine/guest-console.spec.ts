import { describe, expect, it } from 'vitest';
import { scriptedGuest, shell } from './fixtures/scripted-guest.ts';

const soon = { timeout: 5000 };

describe('expect', () => {
  it('finds what was printed after the last match, in pieces or at once', async () => {
    const { console: terminal, print } = scriptedGuest();
    print('one tw');
    const two = terminal.expect(/two/, soon);
    print('o three two');
    expect((await two).index).toBe(4);
    expect((await terminal.expect(/(\w+) two/, soon))[1]).toBe('three');
  });

  it('takes a string as it stands, and any flags of a pattern', async () => {
    const { console: terminal, print } = scriptedGuest();
    print('a.c [x] abc ABC');
    await terminal.expect('[x]', soon);
    expect((await terminal.expect(/abc/giy, soon))[0]).toBe('abc');
    expect((await terminal.expect(/abc/gi, soon))[0]).toBe('ABC');
  });

  it('says what it waited for and what there was instead', async () => {
    const { console: terminal, print } = scriptedGuest();
    await expect(terminal.expect(/login/, { timeout: 1 })).rejects.toMatchObject({
      code: 'timeout',
      message: 'the guest did not print /login/ within 1 ms; it has printed nothing',
    });
    print('Kernel panic\r\n');
    await expect(terminal.expect('login', { timeout: 1 })).rejects.toThrow(
      'did not print "login" within 1 ms; its last line: "Kernel panic"',
    );
  });

  it('ends with the domain, or with the signal', async () => {
    const { console: terminal } = scriptedGuest();
    const waiting = terminal.expect(/never/);
    const given = terminal.expect(/never/, { signal: AbortSignal.abort(new Error('given up')) });
    await expect(given).rejects.toThrow('given up');
    terminal.close('poweroff');
    await expect(waiting).rejects.toMatchObject({
      code: 'closed',
      message: 'the guest ended (poweroff) before it printed /never/',
    });
  });

  it('is not held up by one that gave up before it', async () => {
    const { console: terminal, print } = scriptedGuest();
    await expect(terminal.expect(/never/, { timeout: 1 })).rejects.toThrow();
    const next = terminal.expect(/there/, soon);
    print('there');
    await next;
  });

  it('keeps 64 Ki characters of what was printed', async () => {
    const { console: terminal, print } = scriptedGuest();
    print('lost');
    for (let i = 0; i < 300; i++) print(`${'x'.repeat(999)}\n`);
    print('kept');
    await expect(terminal.expect(/lost/, { timeout: 1 })).rejects.toMatchObject({ code: 'timeout' });
    await terminal.expect(/kept/, soon);
  });
});

describe('sh', () => {
  it('waits for a prompt, and gives output and status', async () => {
    const { console: terminal, print, typed } = scriptedGuest(shell());
    const result = terminal.sh('echo one; exit 3', soon);
    print('[    0.000000] Linux version\r\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(typed).toEqual([]);
    print('# ');
    expect(await result).toEqual({ output: 'one\n', status: 3 });
  });

  it('leaves the next prompt to whoever waits for it', async () => {
    const { console: terminal, print } = scriptedGuest(shell('guest:~# '));
    print('guest:~# ');
    await terminal.sh('true', soon);
    await terminal.expect(/guest:~# $/, soon);
  });

  it('does not keep others from what the command prints', async () => {
    const { console: terminal, print } = scriptedGuest(shell());
    print('# ');
    const found = terminal.expect(/\nmark/, soon);
    expect((await terminal.sh('echo mark; echo more', soon)).output).toBe('mark\nmore\n');
    await found;
  });

  it('runs commands one after the other', async () => {
    const { console: terminal, print } = scriptedGuest(shell());
    print('# ');
    const results = await Promise.all(['echo 1', 'echo 2; exit 1', 'echo 3'].map((command) => terminal.sh(command, soon)));
    expect(results.map(({ output, status }) => output.trim() + status)).toEqual(['10', '21', '30']);
  });

  it('types at once when it is told to', async () => {
    const { console: terminal } = scriptedGuest(shell(''));
    expect(await terminal.sh('echo blind', { ...soon, prompt: false })).toEqual({ output: 'blind\n', status: 0 });
  });

  it('says so when nobody is logged in', async () => {
    const { console: terminal, print, typed } = scriptedGuest(shell());
    print('# ');
    await terminal.sh('true', soon);
    print('\r\ndebian login: ');
    const count = typed.length;
    await expect(terminal.sh('uname', soon)).rejects.toMatchObject({ code: 'login' });
    expect(typed.length).toBe(count);
  });

  it('interrupts a command that takes too long, and says what it printed', async () => {
    const {
      console: terminal,
      print,
      typed,
    } = scriptedGuest((line, answer) => {
      if (line === '\x03') return answer('^C\r\n# ');
      if (line.includes('sleep')) return answer(`${/printf '%s<\\n' (\S+);/.exec(line)?.[1]?.replace('""', '')}<\r\nworking\r\n`);
      shell()(line, answer);
    });
    print('# ');
    await expect(terminal.sh('echo working; sleep 60', { timeout: 200 })).rejects.toMatchObject({
      code: 'timeout',
      message: `'echo working; sleep 60' did not end within 200 ms; it printed last: "working"`,
    });
    expect(typed.at(-1)).toBe('\x03');
    expect((await terminal.sh('echo fine', soon)).output).toBe('fine\n');
  });

  it('interrupts a command only when it has begun: the shell would read ^C as a part of the line', async () => {
    const { console: terminal, print, typed } = scriptedGuest();
    print('# ');
    await expect(terminal.sh('sleep 60', { timeout: 100 })).rejects.toMatchObject({ code: 'timeout' });
    expect(typed).not.toContain('\x03');
    print('dom1-1');
    expect(typed).not.toContain('\x03');
    print('<\r\n');
    print('more\r\n');
    expect(typed.filter((line) => line === '\x03')).toHaveLength(1);
  });

  it('types nothing when it is given up before its turn', async () => {
    const { console: terminal, typed } = scriptedGuest();
    const abort = new AbortController();
    const result = terminal.sh('true', { signal: abort.signal });
    abort.abort(new Error('changed my mind'));
    await expect(result).rejects.toThrow('changed my mind');
    expect(typed).toEqual([]);
  });

  it('names the command that the end of the domain cut off', async () => {
    const { console: terminal, print } = scriptedGuest();
    print('# ');
    const result = terminal.sh('poweroff -f', soon);
    setTimeout(() => terminal.close('poweroff'), 100);
    await expect(result).rejects.toMatchObject({
      code: 'closed',
      message: "the guest ended (poweroff) before 'poweroff -f' did",
    });
    await expect(terminal.sh('true')).rejects.toMatchObject({ code: 'closed' });
  });

  it('does not take what the last kernel printed for a prompt of the next', async () => {
    const { console: terminal, print, typed } = scriptedGuest(shell());
    print('# ');
    await terminal.sh('true', soon);
    terminal.restart();
    const count = typed.length;
    const result = terminal.sh('echo again', soon);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(typed.length).toBe(count);
    print('# ');
    expect((await result).output).toBe('again\n');
  });
});

describe('login', () => {
  /** login(1) with one user. */
  const getty = (user: string, password?: string) => {
    let asked: 'user' | 'password' | 'shell' = 'user';
    let name = '';
    return (line: string, print: (text: string) => void): void => {
      if (asked === 'shell') return shell('root@debian:~# ')(line, print);
      if (asked === 'user') {
        name = line;
        print(`${line}\r\n`);
        if (password !== undefined || name !== user) {
          asked = 'password';
          return print('Password: ');
        }
      } else if (name !== user || line !== password) {
        asked = 'user';
        return print('\r\n\r\nLogin incorrect\r\ndebian login: ');
      }
      asked = 'shell';
      print('\r\nLast login: Mon Nov 23 10:00:00 UTC 2026 on hvc0\r\nroot@debian:~# ');
    };
  };

  it('waits for the login prompt, and is at a shell then', async () => {
    const { console: terminal, print } = scriptedGuest(getty('root'));
    const login = terminal.login(soon);
    print('Debian GNU/Linux 12 debian hvc0\r\n\r\ndebian login: ');
    await login;
    expect((await terminal.sh('echo in', soon)).output).toBe('in\n');
    await terminal.login(soon); // there is nothing to do
  });

  it('gives the password that is asked for', async () => {
    const { console: terminal, print, typed } = scriptedGuest(getty('user', 'secret'));
    print('debian login: ');
    await terminal.login({ ...soon, user: 'user', password: 'secret' });
    expect(typed).toEqual(['user', 'secret']);
  });

  it.each([
    [{ user: 'user', password: 'wrong' }, 'the guest does not let user in: the login is incorrect'],
    [{ user: 'user' }, 'the guest does not let user in: it asks for a password, and none was given'],
  ])('is refused with %j', async (given, message) => {
    const { console: terminal, print } = scriptedGuest(getty('user', 'secret'));
    print('debian login: ');
    await expect(terminal.login({ ...soon, ...given })).rejects.toMatchObject({ code: 'login-failed', message });
  });

  it('says what there was instead of a login prompt', async () => {
    const { console: terminal, print } = scriptedGuest();
    print('Kernel panic\r\n');
    await expect(terminal.login({ timeout: 20 })).rejects.toThrow(
      'the guest did not show a login prompt within 20 ms; its last line: "Kernel panic"',
    );
  });
});
