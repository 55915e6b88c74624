// A file of a shared folder that is open.
import type { FileAttributes, OpenFile } from '../../io/file-tree.ts';
import type { FolderVolume } from './folder-volume.ts';
import { hostFs } from './host-fs.ts';

export class FolderFile implements OpenFile {
  readonly #volume: FolderVolume;
  readonly #fd: number;

  /** Counted by the volume. */
  constructor(volume: FolderVolume, fd: number) {
    this.#volume = volume;
    this.#fd = fd;
  }

  async attributes(): Promise<FileAttributes> {
    return this.#volume.attributes(await hostFs.fstat(this.#fd));
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    for (let done = 0; ; ) {
      const count = await hostFs.read(this.#fd, into.subarray(done), offset + done);
      done += count;
      if (count === 0 || done === into.length) return done;
    }
  }

  write(offset: number, from: Uint8Array): Promise<number> {
    return hostFs.write(this.#fd, from, offset);
  }

  truncate(sizeBytes: number): Promise<void> {
    return hostFs.ftruncate(this.#fd, sizeBytes);
  }

  sync(dataOnly: boolean): Promise<void> {
    return dataOnly ? hostFs.fdatasync(this.#fd) : hostFs.fsync(this.#fd);
  }

  async close(): Promise<void> {
    this.#volume.closed();
    await hostFs.close(this.#fd);
  }
}
