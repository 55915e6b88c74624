// The plan of the one shared WebAssembly.Memory: which part belongs to whom. Computed once, then posted to every thread.
import { type HostAddress, PAGE_SIZE } from '../abi/types.ts';

export interface Region {
  readonly at: HostAddress;
  readonly size: number;
}

/** Hands out page-aligned regions from the bottom of the memory upwards. The first page stays empty: 0 is no address. */
export class ArenaPlanner {
  #next = PAGE_SIZE;

  reserve(size: number, align: number = PAGE_SIZE): Region {
    const at = Math.ceil(this.#next / align) * align;
    this.#next = at + Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    return { at: at as HostAddress, size };
  }

  /** Bytes planned so far, rounded up to whole WebAssembly pages. */
  get size(): number {
    return Math.ceil(this.#next / WASM_PAGE) * WASM_PAGE;
  }
}

export const WASM_PAGE = 65536;
/** What a 32-bit WebAssembly.Memory can hold. */
export const ARENA_LIMIT: number = 65535 * WASM_PAGE;

/** Allocates the shared memory for a plan. @throws RangeError when it does not fit 32 bits or the host refuses. */
export function allocateArena(size: number): WebAssembly.Memory {
  if (size > ARENA_LIMIT) throw new RangeError(`an arena of ${size} bytes exceeds 32-bit WebAssembly memory`);
  const pages = size / WASM_PAGE;
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}
