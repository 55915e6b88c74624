// System control port A of a PS/2 (port 0x92): the A20 gate, which is remembered and gates nothing, and a reset of the processor.
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';

export const PORT_92: IoRange = { at: 0x92, size: 1 };

const RESET = 1 << 0;
const A20 = 1 << 1;

export class Port92 {
  readonly ports: IoHandler;
  #value = A20;

  /** `reset` is called when bit 0 rises. */
  constructor(reset: () => void) {
    this.ports = bytePorts(
      () => this.#value,
      (_, value) => {
        const rises = value & ~this.#value & RESET;
        this.#value = value & (A20 | RESET);
        if (rises) reset();
      },
    );
  }

  reset(): void {
    this.#value = A20;
  }
}
