import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBzImage } from './bzimage.ts';
import { buildBzImage } from './fixtures/build-bzimage.ts';
import { buildElf, concat, le, pvhNote } from './fixtures/build-elf.ts';
import { damaged } from './fixtures/damage.ts';
import { PACKED } from './fixtures/packed-code.ts';
import { ImageError } from './image-error.ts';
import { loadKernel } from './kernel.ts';

const code = new Uint8Array(300).map((_, i) => i * 7);
const segments = [
  { paddr: 0x100_0000, data: code, memSize: 0x1000 },
  { paddr: 0x200_0000, data: code },
];
const vmlinux = buildElf({ segments, notes: [{ name: 'Xen', type: 6, descriptor: new Uint8Array(6) }, pvhNote(0x100_0010)] });
const gzipped = buildBzImage({ payload: gzipSync(vmlinux), version: '6.1.0 (me) #1' });
/** A legacy LZ4 frame of literals alone. */
const lz4OfLiterals = (data: Uint8Array): Uint8Array => {
  const lengths = [0xf0, ...new Array<number>(Math.floor((data.length - 15) / 255)).fill(255), (data.length - 15) % 255];
  return concat(new Uint8Array([0x02, 0x21, 0x4c, 0x18]), le(lengths.length + data.length, 4), new Uint8Array(lengths), data);
};
const failure = async (bytes: Uint8Array): Promise<ImageError> => {
  const error: unknown = await loadKernel(bytes).then(
    () => new Error('it loaded'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ImageError);
  return error as ImageError;
};

describe('loadKernel', () => {
  it('gives the PVH entry, the segments and the memory they need, of an ELF kernel', async () => {
    const kernel = await loadKernel(vmlinux);
    expect(kernel).toMatchObject({
      format: 'elf',
      compression: 'none',
      bits: 64,
      entry: 0x100_0010,
      start: 0x100_0000,
      end: 0x200_0000 + 300,
    });
    expect(kernel.segments.map(({ paddr, data, memSize }) => [paddr, data.length, memSize])).toEqual([
      [0x100_0000, 300, 0x1000],
      [0x200_0000, 300, 300],
    ]);
    expect(kernel.segments[1]?.data).toEqual(code);
  });

  it('takes a 4-byte entry note', async () => {
    expect((await loadKernel(buildElf({ segments, notes: [pvhNote(0x200_0000, 4)] }))).entry).toBe(0x200_0000);
  });

  it('takes a packed ELF kernel', async () => {
    expect(await loadKernel(gzipSync(vmlinux))).toMatchObject({ format: 'elf', compression: 'gzip', entry: 0x100_0010 });
  });

  it('takes a bzImage with a gzip payload, and says its version', async () => {
    expect(await loadKernel(gzipped)).toMatchObject({
      format: 'bzImage',
      compression: 'gzip',
      entry: 0x100_0010,
      version: '6.1.0 (me) #1',
    });
  });

  it('takes a bzImage with an LZ4 payload, whose unpacked size follows it', async () => {
    const image = buildBzImage({ payload: lz4OfLiterals(vmlinux), unpackedSize: vmlinux.length });
    expect(await loadKernel(image)).toMatchObject({ format: 'bzImage', compression: 'lz4', entry: 0x100_0010 });
  });

  it('takes a bzImage of the oldest kind, whose 0 set-up sectors mean 4', async () => {
    expect(await loadKernel(buildBzImage({ payload: gzipSync(vmlinux), setupSects: 0 }))).toMatchObject({ entry: 0x100_0010 });
  });

  it('allows relocations behind the ELF file in the payload', async () => {
    expect(await loadKernel(buildBzImage({ payload: gzipSync(concat(vmlinux, new Uint8Array(4000))) }))).toMatchObject({
      entry: 0x100_0010,
    });
  });

  it('unpacks the x86 filter of an xz payload', async () => {
    const payload = Buffer.from(PACKED['xz-x86'], 'base64');
    expect((await failure(buildBzImage({ payload, unpackedSize: 4000 }))).message).toMatch(/its payload is no ELF file/);
  });

  it('refuses a payload that unpacks to another size than it says', async () => {
    const image = buildBzImage({ payload: lz4OfLiterals(vmlinux), unpackedSize: vmlinux.length + 1 });
    expect(await failure(image)).toMatchObject({ code: 'corrupt' });
  });

  it.each([
    [
      'a text',
      new TextEncoder().encode('hello, world'),
      'not-a-kernel',
      /no kernel: neither ELF nor bzImage; give an x86 Linux bzImage/,
    ],
    ['nothing', new Uint8Array(0), 'not-a-kernel', /no kernel: it is empty/],
    ['a cpio archive', new TextEncoder().encode('070701'), 'not-a-kernel', /perhaps an initramfs/],
    ['packed text', gzipSync('hello'), 'not-a-kernel', /gzip data with no ELF file inside/],
    ['a kernel without a PVH entry', buildElf({ segments }), 'no-pvh-entry', /no PVH entry .* use one built with CONFIG_PVH/],
    ['an ELF file with nothing to load', buildElf({ notes: [pvhNote(0)] }), 'not-a-kernel', /nothing to load/],
    [
      'an entry outside the segments',
      buildElf({ segments, notes: [pvhNote(0x300_0000)] }),
      'corrupt',
      /PVH entry 0x3000000 is outside/,
    ],
    ['an entry above 4 GiB', buildElf({ segments, notes: [pvhNote(2 ** 32)] }), 'corrupt', /not below 4 GiB/],
    ['an old boot protocol', buildBzImage({ payload: gzipSync(vmlinux), protocol: 0x207 }), 'unsupported', /boot protocol 2\.07/],
    ['a cut bzImage', gzipped.slice(0, gzipped.length - 100), 'truncated', /the bzImage is truncated: it needs \d+ bytes/],
    ['a cut payload', buildBzImage({ payload: gzipSync(vmlinux).subarray(0, 200) }), 'corrupt', /end too early/],
    [
      'bzip2',
      buildBzImage({ payload: new TextEncoder().encode('BZh91AY'), unpackedSize: 9 }),
      'unsupported-compression',
      /bzip2/,
    ],
    [
      'lzo',
      buildBzImage({ payload: new Uint8Array([0x89, 0x4c, 0x5a, 0x4f, 0]), unpackedSize: 9 }),
      'unsupported-compression',
      /lzo/,
    ],
    [
      'an unknown compression',
      buildBzImage({ payload: new Uint8Array([1, 2, 3, 4]), unpackedSize: 9 }),
      'unsupported-compression',
      /begins with 01 02 03 04/,
    ],
  ])('refuses %s in one line', async (_, bytes, code, message) => {
    const error = await failure(bytes);
    expect(error).toMatchObject({ code });
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^[^\n]+; [^\n]+$/);
    expect(error.message.endsWith(error.hint)).toBe(true);
  });

  it('meets damaged kernels with an ImageError or a kernel, nothing else', async () => {
    const lz4 = buildBzImage({ payload: lz4OfLiterals(vmlinux), unpackedSize: vmlinux.length });
    const any = fc.oneof(damaged(vmlinux), damaged(gzipped), damaged(lz4));
    await fc.assert(
      fc.asyncProperty(any, async (bytes) => {
        const result = await loadKernel(bytes).catch((error: unknown) => error);
        expect(result instanceof ImageError || (typeof result === 'object' && result !== null && 'segments' in result)).toBe(
          true,
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe('readBzImage', () => {
  it('finds the payload', () => {
    expect(readBzImage(buildBzImage({ payload: new Uint8Array([5, 6]), unpackedSize: 1 })).payload).toEqual(
      new Uint8Array([5, 6, 1, 0, 0, 0]),
    );
  });
});

describe('a multiboot header', () => {
  const header = (flags: number, checksum = -(0x1bad_b002 + flags)): Uint8Array =>
    concat(new Uint8Array(64), le(0x1bad_b002, 4), le(flags, 4), le(checksum >>> 0, 4), new Uint8Array(64));
  const kernelWith = (data: Uint8Array): Uint8Array =>
    buildElf({ bits: 32, segments: [{ paddr: 0x1000, data }], notes: [pvhNote(0x1010, 4)] });

  it('is told of, and is another way in', async () => {
    expect(await loadKernel(vmlinux)).toMatchObject({ multiboot: false });
    expect(await loadKernel(kernelWith(header(3)))).toMatchObject({ multiboot: true, entry: 0x1010 });
    expect(await loadKernel(kernelWith(header(3)), 'multiboot')).toMatchObject({ entry: 0x1000 });
  });

  it('must be there, and whole, and ask for nothing else than memory and modules', async () => {
    const refused = (data: Uint8Array) => loadKernel(data, 'multiboot').catch((error: unknown) => error);
    expect(await refused(vmlinux)).toMatchObject({ code: 'no-multiboot-header' });
    expect(await refused(kernelWith(header(3, 1)))).toMatchObject({ code: 'no-multiboot-header' });
    expect(await refused(kernelWith(header(4)))).toMatchObject({ code: 'unsupported', message: /a video mode/ });
    expect(await refused(kernelWith(concat(new Uint8Array(8192), header(3))))).toMatchObject({ code: 'no-multiboot-header' });
  });
});
