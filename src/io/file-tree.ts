// A folder with all below it, as something serves it: a folder of the host, memory.
// Names are strings of bytes: each character is one byte of the name, whatever encoding the name is in. A name is that of one
// entry: 1 to 255 bytes without '/' and NUL, and neither '.' nor '..'; trees answer others with an error.
// All promises reject with a FileTreeError for what a guest is told; with anything else for a fault of the host's.

export const S_IF = { MT: 0o170000, DIR: 0o040000, REG: 0o100000, LNK: 0o120000 } as const;

/** What a node is, as it was last seen. */
export interface NodeIdentity {
  /** Unlike that of all other nodes of the tree; hard links of a file share it. Below 2^64. */
  readonly path: bigint;
  /** Another one when the contents have changed; u32. */
  readonly version: number;
  /** S_IF bits alone. */
  readonly kind: number;
}

export interface FileAttributes extends NodeIdentity {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly device: bigint;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  /** Since 1970. */
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** Times are seconds since 1970, or 'now'. */
export interface AttributeChanges {
  /** Permissions without the type. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  readonly atime?: number | 'now';
  readonly mtime?: number | 'now';
}

export interface FileAccess {
  readonly read: boolean;
  readonly write: boolean;
  /** Every write goes to the end. */
  readonly append?: boolean;
  readonly truncate?: boolean;
  /** A write that has resolved is durable. */
  readonly sync?: boolean;
}

/** Whose a new node is, where the tree can tell owners apart. */
export interface NewNode {
  /** Permissions; nothing is taken off them. Of no meaning for symbolic links. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FileSystemStatus {
  /** Linux's magic number of the file system. */
  readonly type: number;
  readonly blockBytes: number;
  readonly blocks: bigint;
  readonly freeBlocks: bigint;
  readonly availableBlocks: bigint;
  readonly files: bigint;
  readonly freeFiles: bigint;
}

export interface DirectoryEntry extends NodeIdentity {
  readonly name: string;
}

/** Nothing of it is called after `close`, nor while `close` runs. */
export interface OpenFile {
  attributes(): Promise<FileAttributes>;
  /** Bytes that were read: fewer than there is room for at the end of the file only. */
  read(offset: number, into: Uint8Array): Promise<number>;
  /** Bytes that were written: less than all when there is no room for the rest. */
  write(offset: number, from: Uint8Array): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** What was written is durable; with `dataOnly` the times need not be. */
  sync(dataOnly: boolean): Promise<void>;
  close(): Promise<void>;
}

/** Its calls do not overlap. */
export interface OpenDirectory {
  /** The next entry, without '.' and '..'; undefined after the last. */
  next(): Promise<DirectoryEntry | undefined>;
  rewind(): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A reference to a node. Whoever is given one releases it, once; `retain` makes one more of it. A node whose name has gone may
 * answer ESTALE.
 */
export interface TreeNode {
  readonly identity: NodeIdentity;
  /** The folder it was found in; the root's is itself. Not retained for the caller. */
  readonly parent: TreeNode;
  retain(): void;
  release(): void;

  attributes(): Promise<FileAttributes>;
  change(changes: AttributeChanges): Promise<void>;
  /** A regular file; everything else is refused. */
  open(access: FileAccess): Promise<OpenFile>;
  openDirectory(): Promise<OpenDirectory>;
  /** Where a symbolic link leads: what is written in it. */
  readlink(): Promise<string>;

  /** An entry of this directory. Symbolic links are not followed. */
  lookup(name: string): Promise<TreeNode>;
  /** A new regular file; EEXIST when there is anything of that name. */
  create(name: string, node: NewNode, access: FileAccess): Promise<{ readonly node: TreeNode; readonly file: OpenFile }>;
  mkdir(name: string, node: NewNode): Promise<TreeNode>;
  symlink(name: string, target: string, node: NewNode): Promise<TreeNode>;
  /** Another name for `existing`, which is of the same tree. */
  link(name: string, existing: TreeNode): Promise<void>;
  /** As rename(2): what has the new name is replaced. `directory` is of the same tree. */
  rename(name: string, directory: TreeNode, newName: string): Promise<void>;
  /** Moves this node. */
  moveTo(directory: TreeNode, newName: string): Promise<void>;
  unlink(name: string): Promise<void>;
  rmdir(name: string): Promise<void>;
  /** Removes this node, whichever kind it is. */
  remove(): Promise<void>;
}

/** Files and directories that are shared with a guest. */
export interface FileTree {
  /** Nothing can be changed: whoever serves it answers EROFS. */
  readonly readOnly: boolean;
  root(): Promise<TreeNode>;
  status(): Promise<FileSystemStatus>;
  /** Ends it; nothing is open and nothing under way. */
  close(): Promise<void>;
}
