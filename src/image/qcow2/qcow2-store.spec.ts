import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RamFile } from '../../io/ram-file.ts';
import { RamStore } from '../../io/ram-store.ts';
import { checkImage } from './check-image.ts';
import { createImage, type NewImage } from './create-image.ts';
import { openPlain, runSteps, steps } from './fixtures/model-run.ts';
import { HEADER, setU64, viewOf } from './layout.ts';

const SECTORS = 700;

async function newImage(options: Partial<NewImage> = {}): Promise<RamFile> {
  const file = new RamFile('the image');
  await createImage(file, { size: SECTORS * 512, ...options });
  return file;
}

const clean = { errors: 0, leaks: 0, errorsLeft: 0, problems: [] };

const FORMATS: readonly (readonly [string, Partial<NewImage>])[] = [
  ['version 3', {}],
  ['version 2', { version: 2 }],
  ['clusters of 512 bytes', { clusterSize: 512 }],
  ['clusters of 4096 bytes and counts of one bit', { clusterSize: 4096, refcountBits: 1 }],
  ['clusters of 512 bytes and counts of 64 bits', { clusterSize: 512, refcountBits: 64 }],
  ['lazy counts', { lazyRefcounts: true, clusterSize: 1024 }],
];

describe('a qcow2 image', () => {
  it.each(FORMATS)('is what a disk in memory is, and checks clean: %s', async (_, options) => {
    await fc.assert(
      fc.asyncProperty(steps(SECTORS, 200), async (work) => {
        const file = await newImage(options);
        await runSteps(file, work, new Uint8Array(SECTORS * 512));
        expect(await checkImage(file)).toMatchObject(clean);
      }),
      { numRuns: 60 },
    );
  });

  it.each(FORMATS)('shows a backing disk that is shorter or longer where nothing was written: %s', async (_, options) => {
    await fc.assert(
      fc.asyncProperty(steps(SECTORS, 200), fc.integer({ min: 0, max: SECTORS * 2 }), async (work, backingSectors) => {
        const below = new Uint8Array(backingSectors * 512).fill(0xee);
        const start = new Uint8Array(SECTORS * 512);
        start.set(below.subarray(0, start.length));
        const file = await newImage({ ...options, backing: { name: 'base', format: 'raw' } });
        const backing = (): RamStore => new RamStore(below.length, { contents: below, readOnly: true });
        await runSteps(file, work, start, backing);
        expect(await checkImage(file)).toMatchObject(clean);
      }),
      { numRuns: 40 },
    );
  });

  it.each([2, 3] as const)('grows by zeroes where it was larger once: version %i', async (version) => {
    const file = await newImage({ clusterSize: 4096, version });
    const before = await openPlain(file);
    await before.write(0, new Uint8Array(SECTORS * 512).fill(7));
    await before.close();
    const size = new Uint8Array(8);
    setU64(viewOf(size), 0, 5 * 512);
    await file.write(HEADER.size, size);
    const store = await openPlain(file);
    await store.grow(SECTORS * 512);
    const into = new Uint8Array(SECTORS * 512);
    await store.read(0, into);
    await store.close();
    expect(into.indexOf(0)).toBe(5 * 512);
    expect(into.findLastIndex((byte) => byte !== 0)).toBe(5 * 512 - 1);
    expect(await checkImage(file)).toMatchObject(clean);
  });

  it('takes no room to discard what the backing disk does not reach', async () => {
    const file = new RamFile('the image');
    await createImage(file, { size: 2 ** 33, clusterSize: 4096, backing: { name: 'base', format: 'raw' } });
    const store = await openPlain(file, () => new RamStore(8192, { contents: new Uint8Array(8192).fill(0xee), readOnly: true }));
    await store.discard(0, 2 ** 33);
    await store.flush();
    const into = new Uint8Array(16_384);
    await store.read(0, into);
    await store.close();
    expect(into.every((byte) => byte === 0)).toBe(true);
    expect(file.size).toBeLessThan(2 ** 18);
  });

  it('keeps requests apart that share clusters and run at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = lcg(seed);
        const file = await newImage({ clusterSize: 4096 });
        const store = await openPlain(file);
        const model = new Uint8Array(SECTORS * 512);
        for (let round = 0; round < 4; round++) {
          // Requests of one round do not overlap, so their order does not matter.
          const requests: Promise<void>[] = [];
          for (let at = 0; at < SECTORS; ) {
            const length = Math.min(1 + (random() % 12), SECTORS - at);
            const fill = random() & 0xff;
            if (random() % 3 !== 0) {
              model.fill(fill, at * 512, (at + length) * 512);
              requests.push(store.write(at * 512, new Uint8Array(length * 512).fill(fill)));
            } else if (random() % 2 === 0) {
              model.fill(0, at * 512, (at + length) * 512);
              requests.push(store.writeZeroes(at * 512, length * 512));
            } else requests.push(store.flush());
            at += length;
          }
          await Promise.all(requests);
          const all = new Uint8Array(model.length);
          await store.read(0, all);
          expect(Buffer.compare(all, model)).toBe(0);
        }
        await store.close();
        expect(await checkImage(file)).toMatchObject(clean);
      }),
      { numRuns: 30 },
    );
  });

  it('uses the room again that a discard gave up', async () => {
    const file = await newImage({ clusterSize: 4096 });
    const store = await openPlain(file);
    const bytes = new Uint8Array(100 * 4096 - 300 * 512).fill(1);
    await store.write(0, bytes);
    await store.flush();
    const before = file.size;
    for (let round = 0; round < 5; round++) {
      await store.discard(0, bytes.length);
      await store.flush();
      await store.write(0, bytes);
      await store.flush();
    }
    expect(file.size).toBe(before);
    await store.close();
  });

  it('says that it is read-only, and where it ends', async () => {
    const file = await newImage();
    const store = await openPlain(file);
    await expect(store.read(SECTORS * 512, new Uint8Array(512))).rejects.toThrow(
      'the image has 358400 bytes, and not 512 more at offset 358400; resize the disk, or check the partition table',
    );
    await expect(store.grow(512)).rejects.toThrow('the image is qcow2 and cannot shrink');
    await store.close();
  });
});

const lcg = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
};
