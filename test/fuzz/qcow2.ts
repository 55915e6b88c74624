// Damaged qcow2 images, and what one does with a disk. A case is a sample, damage to it, and steps; each damage and step has a seed
// of its own, so that some can be left out and the rest stays what it is.

import { ImageError } from '../../src/image/image-error.ts';
import { checkImage, repairImage } from '../../src/image/qcow2/check-image.ts';
import { readHeader } from '../../src/image/qcow2/header.ts';
import { clusterKind, compressedExtent, hostOffset } from '../../src/image/qcow2/l2-entry.ts';
import { viewOf } from '../../src/image/qcow2/layout.ts';
import { openQcow2 } from '../../src/image/qcow2/open-qcow2.ts';
import type { Qcow2Store } from '../../src/image/qcow2/qcow2-store.ts';
import type { BlockStore } from '../../src/io/block-store.ts';
import { BlockStoreError } from '../../src/io/block-store-error.ts';
import { RamFile } from '../../src/io/ram-file.ts';
import { nodeInflater } from '../../src/node/node-inflater.ts';
import { Random } from '../native/random.ts';
import { damage, sitesOf } from './qcow2-damage.ts';
import { base, type SampleImage } from './qcow2-images.ts';

export interface Qcow2Case {
  readonly seed: number;
  readonly sample: SampleImage;
  readonly damage: readonly number[];
  readonly steps: readonly number[];
}

export interface Qcow2Result {
  readonly problem: string | undefined;
  /** Whether it opened; whether it was clean before. */
  readonly opened: boolean;
  readonly clean: boolean;
  /** What the image is after the damage, and after the work. */
  readonly damaged: Uint8Array;
  readonly after: Uint8Array | undefined;
}

export function qcow2Case(seed: number, samples: readonly SampleImage[]): Qcow2Case {
  const random = new Random(seed);
  const sample = random.pick(samples);
  const seeds = (length: number): number[] => Array.from({ length }, () => random.u32());
  return { seed, sample, damage: seeds(random.oneIn(12) ? 0 : 1 + random.below(4)), steps: seeds(random.below(24)) };
}

export function damaged({ sample, damage: seeds }: Qcow2Case): Uint8Array {
  let bytes = new Uint8Array(sample.bytes);
  const sites = sitesOf(bytes);
  for (const seed of seeds) bytes = new Uint8Array(damage(bytes, sites, new Random(seed)));
  return bytes;
}

/** Of the processor; a call that takes more is a hang to whoever waits. */
const MOST_MS = 4000;
/** An image may become larger by so much; what is asked of it is far less. */
const MOST_GROWTH = 128 * 2 ** 20;
/** A disk that is larger is not compared as a whole. */
const MOST_COMPARED = 2 * 2 ** 20;

class Violation extends Error {}

/** A file that notes what no image may make us do. */
class WatchedFile extends RamFile {
  readonly #limit: number;

  constructor(contents: Uint8Array) {
    super('evil.qcow2', contents);
    this.#limit = contents.length + MOST_GROWTH;
  }

  override async read(offset: number, into: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Violation(`a read at ${offset}`);
    return super.read(offset, into);
  }

  override async readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new Violation(`a read at ${offset}`);
    return super.readv(offset, into);
  }

  override async write(offset: number, from: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + from.length > this.#limit)
      throw new Violation(`a write of ${from.length} bytes at ${offset} to a file of ${this.size}`);
    return super.write(offset, from);
  }
}

/** The disk below: nothing may be written there, nor read beyond its end. */
function backing(): BlockStore {
  const bytes = base();
  const never = (): Promise<void> => Promise.reject(new Violation('the backing file was written to'));
  return {
    sizeBytes: bytes.length,
    sectorSize: 512,
    readOnly: true,
    read: async (offset, into) => {
      if (offset < 0 || !(offset + into.length <= bytes.length)) throw new Violation(`the backing file was read at ${offset}`);
      into.set(bytes.subarray(offset, offset + into.length));
    },
    write: never,
    flush: async () => {},
    close: async () => {},
  };
}

const open = (file: RamFile, readOnly: boolean): Promise<Qcow2Store> =>
  openQcow2(file, { inflater: nodeInflater, readOnly, openBacking: async () => backing() });

/** The result, or undefined for an error that may be. @throws Violation */
async function attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
  const before = process.cpuUsage().user;
  const result = await work().catch((error: unknown) => {
    if (error instanceof ImageError || error instanceof BlockStoreError) return undefined;
    if (error instanceof Violation) throw new Violation(`${what}: ${error.message}`);
    throw new Violation(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
  });
  const took = (process.cpuUsage().user - before) / 1000;
  if (took > MOST_MS) throw new Violation(`${what} took ${took.toFixed(0)} ms`);
  return result;
}

/** All that the disk holds, when that is not too much. Undefined when some of it cannot be read. */
export async function readAll(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  const store = await attempt('open to read', () => open(new WatchedFile(bytes), true));
  if (store === undefined || store.sizeBytes > MOST_COMPARED) return undefined;
  const all = new Uint8Array(store.sizeBytes);
  const read = await attempt('read everything', async () => {
    await store.read(0, all);
    return true;
  });
  await attempt('close', () => store.close());
  return read === true ? all : undefined;
}

export async function runQcow2Case(used: Qcow2Case): Promise<Qcow2Result> {
  const bytes = damaged(used);
  const result = { opened: false, clean: false, damaged: bytes, after: undefined as Uint8Array | undefined };
  try {
    const before = await attempt('check', () => checkImage(new WatchedFile(bytes)));
    result.clean = before !== undefined && before.errors === 0;
    const disk = await readAll(bytes);
    if (used.damage.length === 0) {
      if (before?.errors !== 0 && used.sample.name !== 'qemu-extended') throw new Violation('a sound image does not pass');
      if (disk !== undefined && Buffer.compare(disk, used.sample.raw) !== 0) throw new Violation('a sound image reads otherwise');
    }
    await repair(bytes, disk);
    await snapshots(bytes);
    const file = new WatchedFile(bytes);
    const store = await attempt('open', () => open(file, false));
    if (store !== undefined) {
      result.opened = true;
      // What lies upon other things may change with them.
      const model = await work(store, result.clean ? disk : undefined, used.steps);
      await attempt('close', () => store.close());
      result.after = file.contents();
      if (result.clean) await compare(result.after, model);
    }
    return { problem: undefined, ...result };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error), ...result };
  }
}

/** What can be repaired is clean then, and holds what it held. */
async function repair(bytes: Uint8Array, disk: Uint8Array | undefined): Promise<void> {
  const file = new WatchedFile(bytes);
  const found = await attempt('repair', () => repairImage(file));
  if (found === undefined || found.errorsLeft > 0) return;
  const again = await attempt('check after a repair', () => checkImage(file));
  if (again === undefined || again.errors > 0 || again.leaks > 0)
    throw new Violation(`after a repair: ${again?.errors} errors, ${again?.leaks} leaks: ${again?.problems}`);
  if (disk === undefined || (await liesOnTables(bytes))) return;
  const now = await readAll(file.contents());
  if (now === undefined || Buffer.compare(now, disk) !== 0) throw new Violation('the disk reads otherwise after a repair');
}

/** Whether the disk shows tables that a repair changes in place: the header, L1 and L2. It then reads otherwise, rightly. */
async function liesOnTables(bytes: Uint8Array): Promise<boolean> {
  const file = new WatchedFile(bytes);
  const { l1Offset, l1Size, clusterSize, clusterBits, version } = await readHeader(file);
  const view = viewOf(bytes);
  const entriesAt = (at: number, count: number): (readonly [high: number, low: number])[] =>
    Array.from({ length: count }, (_, i) => at + i * 8)
      .filter((entry) => entry + 8 <= bytes.length)
      .map((entry) => [view.getUint32(entry), view.getUint32(entry + 4)]);
  const l2 = entriesAt(l1Offset, l1Size).map(([high, low]) => hostOffset(high, low));
  const tables = new Set([0, ...l2.map((offset) => offset / clusterSize)]);
  for (let at = l1Offset; at < l1Offset + l1Size * 8; at += clusterSize) tables.add(at / clusterSize);
  return [...new Set(l2.filter((offset) => offset > 0))].some((table) =>
    entriesAt(table, clusterSize / 8).some(([high, low]) => {
      if (clusterKind(high, low, version) !== 'compressed')
        return hostOffset(high, low) > 0 && tables.has(hostOffset(high, low) / clusterSize);
      const { offset, length } = compressedExtent(high, low, clusterBits);
      for (let at = offset - (offset % clusterSize); at < offset + length; at += clusterSize)
        if (tables.has(at / clusterSize)) return true;
      return false;
    }),
  );
}

async function snapshots(bytes: Uint8Array): Promise<void> {
  for (const snapshot of ['first', '2']) {
    await attempt(`snapshot ${snapshot}`, async () => {
      const options = { inflater: nodeInflater, snapshot, openBacking: async () => backing() };
      const store = await openQcow2(new WatchedFile(bytes), options);
      const into = new Uint8Array(Math.min(65_536, store.sizeBytes));
      await store.read(0, into);
      await store.close();
    });
  }
}

/** Works on the disk. Answers what it must hold then, undefined for what nobody knows. */
async function work(store: Qcow2Store, disk: Uint8Array | undefined, steps: readonly number[]): Promise<Model | undefined> {
  const model = disk === undefined ? undefined : new Model(disk);
  for (const [i, seed] of steps.entries()) {
    const random = new Random(seed);
    const sectors = store.sizeBytes / 512;
    const at = Math.min(sectors, random.oneIn(6) ? sectors - random.below(80) : random.below(Math.min(sectors + 1, 4096)));
    const offset = Math.max(0, Math.floor(at)) * 512;
    const length = Math.min(store.sizeBytes - offset, 512 * (random.oneIn(4) ? random.below(600) : random.below(20)));
    const what = random.pick([
      'read',
      'read',
      'write',
      'write',
      'write',
      'discard',
      'zero',
      'flush',
      'grow',
      'several',
      'far',
    ] as const);
    const done = await attempt(`step ${i}, ${what} ${length} bytes at ${offset}`, () =>
      step(store, model, what, offset, length, random),
    );
    if (done === undefined && what !== 'read' && what !== 'far') model?.forget(offset, length, store.sizeBytes);
  }
  return model;
}

async function step(
  store: Qcow2Store,
  model: Model | undefined,
  what: string,
  offset: number,
  length: number,
  random: Random,
): Promise<boolean> {
  switch (what) {
    case 'read': {
      const into = new Uint8Array(length);
      await store.read(offset, into);
      model?.compare(offset, into);
      break;
    }
    case 'write': {
      const bytes = new Uint8Array(length).fill(1 + random.below(255));
      await store.write(offset, bytes);
      model?.write(offset, bytes);
      break;
    }
    case 'several': {
      // Writes that overlap in time, not in place.
      const half = Math.floor(length / 1024) * 512;
      const bytes = new Uint8Array(length).fill(1 + random.below(255));
      const results = await Promise.allSettled([
        store.write(offset, bytes.subarray(0, half)),
        store.flush(),
        store.write(offset + half, bytes.subarray(half)),
        store.read(offset, new Uint8Array(length)),
      ]);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      model?.write(offset, bytes);
      break;
    }
    case 'zero':
      await store.writeZeroes(offset, length);
      model?.write(offset, new Uint8Array(length));
      break;
    case 'discard': {
      const all = random.oneIn(8);
      const [from, bytes] = all ? [0, store.sizeBytes] : [offset, length];
      model?.forget(from, bytes, store.sizeBytes);
      await store.discard(from, bytes);
      break;
    }
    case 'flush':
      await store.flush();
      break;
    case 'grow': {
      const more = random.oneIn(3) ? 2 ** (20 + random.below(34)) : 512 * random.below(2000);
      await store.grow(store.sizeBytes + more);
      model?.grow(store.sizeBytes);
      break;
    }
    default:
      // What it does not have.
      for (const call of [
        () => store.read(store.sizeBytes, new Uint8Array(512)),
        () => store.write(store.sizeBytes - 512, new Uint8Array(1024)),
        () => store.discard(store.sizeBytes, 512),
        () => store.writeZeroes(2 ** 53 - 1024, 512),
      ]) {
        const done = await call().then(
          () => true,
          (error: unknown) => {
            if (!(error instanceof BlockStoreError)) throw error;
            return false;
          },
        );
        if (done) throw new Violation('a request behind the end of the disk was served');
      }
  }
  return true;
}

/** What a disk holds; bytes that may be anything are marked. */
class Model {
  bytes: Uint8Array;
  known: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes.slice();
    this.known = new Uint8Array(bytes.length).fill(1);
  }

  write(offset: number, bytes: Uint8Array): void {
    const part = bytes.subarray(0, Math.max(0, this.bytes.length - offset));
    if (part.length === 0) return;
    this.bytes.set(part, offset);
    this.known.fill(1, offset, offset + part.length);
  }

  /** Behind `MOST_COMPARED` nothing is kept. */
  grow(size: number): void {
    const bytes = new Uint8Array(Math.min(size, MOST_COMPARED));
    const known = new Uint8Array(bytes.length).fill(1);
    bytes.set(this.bytes.subarray(0, bytes.length));
    known.set(this.known.subarray(0, bytes.length));
    this.bytes = bytes;
    this.known = known;
  }

  /** @param size of the disk as it is now: it may have grown although the step failed */
  forget(offset: number, length: number, size: number): void {
    if (size > this.bytes.length) this.grow(size);
    this.known.fill(0, offset, offset + length);
  }

  compare(offset: number, got: Uint8Array): void {
    const length = Math.min(got.length, this.bytes.length - offset);
    if (length <= 0 || Buffer.compare(got.subarray(0, length), this.bytes.subarray(offset, offset + length)) === 0) return;
    for (let i = 0; i < length; i++)
      if (this.known[offset + i] === 1 && this.bytes[offset + i] !== got[i])
        throw new Violation(`byte ${offset + i} is ${got[i]} instead of ${this.bytes[offset + i]}`);
  }
}

/** An image that was clean is so after work on it, and holds what was written. */
async function compare(bytes: Uint8Array, model: Model | undefined): Promise<void> {
  const check = await attempt('check after work', () => checkImage(new WatchedFile(bytes)));
  if (check === undefined || check.errors > 0)
    throw new Violation(`a clean image has ${check?.errors ?? 'many'} errors after work on it: ${check?.problems}`);
  if (model === undefined) return;
  const store = await attempt('open again', () => open(new WatchedFile(bytes), true));
  if (store === undefined) throw new Violation('a clean image does not open after work on it');
  for (let at = 0; at < model.bytes.length; at += 65_536) {
    const into = new Uint8Array(Math.min(65_536, model.bytes.length - at, store.sizeBytes - at));
    const read = await attempt('read again', () => store.read(at, into).then(() => true));
    if (read === true) model.compare(at, into);
  }
  await attempt('close again', () => store.close());
}
