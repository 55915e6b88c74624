// Watches, and the events they turn changes into. tools/xenstored/watch.c.

import { isBelow } from './path.ts';
import type { StoreDomain } from './store-domain.ts';
import type { StoreNode } from './tree.ts';

export interface Watch {
  /** Absolute. */
  readonly path: string;
  readonly token: string;
  /** How much of a path is left out in events: a watch on a relative path gets relative paths. */
  readonly skip: number;
}

/** A request whose events are counted until their receivers took them. */
export interface EventCause {
  eventQueued(): void;
  eventTaken(): void;
}

/** Who has watches. */
export interface Watcher {
  readonly domain: StoreDomain;
  readonly watches: readonly Watch[];
  /** `path` is as the watcher named it. */
  event(path: string, token: string, cause: EventCause | undefined): void;
}

/** A change that watches hear of. */
export interface NodeEvent {
  readonly path: string;
  /** Only watches on this very path: for the nodes below a removed one, and for special nodes. */
  readonly exact: boolean;
  /** The node before or after, and its parent: a watcher that may read none of them hears nothing. */
  readonly judged: readonly (StoreNode | undefined)[];
}

export function fireWatches(event: NodeEvent, watchers: Iterable<Watcher>, cause: EventCause | undefined): void {
  const { path, exact, judged } = event;
  for (const watcher of watchers) {
    if (watcher.watches.length === 0) continue;
    if (!judged.some((node) => node !== undefined && watcher.domain.mayRead(node))) continue;
    for (const watch of watcher.watches)
      if (exact ? path === watch.path : isBelow(path, watch.path)) watcher.event(path.slice(watch.skip), watch.token, cause);
  }
}
