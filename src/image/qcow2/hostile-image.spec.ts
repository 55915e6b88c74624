// Images that somebody made to do harm: whatever they say, what comes is a typed error with the next step, soon, and without much
// memory.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockStoreError } from '../../io/block-store-error.ts';
import { RamFile } from '../../io/ram-file.ts';
import { RamStore } from '../../io/ram-store.ts';
import { nodeInflater } from '../../node/node-inflater.ts';
import { ImageError } from '../image-error.ts';
import { checkImage, repairImage } from './check-image.ts';
import { createImage } from './create-image.ts';
import { openPlain } from './fixtures/model-run.ts';
import { readHeader } from './header.ts';
import { EXTENSION, HEADER, INCOMPATIBLE, setU64, viewOf } from './layout.ts';
import { openQcow2 } from './open-qcow2.ts';

const SIZE = 40 * 4096;
const BAD_WORDS = [0, 1, 0x1ff, 0x200, 0x1000, 0x3000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x4000_0000, 0x00ff_ffff];

async function sample(version: 2 | 3 = 3): Promise<Uint8Array> {
  const file = new RamFile('evil.qcow2');
  await createImage(file, { size: SIZE, clusterSize: 4096, version, backing: { name: 'base', format: 'raw' } });
  const store = await openPlain(file, () => new RamStore(SIZE));
  await store.write(4096, new Uint8Array(3 * 4096).fill(1));
  await store.write(20 * 4096, new Uint8Array(9000).fill(2));
  await store.close();
  return file.contents();
}

/** What may be thrown; anything else is a bug of ours. */
function expectTyped(error: unknown): void {
  if (!(error instanceof ImageError || error instanceof BlockStoreError)) throw error;
  expect(error.message).toContain('evil.qcow2');
  expect(error.hint.length).toBeGreaterThan(5);
}

const attempt = async (work: () => Promise<unknown>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    expectTyped(error);
  }
};

describe('a hostile image', () => {
  it('ends in a typed error or works, whatever its bytes are', async () => {
    const images = [await sample(2), await sample(3)];
    await fc.assert(
      fc.asyncProperty(
        fc.nat(images.length - 1),
        fc.array(
          fc.tuple(
            // Header, L1, refcount table, block, L2: all tables of this image lie in the first clusters; and anywhere.
            fc.oneof(
              fc.nat(27).map((i) => i * 4),
              fc.tuple(fc.integer({ min: 1, max: 8 }), fc.nat(80)).map(([c, i]) => c * 4096 + i * 4),
              fc.nat(12_000).map((i) => i * 4),
            ),
            fc.oneof(fc.constantFrom(...BAD_WORDS), fc.nat(0xffff), fc.nat(0xffff_ffff)),
          ),
          { minLength: 1, maxLength: 4 },
        ),
        fc.option(fc.nat(60_000)),
        async (version, changes, cut) => {
          const image = images[version] as Uint8Array;
          const bytes = cut === null ? image.slice() : image.slice(0, cut);
          for (const [at, word] of changes) if (at + 4 <= bytes.length) viewOf(bytes).setUint32(at, word);
          const fresh = (): RamFile => new RamFile('evil.qcow2', bytes);
          await attempt(async () => {
            const store = await openPlain(fresh(), () => new RamStore(SIZE, { readOnly: true }));
            const end = Math.min(store.sizeBytes, SIZE);
            const into = new Uint8Array(4096);
            for (let at = 0; at + 4096 <= end; at += 4096) await attempt(() => store.read(at, into));
            for (let at = 0; at + 8192 <= end; at += 12_288)
              await attempt(() => store.write(at + 512, new Uint8Array(6144).fill(3)));
            await attempt(() => store.discard(0, Math.floor(end / 2 / 512) * 512));
            await attempt(() => store.flush());
            await attempt(() => store.writeZeroes(0, Math.min(end, 65536)));
            await attempt(() => store.grow(store.sizeBytes + 4096));
            await attempt(() => store.close());
          });
          await attempt(() => checkImage(fresh()));
          await attempt(async () => {
            const file = fresh();
            const found = await repairImage(file);
            if (found.errorsLeft === 0) expect((await checkImage(file)).errors).toBe(0);
          });
        },
      ),
      { numRuns: 1500 },
    );
  }, 120_000);

  it('cannot have a cluster far behind its end written', async () => {
    const bytes = await sample();
    const { l1Offset } = await readHeader(new RamFile('evil.qcow2', bytes));
    // Guest cluster 0: data, or zeroes that have their place, used by nobody else.
    for (const low of [0, 1]) {
      const copy = bytes.slice();
      const view = viewOf(copy);
      const l2 = view.getUint32(l1Offset + 4);
      view.setUint32(l2, 0x8000_ffff);
      view.setUint32(l2 + 4, low);
      const file = new RamFile('evil.qcow2', copy);
      const store = await openPlain(file, () => new RamStore(SIZE));
      for (const length of [512, 4096])
        await expect(store.write(0, new Uint8Array(length))).rejects.toMatchObject({ name: 'ImageError', code: 'corrupt' });
      await store.close().catch(expectTyped);
      expect(file.size).toBe(bytes.length);
    }
  });

  it('does not pass with bits in an L1 entry that mean nothing', async () => {
    for (const bit of [0, 8, 56, 62]) {
      const bytes = await sample();
      const view = viewOf(bytes);
      const at = (await readHeader(new RamFile('evil.qcow2', bytes))).l1Offset;
      view.setBigUint64(at, view.getBigUint64(at) | (1n << BigInt(bit)));
      expect(await checkImage(new RamFile('evil.qcow2', bytes))).toMatchObject({ errors: 1, errorsLeft: 1 });
    }
  });

  it('cannot make a compressed cluster more than a cluster', async () => {
    const bytes = await sample();
    // Entries that say "compressed" with all kinds of places and lengths.
    await fc.assert(
      fc.asyncProperty(fc.nat(0x3fff_ffff), fc.nat(0xffff_ffff), fc.boolean(), async (high, low, zstd) => {
        const copy = bytes.slice();
        const view = viewOf(copy);
        const header = await readHeader(new RamFile('evil.qcow2', copy));
        const l2 = view.getUint32(header.l1Offset + 4);
        view.setUint32(l2, (high | 0x4000_0000) >>> 0);
        view.setUint32(l2 + 4, low % 70_000);
        if (zstd) {
          view.setUint32(HEADER.incompatible + 4, INCOMPATIBLE.compressionType);
          copy[HEADER.compressionType] = 1;
        }
        const store = await openPlain(new RamFile('evil.qcow2', copy), () => new RamStore(SIZE));
        await attempt(() => store.read(0, new Uint8Array(4096)));
        await attempt(() => store.write(512, new Uint8Array(512)));
        await attempt(() => store.close());
      }),
      { numRuns: 200 },
    );
  });
});

describe('an image that cannot be opened', () => {
  const changed = async (change: (view: DataView, bytes: Uint8Array) => void): Promise<string> => {
    const file = new RamFile('disk.qcow2');
    await createImage(file, { size: SIZE });
    const bytes = file.contents();
    change(viewOf(bytes), bytes);
    const error: unknown = await openQcow2(new RamFile('disk.qcow2', bytes), { inflater: nodeInflater }).then(
      (store) => store.close().then(() => new Error('it opened')),
      (reason: unknown) => reason,
    );
    return (error as Error).message;
  };
  const PLAIN = 'convert it with `qemu-img convert -O qcow2` to a plain image';

  it('is named with its reason', async () => {
    expect(await changed((view) => view.setUint32(HEADER.cryptMethod, 2))).toBe(`disk.qcow2 is encrypted (LUKS); ${PLAIN}`);
    expect(await changed((view) => view.setUint32(HEADER.incompatible + 4, 4))).toBe(
      `disk.qcow2 keeps its data in an external data file; ${PLAIN}`,
    );
    expect(await changed((view) => view.setUint32(HEADER.incompatible + 4, 16))).toBe(
      `disk.qcow2 has extended L2 entries (subclusters); ${PLAIN}`,
    );
    expect(await changed((view) => view.setUint32(HEADER.incompatible + 4, 2))).toBe(
      'disk.qcow2 is marked as corrupt; run `dom1 image check --repair`, or open it read-only',
    );
    expect(await changed((view) => view.setUint32(HEADER.version, 4))).toContain('is qcow2 of version 4');
    expect(await changed((view) => view.setUint32(HEADER.clusterBits, 30))).toContain('its clusters have 2^30 bytes');
    expect(await changed((view) => view.setUint32(HEADER.l1Size, 0xffff_ffff))).toContain('its L1 table has');
    expect(await changed((view) => setU64(view, HEADER.l1Offset, 2 ** 40))).toContain('is truncated');
  });

  it('names features by the names that the image gives them', async () => {
    const message = await changed((view, bytes) => {
      view.setUint32(HEADER.incompatible, 1);
      view.setUint32(HEADER.incompatible + 4, 0x20);
      // The table is the first extension of an image without a backing file.
      expect(view.getUint32(112)).toBe(EXTENSION.featureNames);
      bytes.set([0, 32, ...new TextEncoder().encode('time travel\0')], 120);
    });
    expect(message).toBe(`disk.qcow2 needs features that dom1 does not know: bit 5, time travel; ${PLAIN}`);
  });
});
