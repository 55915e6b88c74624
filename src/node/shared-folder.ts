// A folder of this host as a FileTree: symbolic links are the guest's to resolve, and nothing ever leads out of the folder.
import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import type { FileSystemStatus, FileTree, TreeNode } from '../io/file-tree.ts';
import { nodeErrorCode } from './control-error.ts';
import { CheckedPaths } from './shared-folder/checked-paths.ts';
import { FolderNode } from './shared-folder/folder-node.ts';
import { FolderVolume } from './shared-folder/folder-volume.ts';
import { HandlePaths } from './shared-folder/handle-paths.ts';
import { hostFs } from './shared-folder/host-fs.ts';
import type { NodePaths } from './shared-folder/node-paths.ts';
import { SharedFolderError } from './shared-folder-error.ts';

/** What a guest may do in a shared directory. */
export interface SharedFolderOptions {
  readonly readOnly?: boolean;
  /** Files and directories that may be open at a time; more are ENFILE. Default 1024. */
  readonly maxOpenFiles?: number;
  /** Handles that are kept of what was used lately, on Linux. Default 256. */
  readonly maxHandles?: number;
  /** Default: handles where the host has them. */
  readonly paths?: 'handles' | 'checked';
}

const DEFAULT_MAX_OPEN_FILES = 1024;
const DEFAULT_MAX_HANDLES = 256;

/** A directory of the host as a guest may use it. */
export class SharedFolder implements FileTree {
  readonly readOnly: boolean;
  readonly #volume: FolderVolume;
  readonly #root: FolderNode;

  private constructor(volume: FolderVolume, root: FolderNode, readOnly: boolean) {
    this.#volume = volume;
    this.#root = root;
    this.readOnly = readOnly;
  }

  /** @throws SharedFolderError */
  static async open(path: string, options: SharedFolderOptions = {}): Promise<SharedFolder> {
    const { readOnly = false, maxOpenFiles = DEFAULT_MAX_OPEN_FILES, maxHandles = DEFAULT_MAX_HANDLES } = options;
    try {
      if (!(await stat(path)).isDirectory())
        throw new SharedFolderError('not-a-folder', `${path} is no folder`, 'give the path of the folder to share');
      const wanted = constants.R_OK | constants.X_OK | (readOnly ? 0 : constants.W_OK);
      await access(path, wanted);
      const real = Buffer.from(await realpath(path)).toString('latin1');
      const handles = options.paths === undefined ? await hasHandles() : options.paths === 'handles';
      const paths: NodePaths = handles ? new HandlePaths(maxHandles) : new CheckedPaths(real);
      const volume = new FolderVolume(paths, { givesOwners: process.geteuid?.() === 0, mostOpen: maxOpenFiles });
      const handle = handles ? await HandlePaths.openRoot(real) : undefined;
      const stats = handle === undefined ? await hostFs.stat(real) : await hostFs.fstat(handle);
      return new SharedFolder(volume, FolderNode.root(volume, { stats, handle }), readOnly);
    } catch (error) {
      throw error instanceof SharedFolderError ? error : openFailure(path, readOnly, error);
    }
  }

  /** Files and directories that are open. */
  get openFiles(): number {
    return this.#volume.openFiles;
  }

  async root(): Promise<TreeNode> {
    this.#root.retain();
    return this.#root;
  }

  async status(): Promise<FileSystemStatus> {
    const held = await this.#volume.paths.hold(this.#root);
    try {
      const status = await hostFs.statfs(held.path);
      return {
        type: status.type,
        blockBytes: status.bsize,
        blocks: BigInt(status.blocks),
        freeBlocks: BigInt(status.bfree),
        availableBlocks: BigInt(status.bavail),
        files: BigInt(status.files),
        freeFiles: BigInt(status.ffree),
      };
    } finally {
      held.release();
    }
  }

  close(): Promise<void> {
    return this.#volume.paths.close();
  }
}

/** Linux, and /proc is there. */
async function hasHandles(): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  return access('/proc/self/fd', constants.X_OK).then(
    () => true,
    () => false,
  );
}

function openFailure(path: string, readOnly: boolean, cause: unknown): SharedFolderError {
  const code = nodeErrorCode((cause as { cause?: unknown } | undefined)?.cause) ?? nodeErrorCode(cause);
  switch (code) {
    case 'ENOENT':
      return new SharedFolderError('missing', `${path}: there is no such folder`, 'make it, or check the path', { cause });
    case 'ENOTDIR':
      return new SharedFolderError('not-a-folder', `${path} is no folder`, 'give the path of the folder to share', { cause });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new SharedFolderError(
        'permission',
        `${path} may not be ${readOnly ? 'read' : 'written to'} (${code})`,
        readOnly ? 'check its permissions' : 'check its permissions, or share it read-only',
        { cause },
      );
    default:
      return new SharedFolderError('io', `${path} cannot be shared (${code ?? String(cause)})`, 'check the path', { cause });
  }
}
