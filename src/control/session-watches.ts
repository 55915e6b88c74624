// The XenStore watches of one connection.

import type { StoreClient } from '../xen/store/store-client.ts';
import { ControlError } from './control-error.ts';
import type { MonitorTarget } from './monitor-target.ts';
import { absoluteStorePath, reportedStorePath } from './store-path.ts';

/** As many as Xen gives a domain. */
const MAX_WATCHES = 128;

export class SessionWatches implements Disposable {
  readonly #target: MonitorTarget;
  readonly #report: (event: { readonly path: string; readonly token: string }) => void;
  readonly #watches = new Map<string, { readonly path: string; readonly token: string; watch: Disposable }>();
  #closed = false;
  #store: StoreClient;

  constructor(target: MonitorTarget, report: (event: { readonly path: string; readonly token: string }) => void) {
    this.#target = target;
    this.#store = target.xenstore;
    this.#report = report;
  }

  /** A watch is known by its path and its token together. @throws ControlError, and what the store throws */
  add(path: string, token: string): void {
    const key = JSON.stringify([path, token]);
    if (this.#watches.has(key))
      throw new ControlError('StoreError', `${path} is watched with this token already; choose another token`, 'EEXIST');
    if (this.#watches.size >= MAX_WATCHES)
      throw new ControlError('StoreError', `a connection has up to ${MAX_WATCHES} watches; take one away first`, 'E2BIG');
    this.#watches.set(key, { path, token, watch: this.#watch(path, token) });
  }

  /** The domain has another XenStore now, after a restart. */
  renew(): void {
    if (this.#store === this.#target.xenstore) return;
    this.#store = this.#target.xenstore;
    for (const entry of this.#watches.values()) {
      entry.watch[Symbol.dispose]();
      entry.watch = this.#watch(entry.path, entry.token);
    }
  }

  /** @throws ControlError when there is no such watch */
  remove(path: string, token: string): void {
    const key = JSON.stringify([path, token]);
    const watch = this.#watches.get(key)?.watch;
    if (watch === undefined) throw new ControlError('StoreError', `${path} is not watched with this token`, 'ENOENT');
    this.#watches.delete(key);
    watch[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { watch } of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }

  #watch(path: string, token: string): Disposable {
    const { id, xenstore } = this.#target;
    return xenstore.watch(absoluteStorePath(path, id), (changed) => {
      if (!this.#closed) this.#report({ path: reportedStorePath(changed, path, id), token });
    });
  }
}
