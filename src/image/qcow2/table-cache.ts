// Tables of one cluster each (L2 tables, refcount blocks) in memory: a bounded number of clean ones, and what was changed since the
// last commit. Changes reach the file only by `takeDirty`, so that whoever commits says in which order.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { viewOf } from './layout.ts';

export interface CachedTable {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Bytes that the file does not have yet; none when `dirtyFrom` is not below `dirtyTo`. */
  dirtyFrom: number;
  dirtyTo: number;
  /** Commits that write it now. */
  writing: number;
}

/** A copy of changed bytes on its way to the file. */
export interface PendingWrite {
  readonly table: CachedTable;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Changes are written by sectors: these arrive whole or not at all. */
const SECTOR = 512;

export class TableCache {
  readonly #file: RandomAccessFile;
  readonly #tableBytes: number;
  readonly #maxTables: number;
  /** Least recently used first. */
  readonly #tables = new Map<number, CachedTable>();
  readonly #loading = new Map<number, Promise<CachedTable>>();
  #last: CachedTable | undefined;
  #dirty = new Set<CachedTable>();

  constructor(file: RandomAccessFile, tableBytes: number, maxBytes: number) {
    this.#file = file;
    this.#tableBytes = tableBytes;
    this.#maxTables = Math.max(4, Math.floor(maxBytes / tableBytes));
  }

  /** Whether so much is changed that it should be committed before more is. */
  get crowded(): boolean {
    return this.#dirty.size * 2 >= this.#maxTables;
  }

  get hasDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** The table, if it is in memory. */
  peek(offset: number): CachedTable | undefined {
    if (this.#last?.offset === offset) return this.#last;
    const table = this.#tables.get(offset);
    if (table === undefined) return undefined;
    this.#tables.delete(offset);
    this.#tables.set(offset, table);
    this.#last = table;
    return table;
  }

  /** Reads the table. Once something else was awaited it may have left the cache again: change tables with `modify`. */
  load(offset: number): Promise<CachedTable> {
    const present = this.peek(offset);
    if (present !== undefined) return Promise.resolve(present);
    let loading = this.#loading.get(offset);
    if (loading === undefined) {
      const bytes = new Uint8Array(this.#tableBytes);
      loading = this.#file.read(offset, bytes).then(
        () => {
          this.#loading.delete(offset);
          return this.#tables.get(offset) ?? this.#add(offset, bytes);
        },
        (error: unknown) => {
          this.#loading.delete(offset);
          throw error;
        },
      );
      this.#loading.set(offset, loading);
    }
    return loading;
  }

  /** Calls `change` with the table as it is in the cache; `change` must not wait for anything. */
  async modify<T>(offset: number, change: (table: CachedTable) => T): Promise<T> {
    for (;;) {
      const table = this.peek(offset);
      if (table !== undefined) return change(table);
      await this.load(offset);
    }
  }

  /** A new table, all of it changed. */
  install(offset: number, bytes: Uint8Array): void {
    this.drop(offset);
    this.markDirty(this.#add(offset, bytes), 0, this.#tableBytes);
  }

  markDirty(table: CachedTable, at: number, length: number): void {
    table.dirtyFrom = Math.min(table.dirtyFrom, at);
    table.dirtyTo = Math.max(table.dirtyTo, at + length);
    this.#dirty.add(table);
  }

  /** Forgets a table, changes and all: it is in use no more. */
  drop(offset: number): void {
    const table = this.#tables.get(offset);
    if (table === undefined) return;
    this.#tables.delete(offset);
    this.#dirty.delete(table);
    if (this.#last === table) this.#last = undefined;
  }

  /** Copies of all changes; from now on they count as written. */
  takeDirty(): PendingWrite[] {
    const writes: PendingWrite[] = [];
    for (const table of this.#dirty) {
      const from = Math.floor(table.dirtyFrom / SECTOR) * SECTOR;
      const to = Math.ceil(table.dirtyTo / SECTOR) * SECTOR;
      writes.push({ table, offset: table.offset + from, bytes: table.bytes.slice(from, to) });
      table.dirtyFrom = Number.POSITIVE_INFINITY;
      table.dirtyTo = 0;
      table.writing++;
    }
    this.#dirty = new Set();
    return writes.sort((a, b) => a.offset - b.offset);
  }

  /** @param written false when they may not have reached the file: they are changes again */
  settle(writes: readonly PendingWrite[], written: boolean): void {
    for (const { table, offset, bytes } of writes) {
      table.writing--;
      if (!written && this.#tables.get(table.offset) === table) this.markDirty(table, offset - table.offset, bytes.length);
    }
    this.#shrink();
  }

  #add(offset: number, bytes: Uint8Array): CachedTable {
    const table: CachedTable = {
      offset,
      bytes,
      view: viewOf(bytes),
      dirtyFrom: Number.POSITIVE_INFINITY,
      dirtyTo: 0,
      writing: 0,
    };
    this.#tables.set(offset, table);
    this.#shrink(table);
    return table;
  }

  /** @param newest stays: somebody is about to look at it */
  #shrink(newest?: CachedTable): void {
    if (this.#tables.size <= this.#maxTables) return;
    for (const [offset, table] of this.#tables) {
      if (this.#tables.size <= this.#maxTables) return;
      if (table === newest || table.writing > 0 || this.#dirty.has(table)) continue;
      this.#tables.delete(offset);
      if (this.#last === table) this.#last = undefined;
    }
  }
}
