import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAr } from './ar.ts';
import { readDeb } from './deb.ts';
import { buildAr, buildDeb, buildTar } from './fixtures/build-archives.ts';
import { damaged } from './fixtures/damage.ts';
import { ImageError } from './image-error.ts';

const files = buildTar([
  { path: './bin/', flag: '5' },
  { path: './bin/busybox', data: 'bb' },
]);
const paths = async (deb: Uint8Array): Promise<string[]> => {
  const found: string[] = [];
  for await (const { path } of readDeb(deb)) found.push(path);
  return found;
};

describe('readDeb', () => {
  it.each([
    ['data.tar.gz', gzipSync(files)],
    ['data.tar', files],
  ])('reads the files in %s', async (name, data) => {
    expect(await paths(buildDeb(name, data))).toEqual(['bin', 'bin/busybox']);
  });

  it.each([
    ['a file that is no ar archive', files, 'not-an-archive', /not an ar archive/],
    ['an ar archive that is no package', buildAr([{ name: 'a.o', data: 'x' }]), 'not-an-archive', /not a Debian package/],
    ['a package without files', buildAr([{ name: 'debian-binary', data: '2.0\n' }]), 'not-an-archive', /no data\.tar/],
    ['a cut package', buildDeb('data.tar', files).slice(0, 2000), 'truncated', /truncated/],
    [
      'a compression it does not know',
      buildDeb('data.tar.bz2', new TextEncoder().encode('BZh9')),
      'unsupported-compression',
      /data\.tar\.bz2 is compressed with bzip2/,
    ],
  ])('refuses %s', async (_, deb, code, message) => {
    await expect(paths(deb)).rejects.toMatchObject({ name: 'ImageError', code, message: expect.stringMatching(message) });
  });

  it('meets damage with an ImageError or with files, nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(buildDeb('data.tar.gz', gzipSync(files))), async (bytes) => {
        const result = await paths(bytes).catch((error: unknown) => error);
        expect(result instanceof ImageError || Array.isArray(result), String(result)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe('readAr', () => {
  it('reads members of odd and even length', () => {
    expect(
      readAr(
        buildAr([
          { name: 'odd', data: 'abc' },
          { name: 'even/', data: 'de' },
        ]),
      ).map(({ name, data }) => [name, new TextDecoder().decode(data)]),
    ).toEqual([
      ['odd', 'abc'],
      ['even', 'de'],
    ]);
  });
});
