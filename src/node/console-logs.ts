// What a guest prints, in files: the primary console's, and beside it those of further consoles, as FILE-<number>.log.
import { RotatingFile } from './rotating-file.ts';

export class ConsoleLogs implements Disposable {
  readonly #path: string;
  readonly #files = new Map<number, RotatingFile>();

  /** Appends to the primary console's file. @throws as open(2) */
  constructor(path: string) {
    this.#path = path;
    this.#files.set(0, new RotatingFile(path));
  }

  /** @param number of the console. @throws as open(2) for the first bytes of a further one */
  write(bytes: Uint8Array, number: number): void {
    let file = this.#files.get(number);
    if (file === undefined) {
      file = new RotatingFile(this.#path.replace(/(\.[^./]*)?$/, (extension) => `-${number}${extension}`));
      this.#files.set(number, file);
    }
    file.write(bytes);
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file[Symbol.dispose]();
  }
}
