// The store for code in this process: backends, the toolstack, the control socket. As domain 0 unless told otherwise.
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { canonicalPath } from './path.ts';
import type { XenStore } from './store.ts';
import { StoreError } from './store-error.ts';
import { StoreView } from './store-view.ts';
import type { Transaction } from './transaction.ts';
import type { Watch, Watcher } from './watch.ts';

/** Told of a change: which node, as the path of the watch is written. */
export type WatchListener = (path: string) => void;

export interface WaitOptions {
  /** Milliseconds. Default: for ever. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

interface ClientWatch extends Watch {
  readonly listener: WatchListener;
  /** Paths that a microtask will tell of. */
  readonly waiting: Set<string>;
}

/** How often a transaction is tried before its conflict is taken for a mistake. */
const ATTEMPTS = 100;

/** XenStore for code in this process: reading, writing, watching, waiting, transactions. */
export class StoreClient extends StoreView implements Watcher, Disposable {
  readonly #watches: ClientWatch[] = [];
  #tokens = 0;
  #transactions = 0;

  constructor(store: XenStore, domid: number = DOMID_ZERO) {
    super(store, store.addDomain(domid));
  }

  get watches(): readonly Watch[] {
    return this.#watches;
  }

  /**
   * Calls `listener` once soon, and then after each change of the node or below it, never from within the change itself.
   * Changes of one node that come together are told once. `@introduceDomain` and `@releaseDomain` are paths too.
   * @throws StoreError EINVAL when the path is not valid.
   */
  watch(path: string, listener: WatchListener): Disposable {
    const rules = { home: this.domain.home, maxLength: Number.POSITIVE_INFINITY, special: true };
    const absolute = canonicalPath(path, rules);
    if (absolute === undefined) throw new StoreError('EINVAL', 'watch', path);
    const token = String(this.#tokens++);
    const watch: ClientWatch = { path: absolute, token, skip: absolute.length - path.length, listener, waiting: new Set() };
    if (this.#watches.push(watch) === 1) this.store.addWatcher(this);
    this.#tell(watch, path);
    return { [Symbol.dispose]: () => this.#forget(watch) };
  }

  event(path: string, token: string): void {
    const watch = this.#watches.find((candidate) => candidate.token === token);
    if (watch !== undefined) this.#tell(watch, path);
  }

  /**
   * Resolves with the node's value as soon as `wanted` says so of it; undefined stands for no such node.
   * @throws the signal's reason, or an Error named TimeoutError.
   */
  waitFor(path: string, wanted: (value: string | undefined) => boolean, options: WaitOptions = {}): Promise<string | undefined> {
    const { timeout, signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        watch[Symbol.dispose]();
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const fail = (reason: unknown) => {
        end();
        reject(reason);
      };
      const abort = () => fail(signal?.reason);
      const watch = this.watch(path, () => {
        try {
          const value = this.read(path);
          if (!wanted(value)) return;
          end();
          resolve(value);
        } catch (error) {
          fail(error);
        }
      });
      signal?.addEventListener('abort', abort);
      const timer = timeout === undefined ? undefined : setTimeout(() => fail(timeoutError(path, timeout)), timeout);
    });
  }

  /** Runs `body` in a transaction and commits it; again from the start when others changed what it rests on. Nothing stays of a body that throws. */
  transaction<T>(body: (view: StoreView) => T): T {
    for (let attempt = 1; ; attempt++) {
      const transaction = this.#begin();
      try {
        const result = body(new StoreView(this.store, this.domain, transaction));
        if (this.#commit(transaction, attempt)) return result;
      } finally {
        transaction.release();
      }
    }
  }

  /** The same for a body that waits for something. */
  async transactionAsync<T>(body: (view: StoreView) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const transaction = this.#begin();
      try {
        const result = await body(new StoreView(this.store, this.domain, transaction));
        if (this.#commit(transaction, attempt)) return result;
      } finally {
        transaction.release();
      }
    }
  }

  /** Ends all watches. */
  [Symbol.dispose](): void {
    for (const watch of [...this.#watches]) this.#forget(watch);
  }

  #begin(): Transaction {
    return this.store.begin(this.domain, ++this.#transactions);
  }

  /** Whether it is done; false when it is to be tried again. */
  #commit(transaction: Transaction, attempt: number): boolean {
    const result = this.store.commit(transaction);
    if (result === true) return true;
    if (result !== 'EAGAIN' || attempt >= ATTEMPTS) throw new StoreError(result, 'transaction', '');
    return false;
  }

  #tell(watch: ClientWatch, path: string): void {
    if (watch.waiting.has(path)) return;
    watch.waiting.add(path);
    queueMicrotask(() => {
      watch.waiting.delete(path);
      if (this.#watches.includes(watch)) watch.listener(path);
    });
  }

  #forget(watch: ClientWatch): void {
    const index = this.#watches.indexOf(watch);
    if (index >= 0) this.#watches.splice(index, 1);
    if (this.#watches.length === 0) this.store.removeWatcher(this);
  }
}

function timeoutError(path: string, timeout: number): Error {
  const error = new Error(`${path} did not become what was waited for within ${timeout} ms`);
  error.name = 'TimeoutError';
  return error;
}
