// A store whose requests end when the fuzzer says so: in any order, some with an error. Whatever it is asked for must be within it.
import type { BlockStore } from '../../src/io/block-store.ts';
import { showsSecret } from './hostile-guest.ts';

/** What the host's disk is made to answer. */
export class InjectedError extends Error {}

interface Waiting {
  readonly act: () => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Requests of one disk that may be under way: 64 for each of 4 rings. */
const MOST_UNDER_WAY = 256;

export class GatedStore implements BlockStore {
  readonly sectorSize: 512 | 4096;
  readonly readOnly: boolean;
  bytes: Uint8Array;
  requests = 0;
  /** What it should never have been asked for. */
  problem: string | undefined;
  readonly #waiting: Waiting[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(sizeBytes: number, sectorSize: 512 | 4096, readOnly: boolean) {
    this.bytes = new Uint8Array(sizeBytes).fill(0xd5);
    this.sectorSize = sectorSize;
    this.readOnly = readOnly;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  get underWay(): number {
    return this.#waiting.length;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    // The disk may have become smaller since.
    return this.#wait('read', offset, into.length, () => into.set(this.bytes.subarray(offset, offset + into.length)));
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    return this.#wait('write', offset, from.length, () => {
      if (showsSecret(from)) this.problem ??= 'the store was given what the guest did not grant';
      if (offset < this.bytes.length) this.bytes.set(from.subarray(0, this.bytes.length - offset), offset);
    });
  }

  flush(): Promise<void> {
    return this.#wait('flush', 0, 0, () => {});
  }

  discard(offset: number, length: number): Promise<void> {
    return this.#wait('discard', offset, length, () => this.bytes.fill(0, offset, offset + length));
  }

  onResize(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  resize(sizeBytes: number): void {
    const bytes = new Uint8Array(sizeBytes).fill(0xd5);
    bytes.set(this.bytes.subarray(0, sizeBytes));
    this.bytes = bytes;
    for (const listener of this.#listeners) listener();
  }

  /** Ends the `n`th of the requests under way. */
  finish(n: number, fails: boolean): void {
    const [request] = this.#waiting.splice(n % Math.max(1, this.#waiting.length), 1);
    if (request === undefined) return;
    if (fails) return request.reject(new InjectedError('the disk cannot'));
    request.act();
    request.resolve();
  }

  async close(): Promise<void> {}

  #wait(what: string, offset: number, length: number, act: () => void): Promise<void> {
    this.requests++;
    const whole = offset % this.sectorSize === 0 && length % this.sectorSize === 0;
    if (!whole || offset < 0 || length < 0 || !(offset + length <= this.bytes.length))
      this.problem ??= `the store of ${this.bytes.length} bytes was asked to ${what} ${length} bytes at ${offset}`;
    if (this.readOnly && what !== 'read') this.problem ??= `a read-only store was asked to ${what}`;
    if (this.#waiting.length >= MOST_UNDER_WAY) this.problem ??= `more than ${MOST_UNDER_WAY} requests are under way`;
    return new Promise((resolve, reject) => this.#waiting.push({ act, resolve, reject }));
  }
}
