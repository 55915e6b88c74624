// Ports whose bytes go to the host's log: Xen's (public/hvm/params.h, XEN_HVM_DEBUGCONS_IOPORT), and the one of Bochs and QEMU that firmware
// writes to (QEMU's docs/specs, isa-debugcon).
import type { IoHandler, IoRange } from './io-bus.ts';

export const DEBUG_PORT: IoRange = { at: 0xe9, size: 1 };
export const FIRMWARE_DEBUG_PORT: IoRange = { at: 0x402, size: 1 };
/** What the firmware's port gives, so that who writes there knows that somebody reads. */
export const FIRMWARE_DEBUG_ANSWER = 0xe9;

/** Takes a byte at a time. A read gives all ones unless something is said, as on Xen: the guest cannot tell it from an empty port. */
export class DebugPort implements IoHandler {
  readonly #sink: (byte: number) => void;
  readonly #answer: number | undefined;

  constructor(sink: (byte: number) => void, answer?: number) {
    this.#sink = sink;
    this.#answer = answer;
  }

  read(_offset: number, size: number): number {
    return this.#answer ?? 2 ** (size * 8) - 1;
  }

  write(_offset: number, _size: number, value: number): void {
    this.#sink(value & 0xff);
  }
}
