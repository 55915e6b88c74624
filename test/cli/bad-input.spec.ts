import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBzImage } from '../../src/image/fixtures/build-bzimage.ts';
import { buildElf } from '../../src/image/fixtures/build-elf.ts';
import { haltGuest } from '../guest-program.ts';
import { dom1 } from './dom1.ts';

let directory: string;
const path = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-cli-'));
  mkdirSync(path('folder'));
  writeFileSync(path('text'), 'this is no kernel\n');
  writeFileSync(path('empty'), '');
  writeFileSync(path('halt'), haltGuest());
  writeFileSync(path('no-entry'), buildElf({ segments: [{ paddr: 0x10_0000, data: new Uint8Array(16) }] }));
  writeFileSync(path('big-initrd'), new Uint8Array(8 << 20));
  const bzImage = buildBzImage({ payload: gzipSync(haltGuest()) });
  writeFileSync(path('bzImage'), bzImage);
  writeFileSync(path('truncated'), bzImage.subarray(0, bzImage.length - 100));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('input that will not do is one line with thing, reason and next step', () => {
  it.each([
    ['a missing kernel', ['missing'], /missing: there is no such kernel file; check the path/],
    ['a directory', ['folder'], /folder: the kernel is a directory; give the path of the kernel file in it/],
    ['a device', ['/dev/null'], /\/dev\/null: the kernel is no regular file; /],
    ['an empty file', ['empty'], /empty: the kernel is empty; /],
    ['a file that is no kernel', ['text'], /text: the file is no kernel: neither ELF nor bzImage; give an x86 Linux bzImage/],
    ['a kernel without a PVH entry', ['no-entry'], /no-entry: the kernel has no PVH entry .*; use one built with CONFIG_PVH/],
    [
      'a truncated bzImage',
      ['truncated'],
      /truncated: .* is truncated: it needs \d+ bytes and has \d+; fetch or copy the file again/,
    ],
    ['a missing initrd', ['halt', '--initrd', 'missing'], /missing: there is no such initrd file; check the path/],
    ['an initrd that is a directory', ['halt', '--initrd', 'folder'], /folder: the initrd is a directory; /],
    [
      'an initrd that is too large',
      ['halt', '--initrd', 'big-initrd', '--memory', '4MiB'],
      /the initrd has 8 MiB, .*; give at least \d+ MiB/,
    ],
    ['too little memory', ['halt', '--memory', '64KiB'], /the guest has 1 MiB of memory; give at least 2 MiB/],
    ['memory that is no whole pages', ['halt', '--memory', '1025K'], /not whole pages; give a multiple of 4 KiB/],
    ['too much memory', ['halt', '--memory', '5GiB'], /more than a guest can have; give at most \d+ ?MiB/],
  ])('%s', async (_, [kernel, ...words], line) => {
    const file = (word: string): string => (/^(missing|folder|big-initrd)$/.test(word) ? path(word) : word);
    const { code, stdout, stderr } = await dom1([
      'run',
      kernel?.startsWith('/') ? kernel : path(kernel ?? ''),
      ...words.map(file),
    ]);
    expect({ code, stdout }).toEqual({ code: 65, stdout: '' });
    expect(stderr).toMatch(/^dom1: [^\n]+; [^\n]+\n$/);
    expect(stderr).toMatch(line);
  });

  it('the fixtures that are sound do run', async () => {
    expect(await dom1(['run', path('bzImage')])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('a tracepoint that does not exist', async () => {
    const { code, stderr } = await dom1(['run', path('halt'), '--trace', 'xne.*']);
    expect(code).toBe(64);
    expect(stderr).toMatch(/^dom1: no tracepoint matches 'xne\.\*'; the subsystems are .*xen.*\n$/);
  });

  it('a host without a package tool', async () => {
    const { code, stderr } = await dom1(['demo'], { env: { PATH: '/nonexistent', XDG_CACHE_HOME: path('cache') } });
    expect(code).toBe(65);
    expect(stderr).toMatch(/^dom1: this host has no apt-cache .*; pass --kernel and --initrd .*\n$/);
  });
});
