import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DISK_SIGNATURE_BYTES, isDiskImage } from './disk-signature.ts';
import { buildBzImage } from './fixtures/build-bzimage.ts';
import { buildElf, pvhNote } from './fixtures/build-elf.ts';

const head = (at: number, ...bytes: readonly number[]): Uint8Array => {
  const file = new Uint8Array(DISK_SIGNATURE_BYTES);
  file.set(bytes, at);
  return file;
};

describe('isDiskImage', () => {
  it.each([
    ['qcow2', head(0, 0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3)],
    ['a partition table', head(510, 0x55, 0xaa)],
    ['a GPT', head(512, ...Buffer.from('EFI PART'))],
    ['ext4', head(0x438, 0x53, 0xef)],
    ['XFS', head(0, ...Buffer.from('XFSB'))],
  ])('knows %s', (_, file) => expect(isDiskImage(file)).toBe(true));

  it('does not take a kernel for one, though a bzImage has a boot sector', () => {
    const elf = buildElf({ segments: [{ paddr: 0x10_0000, data: new Uint8Array(8192) }], notes: [pvhNote(0x10_0000)] });
    const image = buildBzImage({ payload: gzipSync(elf) });
    image.set([0x55, 0xaa], 510);
    expect(isDiskImage(elf)).toBe(false);
    expect(isDiskImage(image)).toBe(false);
    expect(isDiskImage(gzipSync(elf))).toBe(false);
    expect(isDiskImage(new Uint8Array(0))).toBe(false);
  });
});
