// Memory of a device that the guest reads and writes like RAM: a frame buffer, a ROM. It lies in the domain's one shared memory, so
// that it can be mapped to the guest as it is, and the guest's accesses cost what those to RAM cost.

export interface MemoryWindow {
  /** A whole number of pages, page-aligned in the shared memory. */
  readonly bytes: Uint8Array;
  readonly writable: boolean;
}

/** Puts windows in front of the guest. The board implements it over the p2m. */
export interface WindowMapper {
  /**
   * Shows `size` bytes of the window from `offset` on at `gpa`, all multiples of 4096. Returns what takes it away again, or
   * undefined when there is no room: something else is at some page of it, or it is beyond what the p2m covers.
   */
  show(window: MemoryWindow, offset: number, gpa: number, size: number): (() => void) | undefined;
}
