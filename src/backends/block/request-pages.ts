// The guest's pages that requests read from and write to. Without persistent grants each request maps its own; with them a page
// stays mapped, and the frontend uses the same pages again.
import { BLKIF_SECTOR } from '../../abi/xen/blkif.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { BackendGrants, GrantMapping } from '../../xen/grants/backend-grants.ts';
import type { BlockRequest } from './block-request.ts';

/** Pages kept mapped per ring. What is beyond is mapped for each request. Linux's backend keeps 1056 a device. */
export const MAX_PERSISTENT = 1056;

/** The pages of one request. */
export interface RequestPages {
  /** Views of the guest's memory in the order of the disk; segments that are neighbours in it too are one. */
  readonly pieces: readonly Uint8Array[];
  /** Gives back what was mapped for this request only. */
  release(): void;
}

export class PagePool {
  readonly #grants: BackendGrants;
  readonly #memory: GuestMemory;
  /** By grant reference; undefined when the frontend does not keep its grants. */
  readonly #persistent: Map<number, GrantMapping> | undefined;
  readonly #most: number;

  constructor(grants: BackendGrants, memory: GuestMemory, persistent: boolean, most = MAX_PERSISTENT) {
    this.#most = most;
    this.#grants = grants;
    this.#memory = memory;
    this.#persistent = persistent ? new Map() : undefined;
  }

  /** Grants kept mapped. */
  get kept(): number {
    return this.#persistent?.size ?? 0;
  }

  /** Maps a request's pages, to be read only or to be written to as well. A negative GNTST when they are not granted so. */
  map(request: BlockRequest, readonly: boolean): RequestPages | number {
    if (this.#persistent !== undefined) return this.#mapKept(request, this.#persistent, readonly);
    const mapping = this.#grants.map(request.refs, { readonly });
    if (typeof mapping === 'number') return mapping;
    return { pieces: this.#pieces(mapping.hosts, request.spans), release: () => mapping.unmap() };
  }

  /** Unmaps what was kept. No request is under way. */
  close(): void {
    for (const mapping of this.#persistent?.values() ?? []) mapping.unmap();
    this.#persistent?.clear();
  }

  /** A page that is kept was granted for both directions. */
  #mapKept(request: BlockRequest, kept: Map<number, GrantMapping>, readonly: boolean): RequestPages | number {
    const mappings: GrantMapping[] = [];
    const transient: GrantMapping[] = [];
    for (const ref of request.refs) {
      let mapping = kept.get(ref) as GrantMapping | number | undefined;
      if (mapping === undefined) {
        mapping = this.#grants.map([ref]);
        if (typeof mapping === 'number') {
          for (const other of transient) other.unmap();
          return mapping;
        }
        if (kept.size < this.#most) kept.set(ref, mapping);
        else transient.push(mapping);
      }
      mappings.push(mapping as GrantMapping);
    }
    const release = () => {
      if (!readonly) for (const mapping of mappings) mapping.stored();
      for (const mapping of transient) mapping.unmap();
    };
    const hosts = mappings.map((mapping) => mapping.host(0));
    return { pieces: this.#pieces(hosts, request.spans), release };
  }

  #pieces(hosts: readonly number[], spans: readonly number[]): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let start = 0;
    let end = 0;
    for (const [i, span] of spans.entries()) {
      const host = hosts[i] as number;
      const from = host + (span & 0xff) * BLKIF_SECTOR;
      if (from !== end) {
        if (end !== start) pieces.push(this.#memory.u8.subarray(start, end));
        start = from;
      }
      end = host + ((span >>> 8) + 1) * BLKIF_SECTOR;
    }
    pieces.push(this.#memory.u8.subarray(start, end));
    return pieces;
  }
}
