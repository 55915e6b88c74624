// A disk whose changes stay in memory and end with it (`--snapshot`). The store below is only read. Changes are kept by cluster: the
// first write to a cluster copies what the rest of it held.
import type { BlockStore } from './block-store.ts';
import { BlockStoreError, checkRange } from './block-store-error.ts';

export interface OverlayOptions {
  /** Bytes of changes that it keeps at most; default: half a gibibyte. */
  readonly maxBytes?: number;
  /** Bytes; a power of two and a multiple of the sector size below; default 65536. */
  readonly clusterSize?: number;
}

/** What a cluster that reads as zeroes costs: its entry in the map, about. */
const ZERO_COST = 64;
const ZEROES: unique symbol = Symbol('zeroes');
type Cluster = Uint8Array | typeof ZEROES;

export class OverlayStore implements BlockStore {
  readonly sectorSize: 512 | 4096;
  readonly readOnly = false;
  readonly #base: BlockStore;
  readonly #clusterSize: number;
  readonly #maxBytes: number;
  readonly #clusters = new Map<number, Cluster>();
  /** Clusters whose first copy is being made: whoever comes meanwhile waits for the same one. */
  readonly #copying = new Map<number, Promise<Uint8Array>>();
  #usedBytes = 0;

  /** Takes the base over: `close` closes it too. */
  constructor(base: BlockStore, options: OverlayOptions = {}) {
    this.#base = base;
    this.sectorSize = base.sectorSize;
    this.#clusterSize = Math.max(options.clusterSize ?? 65536, base.sectorSize);
    this.#maxBytes = options.maxBytes ?? 2 ** 29;
  }

  get sizeBytes(): number {
    return this.#base.sizeBytes;
  }

  /** Memory that the changes take, in bytes. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange('the overlay', this.sizeBytes, offset, into.length);
    const size = this.#clusterSize;
    const below: Promise<void>[] = [];
    for (let done = 0; done < into.length; ) {
      const at = offset + done;
      const cluster = this.#clusters.get(Math.floor(at / size));
      let length = Math.min(size - (at % size), into.length - done);
      if (cluster === undefined) {
        // As many clusters as are unchanged in a row: one read of the base.
        while (done + length < into.length && !this.#clusters.has((at + length) / size))
          length = Math.min(length + size, into.length - done);
        below.push(this.#base.read(at, into.subarray(done, done + length)));
      } else if (cluster === ZEROES) into.fill(0, done, done + length);
      else into.set(cluster.subarray(at % size, (at % size) + length), done);
      done += length;
    }
    await Promise.all(below);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    checkRange('the overlay', this.sizeBytes, offset, from.length);
    const size = this.#clusterSize;
    for (let done = 0; done < from.length; ) {
      const at = offset + done;
      const length = Math.min(size - (at % size), from.length - done);
      const index = Math.floor(at / size);
      const found = this.#clusters.get(index);
      const cluster = found instanceof Uint8Array ? found : await this.#own(index, length === size);
      cluster.set(from.subarray(done, done + length), at % size);
      done += length;
    }
  }

  /** Changes are never durable. */
  async flush(): Promise<void> {}

  async discard(offset: number, length: number): Promise<void> {
    await this.writeZeroes(offset, length);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    checkRange('the overlay', this.sizeBytes, offset, length);
    const size = this.#clusterSize;
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const count = Math.min(size - (at % size), length - done);
      const index = Math.floor(at / size);
      // A copy that is under way would come back over the zeroes.
      if (this.#copying.has(index)) await this.#copying.get(index);
      const whole = count === size || (at % size === 0 && at + count === this.sizeBytes);
      if (whole) this.#makeZero(index);
      else if (this.#clusters.get(index) !== ZEROES) (await this.#own(index, false)).fill(0, at % size, (at % size) + count);
      done += count;
    }
  }

  onResize(listener: () => void): Disposable {
    return this.#base.onResize?.(listener) ?? { [Symbol.dispose]: () => {} };
  }

  async close(): Promise<void> {
    this.#clusters.clear();
    await this.#base.close();
  }

  /** The cluster's own copy. @param whole all of it is about to be written */
  async #own(index: number, whole: boolean): Promise<Uint8Array> {
    const found = this.#clusters.get(index);
    if (found instanceof Uint8Array) return found;
    const under = this.#copying.get(index);
    if (under !== undefined) return under;
    this.#reserve(this.#clusterSize - (found === ZEROES ? ZERO_COST : 0));
    const bytes = new Uint8Array(this.#clusterSize);
    if (whole || found === ZEROES) {
      this.#clusters.set(index, bytes);
      return bytes;
    }
    const copy = (async () => {
      try {
        const start = index * this.#clusterSize;
        await this.#base.read(start, bytes.subarray(0, Math.min(this.#clusterSize, this.sizeBytes - start)));
        this.#clusters.set(index, bytes);
        return bytes;
      } catch (error) {
        this.#usedBytes -= this.#clusterSize;
        throw error;
      } finally {
        this.#copying.delete(index);
      }
    })();
    this.#copying.set(index, copy);
    return copy;
  }

  #makeZero(index: number): void {
    const found = this.#clusters.get(index);
    if (found === ZEROES) return;
    if (found === undefined) this.#reserve(ZERO_COST);
    else this.#usedBytes -= this.#clusterSize - ZERO_COST;
    this.#clusters.set(index, ZEROES);
  }

  #reserve(bytes: number): void {
    if (this.#usedBytes + bytes > this.#maxBytes) {
      throw new BlockStoreError(
        'no-space',
        `the changes to a disk in snapshot mode exceed ${this.#maxBytes} bytes`,
        'allow it more memory, or make a qcow2 image with the disk as its backing file',
      );
    }
    this.#usedBytes += bytes;
  }
}
