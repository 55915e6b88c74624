// Our images before qemu-img, and its images before us.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkImage, repairImage } from '../image/qcow2/check-image.ts';
import { createImage, type NewImage } from '../image/qcow2/create-image.ts';
import { runSteps, steps } from '../image/qcow2/fixtures/model-run.ts';
import { readHeader } from '../image/qcow2/header.ts';
import { readSnapshots } from '../image/qcow2/snapshots.ts';
import { DiskFile } from './disk-file.ts';
import { hasQemuImg, qemuCheck, qemuImg, qemuIo } from './fixtures/qemu-img.ts';
import { type DiskSpec, openDisk } from './open-disk.ts';

let directory: string;
const at = (name: string): string => join(directory, name);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-qcow2-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Text-like and random data, with holes: something that compresses, and something that does not. */
function mixedDisk(bytes: number, seed: number): Uint8Array {
  const disk = new Uint8Array(bytes);
  let state = seed;
  for (let start = 0; start < bytes; start += 20_000) {
    const kind = (start / 20_000) % 4;
    if (kind === 3) continue;
    for (let i = start; i < Math.min(start + 20_000, bytes); i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      disk[i] = kind === 0 ? state >>> 24 : kind === 1 ? 65 + ((i >> 7) % 26) : 7;
    }
  }
  return disk;
}

async function contents(spec: DiskSpec): Promise<Uint8Array> {
  const disk = await openDisk({ ...spec, readOnly: true });
  try {
    const bytes = new Uint8Array(disk.store.sizeBytes);
    // Pieces that fit no cluster.
    for (let offset = 0; offset < bytes.length; offset += 50_176)
      await disk.store.read(offset, bytes.subarray(offset, Math.min(offset + 50_176, bytes.length)));
    return bytes;
  } finally {
    await disk.close();
  }
}

const same = (got: Uint8Array, expected: Uint8Array): void => {
  expect(got.length).toBe(expected.length);
  expect(Buffer.compare(got, expected)).toBe(0);
};

describe.skipIf(!hasQemuImg)('our reader and qemu-img', () => {
  const SIZE = 3_000_320;
  it.each([
    ['version 2', ['-o', 'compat=0.10']],
    ['version 3', ['-o', 'compat=1.1']],
    ['compressed with zlib', ['-c']],
    ['compressed with zstd', ['-c', '-o', 'compression_type=zstd']],
    ['clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['compressed clusters of 512 bytes', ['-c', '-o', 'cluster_size=512']],
    ['compressed clusters of 2 MiB', ['-c', '-o', 'cluster_size=2M']],
    ['clusters of 2 MiB and counts of 64 bits', ['-o', 'cluster_size=2M,refcount_bits=64']],
    ['counts of one bit', ['-o', 'refcount_bits=1']],
    ['lazy refcounts', ['-o', 'lazy_refcounts=on']],
  ])('read the same: %s', async (_, options) => {
    const disk = mixedDisk(SIZE, 1);
    writeFileSync(at('raw'), disk);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, at('raw'), at('image'));
    same(await contents({ path: at('image') }), disk);
    // Clusters that it wrote, written by us.
    const opened = await openDisk({ path: at('image') });
    for (let offset = 0; offset < SIZE - 8192; offset += 133_120) {
      const piece = new Uint8Array(5120).fill(offset & 0xff);
      disk.set(piece, offset);
      await opened.store.write(offset, piece);
    }
    await opened.close();
    same(await contents({ path: at('image') }), disk);
    expect(qemuCheck(at('image'))).toMatchObject({ 'check-errors': 0 });
    expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
    expect(qemuCheck(at('image')).leaks ?? 0).toBe(0);
    writeFileSync(at('raw'), disk);
    expect(qemuImg('compare', at('raw'), at('image'))).toContain('identical');
  });

  it('read the same through a chain of backing files with relative names', async () => {
    const disk = mixedDisk(SIZE, 2);
    writeFileSync(at('base'), disk);
    qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'raw', at('middle'));
    qemuIo(at('middle'), 'write -P 17 64k 100k', 'write -z 1M 128k');
    qemuImg('create', '-q', '-f', 'qcow2', '-b', 'middle', '-F', 'qcow2', at('top'), '4M');
    qemuIo(at('top'), 'write -P 18 200k 3k', 'write -P 19 3500k 5k');
    qemuImg('convert', '-O', 'raw', at('top'), at('flat'));
    const opened = await openDisk({ path: at('top') });
    await opened.store.write(512, new Uint8Array(1024).fill(9));
    await opened.close();
    qemuImg('convert', '-O', 'raw', at('top'), at('flat'));
    same(await contents({ path: at('top') }), await contents({ path: at('flat'), format: 'raw' }));
    expect(qemuCheck(at('top')).corruptions ?? 0).toBe(0);
  });

  it('read internal snapshots, and leave them alone when the disk is written', async () => {
    const disk = mixedDisk(SIZE, 3);
    writeFileSync(at('raw'), disk);
    qemuImg('convert', '-O', 'qcow2', '-c', at('raw'), at('image'));
    qemuIo(at('image'), 'write -P 33 0 300k');
    disk.fill(33, 0, 300 * 1024);
    qemuImg('snapshot', '-c', 'before', at('image'));
    const later = disk.slice();
    const opened = await openDisk({ path: at('image') });
    for (const [offset, length] of [
      [1024, 2048],
      [100_352, 200_704],
      [1_500_160, 70_144],
    ] as const) {
      later.fill(44, offset, offset + length);
      await opened.store.write(offset, new Uint8Array(length).fill(44));
    }
    await opened.store.writeZeroes?.(2_000_384, 300_032);
    later.fill(0, 2_000_384, 2_300_416);
    await opened.close();
    same(await contents({ path: at('image') }), later);
    same(await contents({ path: at('image'), snapshot: 'before' }), disk);
    expect(qemuCheck(at('image'))).toMatchObject({ 'check-errors': 0 });
    expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
    expect(qemuCheck(at('image')).leaks ?? 0).toBe(0);
    const file = await DiskFile.open(at('image'), { readOnly: true });
    expect(await readSnapshots(file, await readHeader(file))).toMatchObject([{ id: '1', name: 'before', diskSize: SIZE }]);
    expect(await checkImage(file)).toMatchObject({ errors: 0, leaks: 0 });
    await file.close();
    qemuImg('snapshot', '-a', 'before', at('image'));
    same(await contents({ path: at('image') }), disk);
  });

  it('agree on an image that was not closed', async () => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', at('image'), '8M');
    // QEMU's own way of going without closing.
    try {
      qemuIo(at('image'), 'write -P 5 1M 2M', 'flush', 'abort');
    } catch {
      // It was killed.
    }
    const file = await DiskFile.open(at('image'));
    expect((await readHeader(file)).dirty).toBe(true);
    await file.close();
    const disk = await openDisk({ path: at('image') });
    const bytes = new Uint8Array(2 ** 21);
    await disk.store.read(2 ** 20, bytes);
    expect(bytes.every((byte) => byte === 5)).toBe(true);
    await disk.close();
    expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
    expect(qemuImg('info', at('image'))).toContain('corrupt: false');
  });

  it('agree on leaks and errors, and on the repair', async () => {
    // Counts of clusters behind the end of the file are leaks to us, and nothing to QEMU.
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(25), fc.nat(3)), { minLength: 1, maxLength: 5 }), async (changes) => {
        rmSync(at('image'), { force: true });
        qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', at('image'), '1M');
        qemuIo(at('image'), 'write 0 100k');
        const file = await DiskFile.open(at('image'));
        const header = await readHeader(file);
        const table = new Uint8Array(8);
        await file.read(header.refcountTableOffset, table);
        const block = new DataView(table.buffer).getUint32(4);
        for (const [index, count] of changes) await file.write(block + index * 2, Uint8Array.of(0, count));
        const ours = await checkImage(file);
        const theirs = qemuCheck(at('image'));
        const wrong = (theirs.leaks ?? 0) + (theirs.corruptions ?? 0) > 0;
        expect(ours.leaks + ours.errors > 0).toBe(wrong);
        // QEMU also calls the flag of a leaked cluster corrupt, which says that nobody else uses it.
        if (ours.errors > 0) expect(theirs.corruptions ?? 0).toBeGreaterThan(0);
        await repairImage(file);
        expect(await checkImage(file)).toMatchObject({ errors: 0, leaks: 0 });
        await file.close();
        expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
        expect(qemuCheck(at('image')).leaks ?? 0).toBe(0);
      }),
      { numRuns: 12 },
    );
  });
});

describe.skipIf(!hasQemuImg)('our writer before qemu-img', () => {
  const SECTORS = 3000;
  it.each<readonly [string, Partial<NewImage>]>([
    ['version 3', {}],
    ['version 2', { version: 2 }],
    ['clusters of 512 bytes', { clusterSize: 512 }],
    ['clusters of 2 MiB', { clusterSize: 2 ** 21 }],
    ['counts of one bit', { refcountBits: 1, clusterSize: 4096 }],
    ['counts of 64 bits', { refcountBits: 64, clusterSize: 1024 }],
    ['lazy refcounts', { lazyRefcounts: true }],
  ])('checks clean and holds what was written: %s', async (_, options) => {
    await fc.assert(
      fc.asyncProperty(steps(SECTORS, 600), async (work) => {
        rmSync(at('image'), { force: true });
        const file = await DiskFile.open(at('image'), { create: true });
        await createImage(file, { size: SECTORS * 512, ...options });
        const model = await runSteps(keepOpen(file), work, new Uint8Array(SECTORS * 512));
        await file.close();
        expect(qemuCheck(at('image'))).toMatchObject({ 'check-errors': 0 });
        expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
        expect(qemuCheck(at('image')).leaks ?? 0).toBe(0);
        writeFileSync(at('raw'), model);
        expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', at('raw'), at('image'))).toContain('identical');
      }),
      { numRuns: 5 },
    );
  });

  it('grows its refcount table and its L1 table', async () => {
    const file = await DiskFile.open(at('image'), { create: true });
    await createImage(file, { size: 2 ** 20, clusterSize: 512, refcountBits: 64 });
    await file.close();
    const disk = await openDisk({ path: at('image') });
    await disk.qcow2?.grow(12 * 2 ** 20);
    const bytes = new Uint8Array(9 * 2 ** 20).map((_, i) => (i >> 9) & 0xff);
    for (let offset = 0; offset < bytes.length; offset += 300 * 512) {
      await disk.store.write(offset, bytes.subarray(offset, Math.min(offset + 300 * 512, bytes.length)));
      if (offset % 7 === 0) await disk.store.flush();
    }
    await disk.close();
    const all = new Uint8Array(12 * 2 ** 20);
    all.set(bytes);
    same(await contents({ path: at('image') }), all);
    expect(qemuCheck(at('image')).corruptions ?? 0).toBe(0);
    expect(qemuCheck(at('image')).leaks ?? 0).toBe(0);
  });
});

/** The same file, for several openings one after another. */
const keepOpen = (file: DiskFile): DiskFile =>
  new Proxy(file, {
    get(target, key) {
      if (key === 'close') return async () => {};
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
