// Compressed clusters: read, unpacked, and the last ones kept, since a guest reads pages and not clusters.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ImageError } from '../image-error.ts';
import { unpackZstdPrefix } from '../zstd.ts';
import { badReference } from './errors.ts';
import type { Qcow2Header } from './header.ts';
import { compressedExtent } from './l2-entry.ts';
import { COMPRESSION } from './layout.ts';

/** What the host decompresses with. */
export interface Inflater {
  /**
   * Unpacks raw deflate data to exactly `size` bytes. Whatever follows the data is ignored.
   * @throws anything when it cannot be unpacked, or holds less or more
   */
  inflateRaw(packed: Uint8Array, size: number): Promise<Uint8Array>;
}

/** Memory for unpacked clusters, in bytes. */
const CACHE_BYTES = 2 * 2 ** 20;

export class CompressedClusters {
  readonly #file: RandomAccessFile;
  readonly #header: Qcow2Header;
  readonly #inflater: Inflater;
  /** By place in the file; least recently used first. */
  readonly #unpacked = new Map<number, Promise<Uint8Array>>();
  readonly #keep: number;

  constructor(file: RandomAccessFile, header: Qcow2Header, inflater: Inflater) {
    this.#file = file;
    this.#header = header;
    this.#inflater = inflater;
    this.#keep = Math.max(2, CACHE_BYTES / header.clusterSize);
  }

  /** The cluster that an L2 entry describes. @throws ImageError 'corrupt', 'truncated' */
  read(high: number, low: number): Promise<Uint8Array> {
    const { offset, length } = compressedExtent(high, low, this.#header.clusterBits);
    const present = this.#unpacked.get(offset);
    if (present !== undefined) {
      this.#unpacked.delete(offset);
      this.#unpacked.set(offset, present);
      return present;
    }
    const cluster = this.#unpack(offset, length);
    this.#unpacked.set(offset, cluster);
    cluster.catch(() => this.#unpacked.delete(offset));
    for (const oldest of this.#unpacked.keys()) {
      if (this.#unpacked.size <= this.#keep) break;
      this.#unpacked.delete(oldest);
    }
    return cluster;
  }

  async #unpack(offset: number, length: number): Promise<Uint8Array> {
    const { name, size } = this.#file;
    if (offset >= size) throw badReference(name, `a compressed cluster should lie at offset ${offset}`);
    const packed = new Uint8Array(Math.min(length, size - offset));
    await this.#file.read(offset, packed);
    const { clusterSize, compression } = this.#header;
    try {
      return compression === COMPRESSION.zstd
        ? unpackZstdPrefix(packed, `${name}: the compressed cluster at offset ${offset}`, clusterSize)
        : await this.#inflater.inflateRaw(packed, clusterSize);
    } catch (cause) {
      throw new ImageError(
        'corrupt',
        `${name} is corrupt: the compressed cluster at offset ${offset} cannot be unpacked`,
        'restore it from a backup, or fetch it again',
        { cause },
      );
    }
  }
}
