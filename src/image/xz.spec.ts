import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { decompress } from './decompress.ts';
import { concat } from './fixtures/build-elf.ts';
import { sampleCode } from './fixtures/packed-code.ts';

const hasXz = spawnSync('xz', ['--version']).status === 0;
const code = concat(
  ...new Array<Uint8Array>(60).fill(sampleCode()),
  new Uint8Array(5000).map((_, i) => (i * i * 31) >> 3),
);
const xz = (...args: string[]): Uint8Array =>
  new Uint8Array(spawnSync('xz', ['-c', ...args], { input: code, maxBuffer: 2 ** 26 }).stdout);

// Against xz-utils itself, where it is installed; decompress.spec.ts has samples for everywhere else.
describe.skipIf(!hasXz)('what xz packs', () => {
  it.each([
    ['as the kernel does', ['--check=crc32', '--x86', '--lzma2=dict=32MiB']],
    ['at its quickest', ['-0']],
    ['at its hardest', ['-9e']],
    ['in several blocks behind the x86 filter', ['--block-size=50000', '--check=crc32', '--x86', '--lzma2=preset=1']],
    ['with a start offset', ['--x86=start=4096', '--lzma2=preset=1']],
    ['without a check', ['--check=none']],
    ['with SHA-256', ['--check=sha256']],
    ['with other literal and position bits', ['--lzma2=preset=1,lc=1,lp=3,pb=4']],
    ['with a dictionary smaller than the data', ['--lzma2=preset=1,dict=4096']],
    ['as .lzma', ['--format=lzma', '-1']],
  ])('%s unpacks', async (_, args) => {
    expect(Buffer.compare(await decompress(xz(...args), 'the file'), code)).toBe(0);
  });

  it('names a filter it does not have', async () => {
    await expect(decompress(xz('--arm', '--lzma2=preset=1'), 'the file')).rejects.toMatchObject({
      code: 'unsupported-compression',
      message: expect.stringContaining('xz filter 0x7'),
    });
  });
});
