import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { whyNoPty } from './fixtures/why-no-pty.ts';
import { Pty } from './pty.ts';

const missing = whyNoPty();

describe.skipIf(missing !== undefined)(`a pty${missing === undefined ? '' : ` (not run: ${missing})`}`, () => {
  let pty: Pty;
  let typed = '';
  beforeEach(() => {
    typed = '';
    pty = Pty.open();
    pty.onData = (bytes) => {
      typed += new TextDecoder().decode(bytes);
    };
  });
  afterEach(() => pty.close());

  const other = (): number => openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const read = (fd: number): string => {
    const bytes = new Uint8Array(65536);
    try {
      return new TextDecoder().decode(bytes.subarray(0, readSync(fd, bytes)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      return '';
    }
  };

  it('carries bytes both ways as they are: no echo, no line ends changed, no signals', async () => {
    const fd = other();
    expect(pty.write(new TextEncoder().encode('a\nb\r\x03\x04'))).toBe(true);
    expect(read(fd)).toBe('a\nb\r\x03\x04');
    writeSync(fd, 'ls\r\x03\x11');
    await expect.poll(() => typed).toBe('ls\r\x03\x11');
    expect(read(fd)).toBe('');
    closeSync(fd);
  });

  it('goes on while nobody is there, and shows the next one what was missed', async () => {
    closeSync(other());
    pty.write(new TextEncoder().encode('early'));
    await sleep(20);
    const fd = other();
    expect(read(fd)).toBe('early');
    writeSync(fd, 'hello');
    await expect.poll(() => typed).toBe('hello');
    closeSync(fd);
  });

  it('says when the other end has no room, and when it has again; nothing is lost', async () => {
    const text = 'x'.repeat(300_000);
    let drained = false;
    pty.onDrain = () => {
      drained = true;
    };
    expect(pty.write(new TextEncoder().encode(text))).toBe(false);
    const fd = other();
    let got = '';
    const end = performance.now() + 20_000;
    while (got.length < text.length && performance.now() < end) {
      got += read(fd);
      await sleep(1);
    }
    expect(got).toBe(text);
    expect(drained).toBe(true);
    closeSync(fd);
  });

  it('is a terminal for a program', async () => {
    const child = spawn('sh', ['-c', `exec <"$0" >"$0"; test -t 0 && read line && echo "got $line"`, pty.path]);
    pty.write(new TextEncoder().encode('word\n'));
    await expect.poll(() => typed).toBe('got word\n');
    child.kill();
  });

  it('hangs up on who is there when it is closed; closing twice is no harm', async () => {
    const fd = other();
    pty.close();
    pty.close();
    const hungUp = (): boolean => {
      try {
        return readSync(fd, new Uint8Array(1)) === 0;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EIO';
      }
    };
    await expect.poll(hungUp).toBe(true);
    expect(pty.write(Uint8Array.of(1))).toBe(true);
    closeSync(fd);
  });
});
