import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ShellReply, shellLines } from './shell-command.ts';

/** What a real shell prints when the lines are its input, and what is found in that. */
function run(command: string, chunk = 1e9, lineEnd = '\r\n'): { output: string; status: number } {
  const printed = spawnSync('sh', [], { input: shellLines(command, 'tag-1').join(''), encoding: 'utf8' }).stdout.replaceAll(
    '\n',
    lineEnd,
  );
  let output = '';
  const reply = new ShellReply('tag-1', (text) => {
    output += text;
  });
  let status = -1;
  for (let at = 0; at < printed.length; at += chunk) status = reply.receive(printed.slice(at, at + chunk))?.status ?? status;
  return { output, status };
}

describe.skipIf(spawnSync('sh', ['-c', ':']).status !== 0)('a command typed into a shell', () => {
  it('gives output and status', () => {
    expect(run('echo one; echo two >&2; exit 3')).toEqual({ output: 'one\ntwo\n', status: 3 });
  });

  it('may print no line end, or nothing', () => {
    expect(run('printf abc')).toEqual({ output: 'abc', status: 0 });
    expect(run('false')).toEqual({ output: '', status: 1 });
  });

  it('may have quotes, tabs, line ends, backslashes, percent signs and other alphabets in it', () => {
    expect(run(`printf '%s|' "a\tb" 'c"d' "it's" '\\' '100%' 'grüße'\necho done`).output).toBe(
      'a\tb|c"d|it\'s|\\|100%|grüße|done\n',
    );
  });

  it('may be longer than a line', () => {
    const words = Array.from({ length: 900 }, (_, i) => `"w${i}"`).join(' ');
    const typed = shellLines(`for w in ${words}; do echo $w; done`, 'tag-1');
    expect(Math.max(...typed.map((line) => line.length))).toBeLessThan(800);
    expect(run(`for w in ${words}; do echo $w; done`).output.split('\n')).toHaveLength(901);
  });

  it('may be no shell syntax at all', () => {
    expect(run(`echo "unfinished`).status).toBe(2);
  });

  it('reads no input', () => {
    expect(run('cat; echo end').output).toBe('end\n');
  });

  it.each([1, 2, 7, 64])('is understood in pieces of %i characters', (chunk) => {
    expect(run('echo one; echo; printf x', chunk)).toEqual({ output: 'one\n\nx', status: 0 });
  });

  // pv_ring_puts of Xen's shim.
  it.each([1, 2, 3, 7, 64, 1e9])('may be on a console that returns the carriage after each line, in pieces of %i', (chunk) => {
    expect(run('echo one; echo; printf "x\\ry"', chunk, '\r\n\r')).toEqual({ output: 'one\n\nx\ry', status: 0 });
    expect(run('echo; false', chunk, '\r\n\r')).toEqual({ output: '\n', status: 1 });
    expect(run('true', chunk, '\r\n\r')).toEqual({ output: '', status: 0 });
  });

  it('may print an empty line first, or carriage returns', () => {
    expect(run('echo; printf "a\\r"; echo')).toEqual({ output: '\na\r\n', status: 0 });
  });

  it('gives what it printed when the guest ends under it', () => {
    let output = '';
    const reply = new ShellReply('tag-1', (text) => {
      output += text;
    });
    reply.receive('echo\r\ntag-1<\r\nreboot: Restarting\r\n');
    reply.close();
    expect(output).toBe('reboot: Restarting\n');
  });

  it('leaves what comes after the end to others', () => {
    const reply = new ShellReply('tag-1', () => {});
    expect(reply.receive('tag-1<\r\nout\r\ntag-1:0>\r\nguest:~# ')).toEqual({ status: 0, rest: 'guest:~# '.length });
  });

  it('does not find its marks in the echo', () => {
    const reply = new ShellReply('tag-1', () => expect.unreachable());
    const echo = shellLines('true', 'tag-1').join('');
    expect(reply.receive(echo)).toBeUndefined();
  });
});
