import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OverlayStore } from './overlay-store.ts';
import { RamStore } from './ram-store.ts';

const SECTORS = 300;
const requests = fc.array(
  fc.record({
    do: fc.constantFrom('write', 'write', 'zero', 'discard', 'read'),
    at: fc.nat(SECTORS - 1),
    length: fc.integer({ min: 1, max: 80 }),
    fill: fc.integer({ min: 1, max: 255 }),
  }),
  { maxLength: 40 },
);

describe('an overlay in memory', () => {
  it('is what the disk below would be, which stays as it was', async () => {
    await fc.assert(
      fc.asyncProperty(requests, fc.constantFrom(512, 4096, 65536), async (work, clusterSize) => {
        const below = new Uint8Array(SECTORS * 512).map((_, i) => (i >> 9) & 0xff);
        const base = new RamStore(below.length, { contents: below });
        const overlay = new OverlayStore(base, { clusterSize });
        const model = below.slice();
        for (const step of work) {
          const offset = step.at * 512;
          const length = Math.min(step.length * 512, model.length - offset);
          if (step.do === 'write') {
            model.fill(step.fill, offset, offset + length);
            await overlay.write(offset, new Uint8Array(length).fill(step.fill));
          } else if (step.do === 'read') {
            const got = new Uint8Array(length);
            await overlay.read(offset, got);
            expect(Buffer.compare(got, model.subarray(offset, offset + length))).toBe(0);
          } else {
            model.fill(0, offset, offset + length);
            await (step.do === 'zero' ? overlay.writeZeroes(offset, length) : overlay.discard(offset, length));
          }
        }
        const all = new Uint8Array(model.length);
        await overlay.read(0, all);
        expect(Buffer.compare(all, model)).toBe(0);
        await base.read(0, all);
        expect(Buffer.compare(all, below)).toBe(0);
      }),
    );
  });

  it('keeps writes apart that share a cluster and run at the same time', async () => {
    const overlay = new OverlayStore(new RamStore(65536, { contents: new Uint8Array(65536).fill(9) }));
    await Promise.all(Array.from({ length: 64 }, (_, i) => overlay.write(i * 1024, new Uint8Array(512).fill(i + 10))));
    const all = new Uint8Array(65536);
    await overlay.read(0, all);
    for (let i = 0; i < 64; i++) expect([all[i * 1024], all[i * 1024 + 512]]).toEqual([i + 10, 9]);
  });

  it('refuses changes beyond its memory, and takes them again when others are given up', async () => {
    const overlay = new OverlayStore(new RamStore(2 ** 20), { clusterSize: 4096, maxBytes: 10_000 });
    const bytes = new Uint8Array(4096).fill(1);
    await overlay.write(0, bytes);
    await overlay.write(8192, bytes);
    await expect(overlay.write(16_384, bytes)).rejects.toThrow(
      'the changes to a disk in snapshot mode exceed 10000 bytes; allow it more memory',
    );
    await overlay.discard(0, 4096);
    await overlay.write(16_384, bytes);
    expect(overlay.usedBytes).toBeLessThanOrEqual(10_000);
  });
});
