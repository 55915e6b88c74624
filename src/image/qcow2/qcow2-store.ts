// A qcow2 image as a disk.
import type { BlockStore } from '../../io/block-store.ts';
import { BlockStoreError, checkRange, isReadOnly } from '../../io/block-store-error.ts';
import { ByteVector } from '../../io/byte-vector.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { type RangeHold, RangeLock } from '../../io/range-lock.ts';
import { ResizeListeners } from '../../io/resize-listeners.ts';
import type { ClusterMap, Extent } from './cluster-map.ts';
import type { CompressedClusters } from './compressed-clusters.ts';
import { badReference } from './errors.ts';
import type { Qcow2Header } from './header.ts';
import { ImageWriter } from './image-writer.ts';

export interface Qcow2Parts {
  readonly file: RandomAccessFile;
  readonly header: Qcow2Header;
  readonly map: ClusterMap;
  readonly compressed: CompressedClusters;
  /** What unallocated clusters show; the store closes it with itself. */
  readonly backing: BlockStore | undefined;
  readonly readOnly: boolean;
  readonly sizeBytes: number;
}

export class Qcow2Store implements BlockStore {
  readonly sectorSize = 512;
  readonly readOnly: boolean;
  readonly header: Qcow2Header;
  readonly backing: BlockStore | undefined;
  readonly #file: RandomAccessFile;
  readonly #map: ClusterMap;
  readonly #compressed: CompressedClusters;
  readonly #locks = new RangeLock();
  readonly #resized = new ResizeListeners();
  #writer: ImageWriter | undefined;
  #sizeBytes: number;
  /** From here on it reads as zeroes where nothing is allocated. */
  #backingBytes: number;

  private constructor(parts: Qcow2Parts) {
    this.#file = parts.file;
    this.header = parts.header;
    this.#map = parts.map;
    this.#compressed = parts.compressed;
    this.backing = parts.backing;
    this.readOnly = parts.readOnly;
    this.#sizeBytes = parts.sizeBytes;
    this.#backingBytes = parts.backing?.sizeBytes ?? 0;
  }

  /** Use `openQcow2`. */
  static async fromParts(parts: Qcow2Parts): Promise<Qcow2Store> {
    const store = new Qcow2Store(parts);
    if (!parts.readOnly) {
      store.#writer = await ImageWriter.open(parts.file, parts.header, parts.map, {
        isZero: (extent, offset) => extent.kind === 'zero' || (extent.kind === 'unallocated' && offset >= store.#backingBytes),
        read: (offset, into) => store.#fill(offset, new ByteVector([into])),
      });
    }
    return store;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    return this.readv(offset, [into]);
  }

  async readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const data = new ByteVector(into);
    this.#check(offset, data.length);
    if (data.length === 0) return;
    const hold = this.#tryHold(offset, data.length, false) ?? (await this.#hold(offset, data.length, false));
    try {
      await this.#fill(offset, data);
    } finally {
      this.#locks.release(hold);
    }
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    return this.writev(offset, [from]);
  }

  async writev(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const data = new ByteVector(from);
    const writer = this.#checkWrite(offset, data.length);
    if (data.length === 0) return;
    if (writer.committer.crowded) await writer.commit();
    let hold = this.#tryHold(offset, data.length, false) ?? (await this.#hold(offset, data.length, false));
    let done: number;
    try {
      done = await writer.writeInPlace(offset, data);
    } finally {
      this.#locks.release(hold);
    }
    if (done === data.length) return;
    hold = await this.#hold(offset + done, data.length - done, true);
    try {
      await writer.write(offset, data, done);
    } finally {
      this.#locks.release(hold);
    }
  }

  async flush(): Promise<void> {
    if (this.#writer !== undefined) await this.#writer.commit();
  }

  /** Whole clusters in the range are given up; they read as zeroes. In version 2 over a backing file nothing happens. */
  async discard(offset: number, length: number): Promise<void> {
    this.#checkWrite(offset, length);
    if (this.header.version === 2 && this.backing !== undefined) return;
    await this.#unmapWhole(offset, length, this.backing === undefined ? 'unallocated' : 'zero');
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#checkWrite(offset, length);
    if (length === 0) return;
    const marks = this.header.version === 3 || this.backing === undefined;
    const whole = marks ? this.#wholeClusters(offset, length) : { first: 0, end: 0 };
    if (whole.first >= whole.end) return this.#writeZeroBytes(offset, length);
    const { clusterSize } = this.#map;
    const from = whole.first * clusterSize;
    const to = Math.min(whole.end * clusterSize, offset + length);
    if (from > offset) await this.#writeZeroBytes(offset, from - offset);
    await this.#unmapWhole(offset, length, this.backing === undefined ? 'unallocated' : 'zero');
    if (offset + length > to) await this.#writeZeroBytes(to, offset + length - to);
  }

  onResize(listener: () => void): Disposable {
    return this.#resized.add(listener);
  }

  /**
   * Makes the disk larger. The new end reads as zeroes.
   * @param sizeBytes a multiple of 512 @throws BlockStoreError 'unsupported' when it would be smaller
   */
  async grow(sizeBytes: number): Promise<void> {
    const writer = this.#checkWrite(0, 0);
    const name = this.#file.name;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes % 512 !== 0)
      throw new BlockStoreError('out-of-range', `${name} cannot have ${sizeBytes} bytes`, 'give a multiple of 512');
    if (sizeBytes < this.#sizeBytes)
      throw new BlockStoreError('unsupported', `${name} is qcow2 and cannot shrink`, 'convert it to a smaller image instead');
    if (this.#map.l1EntriesFor(sizeBytes) * 8 > 32 * 2 ** 20)
      throw new BlockStoreError(
        'out-of-range',
        `${name} cannot have ${sizeBytes} bytes`,
        'convert it to an image with larger clusters',
      );
    const old = this.#sizeBytes;
    // Nothing is allocated where there was no L1 table.
    const reach = this.#map.l1Entries * this.#map.l2Span;
    const hold = await this.#locks.acquire(0, Number.POSITIVE_INFINITY, true);
    try {
      await writer.grow(sizeBytes);
      this.#sizeBytes = sizeBytes;
    } finally {
      this.#locks.release(hold);
    }
    await this.#hide(old, Math.min(sizeBytes, Math.max(reach, this.#backingBytes)));
    await this.flush();
    this.#resized.notify();
  }

  /** How the bytes from `offset` on are kept, as far as it is the same for all of them; at most `length`. */
  async extentAt(offset: number, length: number): Promise<Pick<Extent, 'kind' | 'length'>> {
    this.#check(offset, length);
    return this.#map.extentAt(offset, length);
  }

  /** Gives up all that the image itself holds: the disk shows its backing file again. */
  async makeEmpty(): Promise<void> {
    const writer = this.#checkWrite(0, 0);
    const hold = await this.#locks.acquire(0, Number.POSITIVE_INFINITY, true);
    try {
      await writer.unmap(0, Math.ceil(this.#sizeBytes / this.#map.clusterSize), 'unallocated');
    } finally {
      this.#locks.release(hold);
    }
    await this.flush();
  }

  async close(): Promise<void> {
    try {
      // Twice: what the first one frees is in the file after the second.
      for (let i = 0; i < 2 && this.#writer?.committer.hasChanges === true; i++) await this.#writer.commit();
    } finally {
      try {
        await this.#file.close();
      } finally {
        await this.backing?.close();
      }
    }
  }

  /** Reads without asking whether somebody writes. */
  async #fill(offset: number, data: ByteVector): Promise<void> {
    let first: Promise<void> | undefined;
    let rest: (() => Promise<void>)[] | undefined;
    for (let done = 0; done < data.length; ) {
      const found = this.#map.extentAt(offset + done, data.length - done);
      const extent = found instanceof Promise ? await found : found;
      const start = done;
      done += extent.length;
      // One extent is the rule, and needs no list.
      if (start === 0 && done === data.length) first = this.#fillExtent(extent, offset, data, 0);
      else {
        rest ??= [];
        rest.push(() => this.#fillExtent(extent, offset + start, data, start));
      }
    }
    if (first !== undefined) await first;
    if (rest !== undefined) await Promise.all(rest.map((read) => read()));
  }

  async #fillExtent(extent: Extent, offset: number, data: ByteVector, start: number): Promise<void> {
    switch (extent.kind) {
      case 'zero':
        return data.fill(0, start, extent.length);
      case 'data':
        // The last cluster need not be in the file as a whole.
        if (extent.host + extent.length - 1 - ((offset + extent.length - 1) % this.#map.clusterSize) >= this.#file.size)
          throw badReference(this.#file.name, `the cluster of guest offset ${offset} lies behind its end`);
        return this.#file.readv(extent.host, data.slice(start, extent.length));
      case 'compressed': {
        const cluster = await this.#compressed.read(extent.high, extent.low);
        const at = offset % this.#map.clusterSize;
        return data.set(cluster.subarray(at, at + extent.length), start);
      }
      case 'unallocated': {
        const below = Math.min(Math.max(this.#backingBytes - offset, 0), extent.length);
        if (below < extent.length) data.fill(0, start + below, extent.length - below);
        if (below > 0) await readVector(this.backing as BlockStore, offset, data.slice(start, below));
      }
    }
  }

  /** What lies behind the old end would show now: of a backing file that is longer, or of a time when the disk was larger. */
  async #hide(from: number, end: number): Promise<void> {
    for (let at = from; at < end; ) {
      const found = this.#map.extentAt(at, end - at);
      const { kind, length } = found instanceof Promise ? await found : found;
      const shows = kind === 'zero' ? 0 : kind === 'unallocated' ? Math.min(length, this.#backingBytes - at) : length;
      if (shows > 0) await this.writeZeroes(at, shows);
      at += length;
    }
  }

  async #writeZeroBytes(offset: number, length: number): Promise<void> {
    const zeroes = new Uint8Array(Math.min(length, ZERO_PIECE));
    for (let done = 0; done < length; done += zeroes.length)
      await this.write(offset + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)));
  }

  async #unmapWhole(offset: number, length: number, to: 'zero' | 'unallocated'): Promise<void> {
    const writer = this.#writer as ImageWriter;
    const { first, end } = this.#wholeClusters(offset, length);
    if (first >= end) return;
    const hold = await this.#locks.acquire(first, end - 1, true);
    try {
      // Behind the backing disk's end there is nothing to hide, and no table is needed to say so.
      const hidden = Math.ceil(this.#backingBytes / this.#map.clusterSize);
      if (first < hidden) await writer.unmap(first, Math.min(end, hidden), to);
      if (end > hidden) await writer.unmap(Math.max(first, hidden), end, 'unallocated');
    } finally {
      this.#locks.release(hold);
    }
  }

  /** The clusters that lie in the range as a whole, or with what the disk has of them. */
  #wholeClusters(offset: number, length: number): { readonly first: number; readonly end: number } {
    const { clusterSize } = this.#map;
    const last = offset + length;
    const end = last === this.#sizeBytes ? Math.ceil(last / clusterSize) : Math.floor(last / clusterSize);
    return { first: Math.ceil(offset / clusterSize), end };
  }

  #tryHold(offset: number, length: number, exclusive: boolean): RangeHold | undefined {
    const { clusterSize } = this.#map;
    return this.#locks.tryAcquire(Math.floor(offset / clusterSize), Math.floor((offset + length - 1) / clusterSize), exclusive);
  }

  #hold(offset: number, length: number, exclusive: boolean): Promise<RangeHold> {
    const { clusterSize } = this.#map;
    return this.#locks.acquire(Math.floor(offset / clusterSize), Math.floor((offset + length - 1) / clusterSize), exclusive);
  }

  #check(offset: number, length: number): void {
    checkRange(this.#file.name, this.#sizeBytes, offset, length);
  }

  #checkWrite(offset: number, length: number): ImageWriter {
    if (this.#writer === undefined) throw isReadOnly(this.#file.name);
    this.#check(offset, length);
    return this.#writer;
  }
}

/** Zeroes are written in pieces of this many bytes. */
const ZERO_PIECE = 2 ** 20;

async function readVector(store: BlockStore, offset: number, into: readonly Uint8Array[]): Promise<void> {
  if (into.length === 1) return store.read(offset, into[0] as Uint8Array);
  if (store.readv !== undefined) return store.readv(offset, into);
  let at = offset;
  for (const part of into) {
    await store.read(at, part);
    at += part.length;
  }
}
