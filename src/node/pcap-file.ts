// A capture file that is written while the guest runs. Capturing must not hold up the network: what the disk cannot take is lost.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';

const MAX_PENDING_BYTES = 64 * 1024 * 1024;

export class PcapFile {
  readonly #stream;
  /** Records lost because the disk was too slow. */
  lost = 0;
  /** The first error of the host, if there was one; nothing is written after it. */
  error: Error | undefined;

  constructor(path: string) {
    this.#stream = createWriteStream(path);
    this.#stream.on('error', (error) => {
      this.error ??= error;
    });
  }

  /** A file that could be made. Rejects with the host's error. */
  static async open(path: string): Promise<PcapFile> {
    const file = new PcapFile(path);
    await once(file.#stream, 'open');
    return file;
  }

  /** For CapturingSink. */
  readonly write = (bytes: Uint8Array): void => {
    if (this.error !== undefined || this.#stream.writableLength > MAX_PENDING_BYTES) this.lost++;
    else this.#stream.write(bytes);
  };

  /** Rejects with the host's error when the file is not complete. */
  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.on('close', () => (this.error === undefined ? resolve() : reject(this.error)));
      this.#stream.end();
      if (this.#stream.destroyed) this.error === undefined ? resolve() : reject(this.error);
    });
  }
}
