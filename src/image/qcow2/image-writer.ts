// Changes to an image: writes that go in place, writes that need clusters, and ranges that are given up.
import type { ByteVector } from '../../io/byte-vector.ts';
import { Mutex } from '../../io/mutex.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ImageError } from '../image-error.ts';
import { Allocator } from './allocator.ts';
import type { ClusterMap, Extent } from './cluster-map.ts';
import { Committer } from './committer.ts';
import { badReference } from './errors.ts';
import type { Qcow2Header } from './header.ts';
import { clusterKind, compressedExtent, hostOffset } from './l2-entry.ts';
import { COPIED, HEADER, INCOMPATIBLE, OFFSET_HIGH, OFFSET_LOW, setU64, viewOf, ZERO } from './layout.ts';
import { metadataClusters } from './metadata-clusters.ts';
import { Refcounts } from './refcounts.ts';

/** What the guest saw of a cluster before it is written in part. */
export interface OldContents {
  /** Whether all clusters like this one, which begins at `offset`, read as zeroes for sure. */
  isZero(extent: Extent, offset: number): boolean;
  read(offset: number, into: Uint8Array): Promise<void>;
}

export class ImageWriter {
  readonly committer: Committer;
  readonly #file: RandomAccessFile;
  readonly #header: Qcow2Header;
  readonly #map: ClusterMap;
  readonly #old: OldContents;
  readonly #allocator: Allocator;
  readonly #metadata: Set<number>;
  readonly #allocating = new Mutex();
  /** Why nothing is written any more. */
  #stopped: ImageError | undefined;

  private constructor(file: RandomAccessFile, header: Qcow2Header, map: ClusterMap, old: OldContents, refcounts: Refcounts) {
    this.#file = file;
    this.#header = header;
    this.#map = map;
    this.#old = old;
    this.#metadata = metadataClusters(file.name, header, map, refcounts);
    this.committer = new Committer(file, refcounts, map.l1, map.l2, (cluster) => this.#allocator.freed(cluster));
    this.#allocator = new Allocator(file, refcounts, this.committer, this.#metadata);
  }

  static async open(file: RandomAccessFile, header: Qcow2Header, map: ClusterMap, old: OldContents): Promise<ImageWriter> {
    if (header.autoclear[0] !== 0 || header.autoclear[1] !== 0) {
      // What these features promise is not kept up from here on.
      await file.write(HEADER.autoclear, new Uint8Array(8));
      await file.datasync();
    }
    return new ImageWriter(file, header, map, old, await Refcounts.open(file, header));
  }

  /** Writes what lies in clusters of its own, from the start of `data` on, and answers how many bytes that were. */
  async writeInPlace(offset: number, data: ByteVector): Promise<number> {
    const places: number[] = [];
    const pieces: (readonly Uint8Array[])[] = [];
    let done = 0;
    while (done < data.length) {
      const found = this.#map.extentAt(offset + done, data.length - done);
      const extent = found instanceof Promise ? await found : found;
      if (!this.#inPlace(extent)) break;
      places.push(extent.host);
      pieces.push(data.slice(done, extent.length));
      done += extent.length;
    }
    // One piece is the rule.
    if (places.length === 1) await this.#file.writev(places[0] as number, pieces[0] as readonly Uint8Array[]);
    else if (places.length > 1)
      await Promise.all(places.map((host, i) => this.#file.writev(host, pieces[i] as readonly Uint8Array[])));
    return done;
  }

  /** Writes all of `data`, taking clusters where it needs them. Nobody else may use these guest clusters meanwhile. */
  async write(offset: number, data: ByteVector, from: number): Promise<void> {
    for (let done = from; done < data.length; ) {
      const inPlace = await this.writeInPlace(offset + done, done === 0 ? data : data.from(done));
      done += inPlace;
      if (done < data.length) done += await this.#guarded(() => this.#writeNew(offset + done, data, done));
    }
  }

  /**
   * Gives up whole clusters: they read as zeroes from now on, or (`unallocated`) as the backing file.
   * @param end exclusive, both in guest clusters
   */
  async unmap(first: number, end: number, to: 'zero' | 'unallocated'): Promise<void> {
    const { perL2 } = this.#map;
    for (let cluster = first; cluster < end; ) {
      const count = Math.min(perL2 - (cluster % perL2), end - cluster);
      const start = cluster;
      await this.#guarded(() => this.#unmapIn(start, count, to));
      if (this.committer.crowded) await this.commit();
      cluster += count;
    }
  }

  /** Everything that was changed or written before the call is durable when it resolves. */
  commit(): Promise<void> {
    return this.#guarded(() => this.committer.commit());
  }

  /** Makes the disk larger; the new end is unallocated. Nobody may use the disk meanwhile. */
  async grow(size: number): Promise<void> {
    await this.#guarded(() => this.#allocating.run(() => this.#grow(size)));
  }

  /** Remembers that an error shows the image to be corrupt, in the image too; writing ends here. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#stopped !== undefined) throw this.#stopped;
    try {
      return await work();
    } catch (error) {
      if (error instanceof ImageError && error.code === 'corrupt') await this.#stop(error);
      throw error;
    }
  }

  async #stop(error: ImageError): Promise<void> {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.committer.stop();
    if (this.#header.version !== 3) return;
    const bits = new Uint8Array(8);
    viewOf(bits).setUint32(4, INCOMPATIBLE.corrupt);
    await this.#file.read(HEADER.incompatible, bits);
    viewOf(bits).setUint32(4, viewOf(bits).getUint32(4) | INCOMPATIBLE.corrupt);
    // The error at hand says more than a failure to note it.
    await this.#file.write(HEADER.incompatible, bits).catch(() => {});
  }

  #inPlace(extent: Extent): boolean {
    if (extent.kind !== 'data' || !extent.copied) return false;
    const { clusterSize } = this.#map;
    const end = extent.host + extent.length - 1;
    // The last cluster need not be in the file as a whole, but begins there.
    if (end - (end % clusterSize) >= this.#file.size)
      throw badReference(this.#file.name, `a guest's cluster should lie at offset ${end - (end % clusterSize)}, behind its end`);
    for (let at = extent.host - (extent.host % clusterSize); at < extent.host + extent.length; at += clusterSize) {
      if (this.#metadata.has(at / clusterSize))
        throw badReference(this.#file.name, `a guest's cluster lies upon a table at offset ${at}`);
    }
    return true;
  }

  /** Writes the start of the data into new clusters and answers how many bytes that were. */
  async #writeNew(offset: number, data: ByteVector, done: number): Promise<number> {
    const { clusterSize } = this.#map;
    const guest = Math.floor(offset / clusterSize);
    const head = offset % clusterSize;
    const extent = await this.#map.extentAt(offset, data.length - done);
    await this.#ownL2(Math.floor(guest / this.#map.perL2));
    const wanted = Math.ceil((head + extent.length) / clusterSize);
    // A cluster of zeroes may have its place already.
    const reused = extent.kind === 'zero' && extent.copied && extent.host !== 0;
    const place = reused
      ? { cluster: (extent.host - head) / clusterSize, count: wanted, virgin: false }
      : await this.#allocating.run(() => this.#allocator.allocate(wanted));
    try {
      if (reused) this.#inPlace({ ...extent, kind: 'data' });
      const length = Math.min(extent.length, place.count * clusterSize - head);
      const tail = (clusterSize - ((head + length) % clusterSize)) % clusterSize;
      const parts: Uint8Array[] = [...data.slice(done, length)];
      let host = place.cluster * clusterSize + head;
      if (!(place.virgin && this.#old.isZero(extent, offset - head))) {
        if (head > 0) parts.unshift(await this.#oldBytes(extent, offset - head, head));
        host -= head;
        if (tail > 0) parts.push(await this.#oldBytes(extent, offset + length, tail));
      }
      await this.#file.writev(host, parts);
      await this.#point(guest, place.count, (i) => (place.cluster + i) * clusterSize);
      return length;
    } catch (error) {
      if (!reused) await this.#allocator.release(place);
      throw error;
    }
  }

  async #oldBytes(extent: Extent, offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const { clusterSize } = this.#map;
    if (!this.#old.isZero(extent, offset - (offset % clusterSize))) await this.#old.read(offset, bytes);
    return bytes;
  }

  /** Guest clusters lie at these host offsets from now on; what they had before is given up. */
  #point(guest: number, count: number, host: (i: number) => number): Promise<void> {
    return this.#map.changeEntries(guest, count, (i, high, low) => {
      const offset = host(i);
      this.#giveUp(high, low, offset);
      return [(Math.floor(offset / 2 ** 32) & OFFSET_HIGH) | COPIED, offset & OFFSET_LOW];
    });
  }

  #giveUp(high: number, low: number, keep = 0): void {
    const { clusterSize } = this.#map;
    const kind = clusterKind(high, low, this.#header.version);
    if (kind === 'compressed') {
      const { offset, length } = compressedExtent(high, low, this.#header.clusterBits);
      const first = Math.floor(offset / clusterSize);
      this.committer.free(first, Math.floor((offset + length - 1) / clusterSize) - first + 1);
      return;
    }
    const host = hostOffset(high, low);
    if (host !== 0 && host !== keep) this.committer.free(host / clusterSize, 1);
  }

  async #unmapIn(guest: number, count: number, to: 'zero' | 'unallocated'): Promise<void> {
    const { perL2 } = this.#map;
    const l1Index = Math.floor(guest / perL2);
    if (this.#map.l2Offset(l1Index) === 0 && to === 'unallocated') return;
    await this.#ownL2(l1Index);
    const name = this.#file.name;
    const { version, clusterSize } = this.#header;
    await this.#map.changeEntries(guest, count, (i, high, low) => {
      const kind = clusterKind(high, low, version);
      if (kind === undefined || (kind !== 'compressed' && hostOffset(high, low) % clusterSize !== 0))
        throw badReference(name, `the L2 entry of guest offset ${(guest + i) * clusterSize} is none`);
      this.#giveUp(high, low);
      return [0, to === 'zero' ? ZERO : 0];
    });
  }

  /** Makes sure that an L2 table is there and used by nobody else. */
  async #ownL2(l1Index: number): Promise<void> {
    if (this.#map.ownsL2(l1Index)) return;
    await this.#allocating.run(async () => {
      if (this.#map.ownsL2(l1Index)) return;
      const { clusterSize, l2 } = this.#map;
      const before = this.#map.l2Offset(l1Index);
      const bytes = before === 0 ? new Uint8Array(clusterSize) : (await l2.load(before)).bytes.slice();
      const { cluster } = await this.#allocator.allocate(1);
      l2.install(cluster * clusterSize, bytes);
      this.#map.setL2(l1Index, cluster * clusterSize);
      this.#metadata.add(cluster);
      if (before === 0) return;
      // Only snapshots use it now, if anybody.
      this.#metadata.delete(before / clusterSize);
      l2.drop(before);
      this.committer.free(before / clusterSize, 1);
    });
  }

  async #grow(size: number): Promise<void> {
    const { clusterSize, l1 } = this.#map;
    const entries = this.#map.l1EntriesFor(size);
    let table = l1.bytes;
    let place = l1.offset;
    if (entries > this.#map.l1Entries) {
      table = new Uint8Array(entries * 8);
      const clusters = Math.ceil(table.length / clusterSize);
      const start = await this.#allocator.allocateContiguous(clusters);
      for (let i = 0; i < clusters; i++) this.#metadata.add(start + i);
      // Everything the old table points to is in the file before the new one is.
      await this.committer.commit();
      table.set(l1.bytes);
      place = start * clusterSize;
      await this.#file.write(place, table);
      await this.#file.datasync();
    }
    // Size, crypt_method (0), l1_size and l1_table_offset stand in a row: one write changes all of them or none.
    const location = new Uint8Array(24);
    const view = viewOf(location);
    setU64(view, 0, size);
    view.setUint32(HEADER.l1Size - HEADER.size, table.length / 8);
    setU64(view, HEADER.l1Offset - HEADER.size, place);
    try {
      await this.#file.write(HEADER.size, location);
      await this.#file.datasync();
    } catch (error) {
      // Nobody knows which L1 table is in force.
      this.committer.stop();
      throw error;
    }
    if (place === l1.offset) return;
    const old = l1.offset / clusterSize;
    const oldCount = Math.ceil(l1.bytes.length / clusterSize);
    l1.replace(table, place);
    for (let i = 0; i < oldCount; i++) this.#metadata.delete(old + i);
    this.committer.free(old, oldCount);
  }
}
