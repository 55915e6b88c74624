// Xen's debug port (public/hvm/params.h, XEN_HVM_DEBUGCONS_IOPORT): bytes a guest writes there go to the host's log.
import type { IoHandler, IoRange } from './io-bus.ts';

export const DEBUG_PORT: IoRange = { at: 0xe9, size: 1 };

/** Write-only, a byte at a time; a read gives all ones, as on Xen, so the guest cannot tell it from an empty port. */
export class DebugPort implements IoHandler {
  readonly #sink: (byte: number) => void;

  constructor(sink: (byte: number) => void) {
    this.#sink = sink;
  }

  read(_offset: number, size: number): number {
    return 2 ** (size * 8) - 1;
  }

  write(_offset: number, _size: number, value: number): void {
    this.#sink(value & 0xff);
  }
}
