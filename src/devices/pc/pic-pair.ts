// The two 8259As of a PC: 15 inputs, the slave behind input 2 of the master.
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';
import { Pic } from './pic.ts';

export const PIC_MASTER: IoRange = { at: 0x20, size: 2 };
export const PIC_SLAVE: IoRange = { at: 0xa0, size: 2 };
export const PIC_ELCR: IoRange = { at: 0x4d0, size: 2 };

const CASCADE = 2;
/** IRQ 0, 1, 2, 8 and 13 are always edge-triggered (82371SB, 2.5.3.6). */
const MASTER_LEVELS = 0xf8;
const SLAVE_LEVELS = 0xde;

export class PicPair {
  readonly #master: Pic;
  readonly #slave: Pic;
  readonly #interrupt: (level: boolean) => void;
  #updating = false;
  #output = false;
  readonly masterPorts: IoHandler;
  readonly slavePorts: IoHandler;
  readonly elcrPorts: IoHandler;

  /** `interrupt` is told when INTR changes. */
  constructor(interrupt: (level: boolean) => void) {
    this.#interrupt = interrupt;
    const changed = (): void => this.#update();
    this.#master = new Pic({ cascade: 1 << CASCADE, levelBits: MASTER_LEVELS, changed });
    this.#slave = new Pic({ levelBits: SLAVE_LEVELS, changed });
    const ports = (pic: Pic): IoHandler =>
      bytePorts(
        (offset) => pic.read(offset),
        (offset, value) => pic.write(offset, value),
      );
    this.masterPorts = ports(this.#master);
    this.slavePorts = ports(this.#slave);
    this.elcrPorts = bytePorts(
      (offset) => (offset === 0 ? this.#master : this.#slave).elcr,
      (offset, value) => {
        (offset === 0 ? this.#master : this.#slave).elcr = value;
      },
    );
  }

  /** INTR. */
  get requesting(): boolean {
    return this.#output;
  }

  reset(): void {
    this.#slave.reset();
    this.#master.reset();
  }

  /** Drives IRQ 0..15; 2 is the cascade's own. */
  setLine(irq: number, level: boolean): void {
    if (irq < 8) {
      if (irq !== CASCADE) this.#master.setLine(irq, level);
    } else this.#slave.setLine(irq - 8, level);
  }

  /** The processor acknowledges: the vector. Without a request it is the spurious one of input 7. */
  acknowledge(): number {
    const input = this.#master.acknowledge();
    return input === CASCADE ? this.#slave.vector(this.#slave.acknowledge()) : this.#master.vector(input);
  }

  #update(): void {
    if (this.#updating) return;
    this.#updating = true;
    this.#master.setLine(CASCADE, this.#slave.requesting);
    this.#updating = false;
    const output = this.#master.requesting;
    if (output === this.#output) return;
    this.#output = output;
    this.#interrupt(output);
  }
}
