// What all rings of a disk share: the store, what may be done with it, and the counts.
import type { BlockStore } from '../../io/block-store.ts';
import type { DiskLimits } from './block-request.ts';

/** As xen-blkback counts. Requests, and sectors of 512 bytes. */
export interface DiskCounters {
  readRequests: number;
  writeRequests: number;
  flushRequests: number;
  discardRequests: number;
  readSectors: number;
  writeSectors: number;
  /** Requests answered with an error, by the guest's mistake or the host's. */
  errors: number;
}

export class Disk {
  readonly counters: DiskCounters = {
    readRequests: 0,
    writeRequests: 0,
    flushRequests: 0,
    discardRequests: 0,
    readSectors: 0,
    writeSectors: 0,
    errors: 0,
  };
  readonly #readOnly: boolean;
  readonly #mayDiscard: boolean;
  /** Undefined while the drive is empty. */
  store: BlockStore | undefined;

  constructor(store: BlockStore | undefined, readOnly: boolean, mayDiscard: boolean) {
    this.store = store;
    this.#readOnly = readOnly;
    this.#mayDiscard = mayDiscard;
  }

  get writable(): boolean {
    return !this.#readOnly && this.store?.readOnly === false;
  }

  get discards(): boolean {
    return this.#mayDiscard && this.writable && this.store?.discard !== undefined;
  }

  get sizeBytes(): number {
    return this.store?.sizeBytes ?? 0;
  }

  get sectorSize(): number {
    return this.store?.sectorSize ?? 512;
  }

  /** Undefined while there is nothing to read. */
  get limits(): DiskLimits | undefined {
    if (this.store === undefined) return undefined;
    return { sizeBytes: this.sizeBytes, sectorSize: this.sectorSize, writable: this.writable, discard: this.discards };
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const store = this.#medium(offset, into, false);
    if (into.length === 1) return store.read(offset, into[0] as Uint8Array);
    if (store.readv !== undefined) return store.readv(offset, into);
    await eachPiece(offset, into, (at, piece) => store.read(at, piece));
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const store = this.#medium(offset, from, true);
    if (from.length === 1) return store.write(offset, from[0] as Uint8Array);
    if (store.writev !== undefined) return store.writev(offset, from);
    await eachPiece(offset, from, (at, piece) => store.write(at, piece));
  }

  flush(): Promise<void> {
    return this.#medium().flush();
  }

  async discard(offset: number, length: number): Promise<void> {
    if (length > 0) await this.#medium().discard?.(offset, length);
  }

  /** A request may have waited since it was checked, and the medium may be another one, or smaller. */
  #medium(offset = 0, pieces: readonly Uint8Array[] = [], writes = false): BlockStore {
    const { store } = this;
    if (store === undefined) throw new Error('there is no medium');
    let end = offset;
    for (const piece of pieces) end += piece.length;
    if (end > store.sizeBytes || (writes && !this.writable)) throw new Error('the medium is smaller now, or read-only');
    return store;
  }
}

/** All pieces at once. Resolves or rejects only when none is under way any more, as the memory is the guest's afterwards. */
async function eachPiece(
  offset: number,
  pieces: readonly Uint8Array[],
  act: (at: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  let at = offset;
  const calls: Promise<void>[] = [];
  for (const piece of pieces) {
    calls.push(act(at, piece));
    at += piece.length;
  }
  for (const result of await Promise.allSettled(calls)) if (result.status === 'rejected') throw result.reason;
}
