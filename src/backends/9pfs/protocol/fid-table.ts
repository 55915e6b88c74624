// What a client's fids stand for. A fid may be clunked while a request that uses it is under way: it has gone at once, and what
// it held is given back when the last of these is over, so that nobody reads from a file that is closed already.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { FileAccess, OpenFile, TreeNode } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import type { DirectoryReader } from './directory-reader.ts';

export interface OpenedFile {
  readonly file: OpenFile;
  readonly access: FileAccess;
}

/** One fid. `node`, `file` and `directory` are for requests that `FidTable.use` lets at it. */
export class Fid {
  node: TreeNode;
  /** Who attached: owns what is created through it. */
  readonly uid: number;
  file: OpenedFile | undefined;
  directory: DirectoryReader | undefined;
  /** Being opened: nothing else opens it meanwhile. */
  opening = false;
  uses = 0;
  /** Called when the last use is over, once clunked. */
  onIdle: (() => void) | undefined;

  constructor(node: TreeNode, uid: number) {
    this.node = node;
    this.uid = uid;
  }

  get isOpen(): boolean {
    return this.opening || this.file !== undefined || this.directory !== undefined;
  }
}

export class FidTable {
  readonly #fids = new Map<number, Fid>();
  readonly #most: number;
  /** No fid is added any more: a request that began before the end is still under way. */
  #ended = false;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#fids.size;
  }

  has(id: number): boolean {
    return this.#fids.has(id);
  }

  /** Takes the caller's reference of `node`, also when it throws. @throws FileTreeError EINVAL when the fid is in use, ENFILE */
  add(id: number, node: TreeNode, uid: number): void {
    const taken = this.#fids.has(id);
    if (!taken && !this.#ended && this.#fids.size < this.#most) {
      this.#fids.set(id, new Fid(node, uid));
      return;
    }
    node.release();
    throw taken
      ? new FileTreeError(LinuxErrno.EINVAL, `fid ${id} is in use`)
      : new FileTreeError(LinuxErrno.ENFILE, `there are ${this.#most} fids`);
  }

  /** Has `body` work with a fid. @throws FileTreeError EBADF when there is none, and what `body` throws */
  async use<T>(id: number, body: (fid: Fid, node: TreeNode) => Promise<T>): Promise<T> {
    const fid = this.#fids.get(id);
    if (fid === undefined) throw new FileTreeError(LinuxErrno.EBADF, `no fid ${id}`);
    const { node } = fid;
    node.retain();
    fid.uses++;
    try {
      return await body(fid, node);
    } finally {
      node.release();
      if (--fid.uses === 0) fid.onIdle?.();
    }
  }

  /** Forgets a fid, and resolves when what it held is given back. @throws FileTreeError EBADF when there is none */
  async clunk(id: number): Promise<void> {
    const fid = this.#fids.get(id);
    if (fid === undefined) throw new FileTreeError(LinuxErrno.EBADF, `no fid ${id}`);
    this.#fids.delete(id);
    if (fid.uses > 0)
      await new Promise<void>((resolve) => {
        fid.onIdle = resolve;
      });
    try {
      await fid.file?.file.close();
      await fid.directory?.close();
    } finally {
      fid.node.release();
    }
  }

  /** Every one, and no more come; resolves when all is given back. @throws what closing threw first */
  async clunkAll(): Promise<void> {
    this.#ended = true;
    const results = await Promise.allSettled([...this.#fids.keys()].map((id) => this.clunk(id)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}
