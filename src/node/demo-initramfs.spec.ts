import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile, readCpio } from '../image/cpio.ts';
import { busyboxApplets, demoInitramfs } from './demo-initramfs.ts';

const busybox = new TextEncoder().encode('\x7fELF[\0junk[\0[[\0cat\0sh\0\0[\0[[\0busybox\0cat\0mount\0poweroff\0sh\0\0more');
const entries = new Map(
  readCpio(demoInitramfs(busybox, [cpioDirectory('lib'), cpioFile('lib/x.ko', 'x')])).map((entry) => [entry.path, entry]),
);
const text = (path: string): string => new TextDecoder().decode(entries.get(path)?.data);

describe('busyboxApplets', () => {
  it('finds the list in the binary', () => {
    expect(busyboxApplets(new TextEncoder().encode('x[\0[[\0ash\0sh\0zcat\0\0'))).toEqual(['[', '[[', 'ash', 'sh', 'zcat']);
  });

  it('passes over what only looks like it', () => {
    expect(busyboxApplets(new TextEncoder().encode('[\0[[\0!]\0\0[\0[[\0sh\0\0'))).toEqual(['[', '[[', 'sh']);
  });

  it('refuses a file without a list', () => {
    expect(() => busyboxApplets(new TextEncoder().encode('[\0[[\0no shell'))).toThrow(/no list of applets; use the busybox of/);
  });
});

describe('demoInitramfs', () => {
  it('has busybox, and a link to it for each applet', () => {
    expect(entries.get('bin/busybox')).toMatchObject({ mode: 0o100755, data: busybox });
    expect(text('bin/cat')).toBe('busybox');
    expect(entries.get('bin/sh')?.mode).toBe(0o120777);
  });

  it('has the console that the kernel opens for PID 1', () => {
    expect(entries.get('dev/console')).toMatchObject({ mode: 0o020600, device: [5, 1] });
  });

  it('puts each directory before what is in it', () => {
    const paths = [...entries.keys()];
    for (const path of paths) {
      const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
      if (parent !== '') expect(paths.slice(0, paths.indexOf(path)), path).toContain(parent);
    }
  });

  it('takes further entries', () => {
    expect(text('lib/x.ko')).toBe('x');
  });

  it.skipIf(spawnSync('sh', ['-c', ':']).status !== 0).each(['init', 'etc/session', 'etc/profile'])(
    'has a /%s that a shell can parse',
    (path) => {
      expect(spawnSync('sh', ['-n'], { input: text(path), encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    },
  );

  it('can run its scripts', () => {
    expect(entries.get('init')?.mode).toBe(0o100755);
    expect(entries.get('etc/session')?.mode).toBe(0o100755);
  });
});
