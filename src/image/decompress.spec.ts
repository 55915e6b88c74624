import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressionOf, decompress } from './decompress.ts';
import { concat } from './fixtures/build-elf.ts';
import { damaged } from './fixtures/damage.ts';
import { PACKED, sampleCode } from './fixtures/packed-code.ts';
import { ImageError } from './image-error.ts';

const code = sampleCode();
const files: Readonly<Record<string, Uint8Array>> = {
  gzip: gzipSync(code),
  ...Object.fromEntries(Object.entries(PACKED).map(([name, text]) => [name, new Uint8Array(Buffer.from(text, 'base64'))])),
};
const failure = (bytes: Uint8Array, options = {}): Promise<unknown> =>
  decompress(bytes, 'the file', options).then(
    () => 'it unpacked',
    (error: unknown) => error,
  );

describe.each(Object.entries(files))('%s', (name, packed) => {
  it('is told by its magic', () => {
    expect(compressionOf(packed)).toBe(name.split('-')[0]);
  });

  it('unpacks', async () => {
    expect(await decompress(packed, 'the file')).toEqual(code);
  });

  it('unpacks when the size is known', async () => {
    expect(await decompress(packed, 'the file', { size: code.length })).toEqual(code);
  });

  it('is refused when it unpacks to more than is allowed', async () => {
    expect(await failure(packed, { maxBytes: 3999 })).toMatchObject({ name: 'ImageError', code: 'too-large' });
  });

  it('is refused when it is cut anywhere', async () => {
    for (let length = 6; length < packed.length; length += Math.ceil(packed.length / 40)) {
      // A legacy LZ4 frame has no end marker: cut at a block's end it is whole.
      if (name === 'lz4' && length < 8) continue;
      expect(await failure(packed.slice(0, length)), `cut to ${length} bytes`).toMatchObject({
        name: 'ImageError',
        message: expect.stringMatching(/truncated|too early|corrupt/),
      });
    }
  });

  it('meets damage with an ImageError or with bytes, nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(damaged(packed), async (bytes) => {
        const result = await decompress(bytes, 'the file', { maxBytes: 1 << 22 }).catch((error: unknown) => error);
        expect(result instanceof ImageError || result instanceof Uint8Array, String(result)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

describe('decompress', () => {
  it('names a compression it does not know', async () => {
    expect(await failure(new TextEncoder().encode('BZh9…'))).toMatchObject({
      code: 'unsupported-compression',
      message: expect.stringContaining('compressed with bzip2'),
    });
    expect(await failure(new Uint8Array([0x04, 0x22, 0x4d, 0x18]))).toMatchObject({
      message: expect.stringContaining('lz4-frame'),
    });
    expect(await failure(new Uint8Array(0))).toMatchObject({ message: expect.stringContaining('begins with nothing') });
  });

  it('notices a changed byte in what xz has a CRC32 of', async () => {
    const bytes = (files['xz-x86'] as Uint8Array).slice();
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] as number) ^ 1;
    expect(await failure(bytes)).toMatchObject({ code: 'corrupt' });
  });

  it('unpacks several zstd frames, skipping what is to be skipped', async () => {
    const frame = files['zstd'] as Uint8Array;
    const skippable = new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    expect(await decompress(concat(frame, skippable, frame), 'the file')).toEqual(concat(code, code));
  });

  it('refuses a zstd frame that wants a huge window', async () => {
    const bytes = (files['zstd'] as Uint8Array).slice();
    expect((bytes[4] as number) & 0x20).toBe(0); // not a single segment, so byte 5 is the window
    bytes[5] = 0xa0; // 2^30
    expect(await failure(bytes)).toMatchObject({ code: 'unsupported-compression', message: expect.stringContaining('1024 MiB') });
  });

  it('unpacks nothing from a packed nothing', async () => {
    expect(await decompress(gzipSync(new Uint8Array(0)), 'the file')).toEqual(new Uint8Array(0));
  });
});
