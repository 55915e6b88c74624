// A directory as Treaddir reads it: entries from an offset on, as many as fit. An offset is 1 behind '.', 2 behind '..', and
// counts entries from there; a reader that goes on where it stopped sees each entry once whatever is removed meanwhile.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { DirectoryEntry, NodeIdentity, OpenDirectory } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import { Mutex } from '../../../io/mutex.ts';
import { qid, text } from './fields.ts';
import { entryType, qidOf } from './qid-of.ts';
import { WireWriter } from './wire.ts';

/** qid, offset, type and the length of the name. */
const ENTRY_BYTES = 13 + 8 + 1 + 2;
const DOTS = 2;

export class DirectoryReader {
  readonly #directory: OpenDirectory;
  readonly #mutex = new Mutex();
  /** Of the next entry the directory gives, or of the one kept back. */
  #offset = DOTS;
  #kept: DirectoryEntry | undefined;

  constructor(directory: OpenDirectory) {
    this.#directory = directory;
  }

  /**
   * Entries from `offset` on in at most `count` bytes, as Rreaddir has them; none behind the last.
   * @param dots what '.' and '..' are
   * @throws FileTreeError EINVAL when not even one fits
   */
  read(offset: number, count: number, dots: readonly [NodeIdentity, NodeIdentity]): Promise<Uint8Array> {
    return this.#mutex.run(() => this.#read(offset, count, dots));
  }

  sync(): Promise<void> {
    return this.#mutex.run(() => this.#directory.sync());
  }

  /** No read is under way. */
  close(): Promise<void> {
    return this.#directory.close();
  }

  async #read(offset: number, count: number, dots: readonly [NodeIdentity, NodeIdentity]): Promise<Uint8Array> {
    const writer = new WireWriter(Math.min(count, 4096) + 4);
    writer.u32(0);
    for (let at = offset; ; at++) {
      const entry = at < DOTS ? { ...(dots[at] as NodeIdentity), name: at === 0 ? '.' : '..' } : await this.#at(at);
      if (entry === undefined) break;
      if (writer.length - 4 + ENTRY_BYTES + entry.name.length > count) {
        if (writer.length === 4) throw new FileTreeError(LinuxErrno.EINVAL, `an entry does not fit into ${count} bytes`);
        break;
      }
      qid.write(writer, qidOf(entry));
      writer.u64(BigInt(at + 1));
      writer.u8(entryType(entry.kind));
      text.write(writer, entry.name);
      if (at >= DOTS) this.#taken();
    }
    return writer.finish().subarray(4);
  }

  /** The entry at an offset; it is kept until `#taken`. */
  async #at(offset: number): Promise<DirectoryEntry | undefined> {
    if (offset < this.#offset) {
      await this.#directory.rewind();
      this.#offset = DOTS;
      this.#kept = undefined;
    }
    for (;;) {
      this.#kept ??= await this.#directory.next();
      if (this.#kept === undefined || this.#offset === offset) return this.#kept;
      this.#taken();
    }
  }

  #taken(): void {
    this.#kept = undefined;
    this.#offset++;
  }
}
