// The tree as one caller in this process reads and writes it, in a transaction or without.
import type { XsdError } from '../../abi/xen/xenstore.ts';
import type { Operation } from './operation.ts';
import { type Permission, permissionList } from './permissions.ts';
import type { XenStore } from './store.ts';
import type { StoreDomain } from './store-domain.ts';
import { StoreError } from './store-error.ts';
import type { Transaction } from './transaction.ts';

export type StoreValue = string | number | Uint8Array;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class StoreView {
  readonly store: XenStore;
  readonly domain: StoreDomain;
  readonly #transaction: Transaction | undefined;

  constructor(store: XenStore, domain: StoreDomain, transaction?: Transaction) {
    this.store = store;
    this.domain = domain;
    this.#transaction = transaction;
  }

  /** The value as text; undefined when there is no such node. @throws StoreError when it may not be read, or the path is invalid. */
  read(path: string): string | undefined {
    const bytes = this.readBytes(path);
    return bytes === undefined ? undefined : decoder.decode(bytes);
  }

  /** The value; undefined when there is no such node. Not to be changed. @throws StoreError */
  readBytes(path: string): Uint8Array | undefined {
    return this.#lenient('read', path, (op) => op.read(op.path(path)));
  }

  exists(path: string): boolean {
    return this.readBytes(path) !== undefined;
  }

  /** Makes the node, and what is missing above it, or gives it another value. @throws StoreError */
  write(path: string, value: StoreValue): void {
    const bytes = typeof value === 'object' ? value.slice() : encoder.encode(String(value));
    this.#strict('write', path, (op) => op.write(op.path(path), bytes));
  }

  /** Names of the children, in the order they were made; undefined when there is no such node. @throws StoreError */
  list(path: string): string[] | undefined {
    const node = this.#lenient('list', path, (op) => op.list(op.path(path)));
    return node === undefined ? undefined : [...node.children.keys()];
  }

  /** Makes an empty node unless there is one. @throws StoreError */
  mkdir(path: string): void {
    this.#strict('mkdir', path, (op) => op.makeDirectory(op.path(path)));
  }

  /** Removes a node and all below; what is not there is no error. @throws StoreError */
  remove(path: string): void {
    this.#lenient('remove', path, (op) => op.remove(op.path(path)));
  }

  /** @throws StoreError, also when there is no such node. */
  permissions(path: string): readonly Permission[] {
    return this.#strict('permissions', path, (op) => op.permissions(op.path(path, true)));
  }

  /** `list`: entries, or their text, such as `n0,r7`. @throws StoreError */
  setPermissions(path: string, list: readonly Permission[] | string): void {
    const entries = typeof list === 'string' ? permissionList(list) : list;
    this.#strict('setPermissions', path, (op) => op.setPermissions(op.path(path, true), entries));
  }

  #strict<T extends object | boolean>(operation: string, path: string, body: (op: Operation) => T | XsdError): T {
    const result = this.store.perform(this.domain, this.#transaction, body);
    if (typeof result === 'string') throw new StoreError(result, operation, path);
    return result;
  }

  #lenient<T extends object | boolean>(operation: string, path: string, body: (op: Operation) => T | XsdError): T | undefined {
    const result = this.store.perform(this.domain, this.#transaction, body);
    if (result === 'ENOENT') return undefined;
    if (typeof result === 'string') throw new StoreError(result, operation, path);
    return result;
  }
}
