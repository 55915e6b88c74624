import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTar, paxRecord } from './fixtures/build-archives.ts';
import { damaged } from './fixtures/damage.ts';
import { ImageError } from './image-error.ts';
import { readTar, type TarEntry, type TarOptions } from './tar.ts';

const all = async (bytes: Uint8Array, options: TarOptions = {}, chunk = bytes.length): Promise<TarEntry[]> => {
  const chunks = Array.from({ length: Math.ceil(bytes.length / (chunk || 1)) }, (_, i) =>
    bytes.subarray(i * chunk, (i + 1) * chunk),
  );
  const entries: TarEntry[] = [];
  for await (const entry of readTar(chunks, options)) entries.push(entry);
  return entries;
};
const long = `${'d'.repeat(90)}/${'f'.repeat(80)}`;
const archive = buildTar([
  { path: './', flag: '5', mode: 0o755 },
  { path: './boot/vmlinuz', data: 'kernel' },
  { path: 'link', flag: '2', link: '../boot/vmlinuz' },
  { path: 'hard', flag: '1', link: './boot/vmlinuz' },
  { path: 'after', data: 'x' },
]);

describe('readTar', () => {
  it('reads files, directories and links', async () => {
    expect(
      (await all(archive)).map(({ path, type, mode, linkTarget, data }) => [
        path,
        type,
        mode,
        linkTarget,
        new TextDecoder().decode(data),
      ]),
    ).toEqual([
      ['', 'directory', 0o755, '', ''],
      ['boot/vmlinuz', 'file', 0o644, '', 'kernel'],
      ['link', 'symlink', 0o644, '../boot/vmlinuz', ''],
      ['hard', 'hardlink', 0o644, 'boot/vmlinuz', ''],
      ['after', 'file', 0o644, '', 'x'],
    ]);
  });

  it('does not mind how the bytes are cut into chunks', async () => {
    const whole = await all(archive);
    for (const size of [1, 7, 511, 512, 513, 1000]) expect(await all(archive, {}, size)).toEqual(whole);
  });

  it('skips what is not wanted', async () => {
    expect((await all(archive, { want: ({ path }) => path === 'after' }, 100)).map(({ path }) => path)).toEqual(['after']);
  });

  it('joins the ustar prefix, and not that of GNU', async () => {
    const [posix, gnu] = await all(
      buildTar([
        { path: 'name', prefix: 'some/dir' },
        { path: 'name', prefix: 'some/dir', magic: 'ustar ' },
      ]),
    );
    expect([posix?.path, gnu?.path]).toEqual(['some/dir/name', 'name']);
  });

  it("takes GNU's long names and links, for one entry each", async () => {
    const entries = await all(
      buildTar([
        { path: '././@LongLink', flag: 'L', data: `${long}\0` },
        { path: '././@LongLink', flag: 'K', data: `${long}2\0` },
        { path: 'cut', flag: '2', link: 'cut' },
        { path: 'next' },
      ]),
    );
    expect(entries.map(({ path, linkTarget }) => [path, linkTarget])).toEqual([
      [long, `${long}2`],
      ['next', ''],
    ]);
  });

  it('takes pax headers: for one entry, and for all that follow', async () => {
    const entries = await all(
      buildTar([
        { path: 'g', flag: 'g', data: paxRecord('mtime', '99') },
        { path: 'x', flag: 'x', data: paxRecord('path', `${long}/ü`) + paxRecord('mtime', '12.5') },
        { path: 'cut', data: 'data' },
        { path: 'next' },
      ]),
    );
    expect(entries.map(({ path, mtime }) => [path, mtime])).toEqual([
      [`${long}/ü`, 12.5],
      ['next', 99],
    ]);
  });

  it.each([
    ['what is no tar archive', new Uint8Array(1024).fill(7), 'not-an-archive'],
    ['an empty file', new Uint8Array(0), 'not-an-archive'],
    ['a path that leaves the archive', buildTar([{ path: 'a/../../etc/passwd' }]), 'corrupt'],
    ['a type it does not know', buildTar([{ path: 'a', flag: 'S' }]), 'unsupported'],
    ['a cut archive', archive.slice(0, 600), 'truncated'],
    ['an archive without its end', archive.slice(0, 512 * 7), 'truncated'],
    ['a bad pax record', buildTar([{ path: 'x', flag: 'x', data: '99 a=b\n' }]), 'corrupt'],
  ])('refuses %s', async (_, bytes, code) => {
    await expect(all(bytes)).rejects.toMatchObject({ name: 'ImageError', code });
  });

  it('refuses a file larger than it may hold', async () => {
    await expect(all(archive, { maxBytes: 5 })).rejects.toMatchObject({ code: 'too-large' });
  });

  it('stops its source when it is left early', async () => {
    let stopped = false;
    async function* source() {
      try {
        for (;;) yield archive;
      } finally {
        stopped = true;
      }
    }
    for await (const entry of readTar(source())) if (entry.path === 'boot/vmlinuz') break;
    expect(stopped).toBe(true);
  });

  it('meets damage with an ImageError or with entries, nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(archive), async (bytes) => {
        const result = await all(bytes).catch((error: unknown) => error);
        expect(result instanceof ImageError || Array.isArray(result), String(result)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it.skipIf(spawnSync('tar', ['--version']).status !== 0).each(['ustar', 'gnu', 'pax'])(
    'reads what tar writes as %s',
    async (format) => {
      const directory = mkdtempSync(join(tmpdir(), 'dom1-tar-'));
      try {
        const deep = join('a'.repeat(60), 'b'.repeat(60));
        mkdirSync(join(directory, deep), { recursive: true });
        writeFileSync(join(directory, deep, 'file'), 'contents');
        writeFileSync(join(directory, 'short'), 'short');
        linkSync(join(directory, 'short'), join(directory, 'zhard'));
        symlinkSync('zhard', join(directory, 'zsoft'));
        const { stdout } = spawnSync('tar', ['-C', directory, `--format=${format}`, '--sort=name', '-cf', '-', '.']);
        const read = new Map((await all(new Uint8Array(stdout))).map((entry) => [entry.path, entry]));
        expect(new TextDecoder().decode(read.get(`${deep}/file`)?.data)).toBe('contents');
        expect(read.get('zhard')).toMatchObject({ type: 'hardlink', linkTarget: 'short' });
        expect(read.get('zsoft')).toMatchObject({ type: 'symlink', linkTarget: 'zhard' });
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );
});
