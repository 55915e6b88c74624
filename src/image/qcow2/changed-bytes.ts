// A table that is in memory as a whole (L1, refcount table), and which of its bytes the file does not have yet.
import { viewOf } from './layout.ts';

const SECTOR = 512;

export class ChangedBytes {
  bytes: Uint8Array;
  view: DataView;
  /** Where it lies in the file. */
  offset: number;
  #from = Number.POSITIVE_INFINITY;
  #to = 0;

  constructor(bytes: Uint8Array, offset: number) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.offset = offset;
  }

  mark(at: number, length: number): void {
    this.#from = Math.min(this.#from, at);
    this.#to = Math.max(this.#to, at + length);
  }

  get changed(): boolean {
    return this.#from < this.#to;
  }

  /** A copy of what changed, by whole sectors; from now on it counts as written. */
  take(): { readonly at: number; readonly bytes: Uint8Array } | undefined {
    if (!this.changed) return undefined;
    const at = Math.floor(this.#from / SECTOR) * SECTOR;
    const bytes = this.bytes.slice(at, Math.ceil(this.#to / SECTOR) * SECTOR);
    this.#from = Number.POSITIVE_INFINITY;
    this.#to = 0;
    return { at, bytes };
  }

  /** It lies elsewhere now, or is longer; all of it is in the file. */
  replace(bytes: Uint8Array, offset: number): void {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.offset = offset;
    this.#from = Number.POSITIVE_INFINITY;
    this.#to = 0;
  }
}
