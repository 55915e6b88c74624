// The host loses power at any moment, and of what was written since the last barrier any part arrives. What was flushed is there, and
// the image is sound but for clusters that are counted and not used.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RamFile } from '../../io/ram-file.ts';
import { RamStore } from '../../io/ram-store.ts';
import { checkImage, repairImage } from './check-image.ts';
import { createImage, type NewImage } from './create-image.ts';
import { FailingFile, PowerFailure } from './fixtures/failing-file.ts';
import { openPlain } from './fixtures/model-run.ts';

const SECTORS = 800;

describe('an image on a host that loses power', () => {
  it.each<readonly [string, Partial<NewImage>]>([
    ['clusters of 4 KiB', { clusterSize: 4096 }],
    ['clusters of 512 bytes and counts of 64 bits', { clusterSize: 512, refcountBits: 64 }],
    ['version 2', { version: 2, clusterSize: 1024 }],
    ['upon a backing disk', { clusterSize: 4096, backing: { name: 'base', format: 'raw' } }],
  ])(
    'has all that was flushed: %s',
    async (_, options) => {
      await fc.assert(
        fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 400 }), async (seed, calls) => {
          let state = seed >>> 0;
          const random = (below: number): number => {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            return (state >>> 8) % below;
          };
          const made = new RamFile('the image');
          await createImage(made, { size: SECTORS * 512, ...options });
          const file = new FailingFile(made.contents(), calls);
          const backing = (): RamStore => new RamStore(SECTORS * 512, { readOnly: true });
          /** The step that a sector holds, or may hold; of the steps that were flushed the last one is among them. */
          const allowed = Array.from({ length: SECTORS }, () => [0]);
          let flushing = Promise.resolve();
          let off = false;
          const fails = (error: unknown): void => {
            if (!(error instanceof PowerFailure)) throw error;
            off = true;
          };
          try {
            const store = await openPlain(file, backing);
            for (let step = 1; step < 200 && !off; step++) {
              const at = random(SECTORS);
              const length = Math.min(1 + random(random(6) === 0 ? 200 : 16), SECTORS - at);
              const kind = random(8);
              if (kind === 0) {
                await flushing;
                const before = allowed.map((values) => values.length);
                flushing = store.flush().then(() => {
                  for (let i = 0; i < SECTORS; i++) (allowed[i] as number[]).splice(0, (before[i] as number) - 1);
                }, fails);
                continue;
              }
              const value = kind < 6 ? step : 0;
              for (let i = at; i < at + length; i++) (allowed[i] as number[]).push(value);
              const words = new Uint32Array((length * 512) / 4).fill(step);
              if (kind < 6) await store.write(at * 512, new Uint8Array(words.buffer));
              else await store.writeZeroes(at * 512, length * 512);
            }
          } catch (error) {
            fails(error);
          }
          await flushing;
          const left = await file.remains(random);
          expect(await checkImage(left)).toMatchObject({ errors: 0 });
          const store = await openPlain(left, backing);
          const words = new Uint32Array((SECTORS * 512) / 4);
          await store.read(0, new Uint8Array(words.buffer));
          for (let i = 0; i < SECTORS; i++) {
            // Sectors arrive whole, so their first word tells.
            expect(allowed[i]).toContain(words[i * 128]);
          }
          await store.close();
          await repairImage(left);
          expect(await checkImage(left)).toMatchObject({ errors: 0, leaks: 0 });
        }),
        { numRuns: 75 },
      );
    },
    60_000,
  );
});
