import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, cpioCharDevice, cpioDirectory, cpioFile, cpioLink, readCpio, writeCpio } from './cpio.ts';
import { damaged } from './fixtures/damage.ts';
import { ImageError } from './image-error.ts';

const entries: readonly CpioEntry[] = [
  cpioDirectory('dev'),
  cpioCharDevice('dev/console', 5, 1),
  cpioFile('init', '#!/bin/sh\n', 0o755),
  cpioLink('sh', 'bin/büsybox'),
  { ...cpioFile('ünï', new Uint8Array([1, 2, 3])), uid: 1000, gid: 100, mtime: 1_700_000_000 },
];

describe('writeCpio', () => {
  it('writes the header the kernel documents', () => {
    const text = new TextDecoder('latin1').decode(writeCpio([cpioFile('a', 'xyz', 0o644)]));
    const fields = [
      '00000001',
      '000081a4',
      '00000000',
      '00000000',
      '00000001',
      '00000000',
      '00000003',
      '00000000',
      '00000000',
      '00000000',
      '00000000',
      '00000002',
      '00000000',
    ];
    expect(text.slice(0, 116)).toBe(`070701${fields.join('')}a\0xyz\0`);
    expect(text.slice(116)).toContain('TRAILER!!!');
  });

  it('pads everything to 4 bytes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 9 }), fc.uint8Array({ maxLength: 9 })), { maxLength: 4 }),
        (files) => {
          expect(writeCpio(files.map(([path, data]) => cpioFile(path, data))).length % 4).toBe(0);
        },
      ),
    );
  });
});

describe('readCpio', () => {
  it('reads what writeCpio wrote', () => {
    const read = readCpio(writeCpio(entries));
    expect(read).toEqual(entries.map((entry) => ({ uid: 0, gid: 0, mtime: 0, device: [0, 0], ...entry })));
  });

  it('refuses what is no cpio archive', () => {
    expect(() => readCpio(new TextEncoder().encode('hello, world'))).toThrow(expect.objectContaining({ code: 'not-an-archive' }));
  });

  it('is truncated without its trailer', () => {
    expect(() => readCpio(writeCpio(entries).slice(0, 300))).toThrow(/cpio archive is truncated/);
  });

  it('meets damage with an ImageError or with entries, nothing else', () => {
    fc.assert(
      fc.property(damaged(writeCpio(entries)), (bytes) => {
        try {
          expect(readCpio(bytes)).toBeInstanceOf(Array);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
