// A log file that does not grow without bounds: beyond its limit it becomes FILE.1, and a new one is begun.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const LIMIT = 4 * 2 ** 20;

export class RotatingFile implements Disposable {
  readonly path: string;
  readonly #limit: number;
  #file: number;
  #size: number;

  /** Appends to the file, which only its owner may read. @throws as open(2) */
  constructor(path: string, limit = LIMIT) {
    this.path = path;
    this.#limit = limit;
    this.#file = openSync(path, 'a', 0o600);
    this.#size = fstatSync(this.#file).size;
  }

  /** A disk that is full loses what is written, and nothing else. */
  write(data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#limit) this.#rotate();
      this.#size += writeSync(this.#file, bytes);
    } catch {
      // There is nowhere to say so.
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #rotate(): void {
    renameSync(this.path, `${this.path}.1`);
    const next = openSync(this.path, 'a', 0o600);
    closeSync(this.#file);
    this.#file = next;
    this.#size = 0;
  }
}
