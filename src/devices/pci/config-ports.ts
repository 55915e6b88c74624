// Configuration mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2) and the reset control register between its ports
// (82371SB, 2.5.4.4).
import type { IoHandler, IoRange } from '../io-bus.ts';
import type { PciBus } from './pci-bus.ts';

export const PCI_CONFIG_PORTS: IoRange = { at: 0xcf8, size: 8 };

const ENABLE = 0x8000_0000;
const ADDRESS_BITS = 0x80ff_fffc;
/** Offset of port 0xcf9, bytes only. */
const RESET_CONTROL = 1;
/** A rise of RCPU resets: bit 1 says whether all of the system or the processor alone. */
const RESET_CPU = 1 << 2;

export class PciConfigPorts implements IoHandler {
  readonly #bus: PciBus;
  readonly #reset: () => void;
  #address = 0;
  #resetControl = 0;

  /** `reset` is called when the guest resets the machine through port 0xcf9. */
  constructor(bus: PciBus, reset: () => void) {
    this.#bus = bus;
    this.#reset = reset;
  }

  reset(): void {
    this.#address = this.#resetControl = 0;
  }

  read(offset: number, size: number): number {
    if (offset < 4) {
      if (offset === 0 && size === 4) return this.#address;
      return offset === RESET_CONTROL && size === 1 ? this.#resetControl : 2 ** (size * 8) - 1;
    }
    if ((this.#address & ENABLE) === 0 || this.#bus0 === undefined) return 2 ** (size * 8) - 1;
    return this.#bus.readConfig(this.#bus0, (this.#address & 0xfc) + offset - 4, size);
  }

  write(offset: number, size: number, value: number): void {
    if (offset === 0 && size === 4) this.#address = (value & ADDRESS_BITS) >>> 0;
    else if (offset === RESET_CONTROL && size === 1) {
      const rises = value & ~this.#resetControl & RESET_CPU;
      this.#resetControl = value & ~RESET_CPU & 0x0e;
      if (rises) this.#reset();
    } else if (offset >= 4 && (this.#address & ENABLE) !== 0 && this.#bus0 !== undefined)
      this.#bus.writeConfig(this.#bus0, (this.#address & 0xfc) + offset - 4, size, value);
  }

  /** Device and function on bus 0, the only one there is. */
  get #bus0(): number | undefined {
    return (this.#address & 0xff_0000) === 0 ? (this.#address >>> 8) & 0xff : undefined;
  }
}
