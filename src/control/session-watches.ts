// The XenStore watches of one connection.
import { ControlError } from './control-error.ts';
import type { MonitorTarget } from './monitor-target.ts';
import { absoluteStorePath, reportedStorePath } from './store-path.ts';

/** As many as Xen gives a domain. */
const MAX_WATCHES = 128;

export class SessionWatches implements Disposable {
  readonly #target: MonitorTarget;
  readonly #report: (event: { readonly path: string; readonly token: string }) => void;
  readonly #watches = new Map<string, Disposable>();
  #closed = false;

  constructor(target: MonitorTarget, report: (event: { readonly path: string; readonly token: string }) => void) {
    this.#target = target;
    this.#report = report;
  }

  /** A watch is known by its path and its token together. @throws ControlError, and what the store throws */
  add(path: string, token: string): void {
    const key = JSON.stringify([path, token]);
    if (this.#watches.has(key))
      throw new ControlError('StoreError', `${path} is watched with this token already; choose another token`, 'EEXIST');
    if (this.#watches.size >= MAX_WATCHES)
      throw new ControlError('StoreError', `a connection has up to ${MAX_WATCHES} watches; take one away first`, 'E2BIG');
    const { id, xenstore } = this.#target;
    const watch = xenstore.watch(absoluteStorePath(path, id), (changed) => {
      if (!this.#closed) this.#report({ path: reportedStorePath(changed, path, id), token });
    });
    this.#watches.set(key, watch);
  }

  /** @throws ControlError when there is no such watch */
  remove(path: string, token: string): void {
    const key = JSON.stringify([path, token]);
    const watch = this.#watches.get(key);
    if (watch === undefined) throw new ControlError('StoreError', `${path} is not watched with this token`, 'ENOENT');
    this.#watches.delete(key);
    watch[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }
}
