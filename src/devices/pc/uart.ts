// 16550A serial port. Register names are those of National Semiconductor's datasheet (PC16550D). It has no bit times: what is sent has
// been sent at once, and what is received is there for as long as the guest takes.
import { type InterruptLine, setLine } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';

export interface SerialPlace {
  readonly ports: IoRange;
  readonly irq: number;
}
/** COM1 and COM2. */
export const SERIAL_PORTS: readonly [SerialPlace, SerialPlace] = [
  { ports: { at: 0x3f8, size: 8 }, irq: 4 },
  { ports: { at: 0x2f8, size: 8 }, irq: 3 },
];

const FIFO_BYTES = 16;
const IER = { received: 1 << 0, empty: 1 << 1, line: 1 << 2, modem: 1 << 3 } as const;
/** Interrupt identification, most urgent first (table 8.5). */
const IIR = { none: 0x01, line: 0x06, received: 0x04, timeout: 0x0c, empty: 0x02, modem: 0x00, fifos: 0xc0 } as const;
const FCR = { enable: 1 << 0, clearReceiver: 1 << 1 } as const;
const LCR_DLAB = 1 << 7;
const MCR = { dtr: 1 << 0, rts: 1 << 1, out1: 1 << 2, out2: 1 << 3, loop: 1 << 4 } as const;
const LSR = { ready: 1 << 0, overrun: 1 << 1, holdingEmpty: 1 << 5, idle: 1 << 6 } as const;
const MSR = { deltas: 0x0f, cts: 1 << 4, dsr: 1 << 5, ri: 1 << 6, dcd: 1 << 7 } as const;
/** Somebody is at the other end. */
const CONNECTED = MSR.cts | MSR.dsr | MSR.dcd;
const TRIGGERS = [1, 4, 8, 14] as const;

export interface UartOptions {
  readonly interrupt: InterruptLine;
  /** A byte leaves. */
  readonly send: (byte: number) => void;
  /** There is room in the receiver again: who has more calls `receive`. */
  readonly ready?: () => void;
}

export class Uart {
  readonly ports: IoHandler;
  readonly #options: UartOptions;
  #received: number[] = [];
  #ier = 0;
  #lcr = 0;
  #mcr = 0;
  #msr: number = CONNECTED;
  #scratch = 0;
  #divisor = 12;
  #fifos = false;
  #trigger = 1;
  #overrun = false;
  /** The transmitter has become empty and nobody was told yet. */
  #emptyPending = false;

  constructor(options: UartOptions) {
    this.#options = options;
    this.ports = bytePorts(
      (offset) => this.#read(offset),
      (offset, value) => this.#write(offset, value),
    );
  }

  reset(): void {
    this.#received = [];
    this.#ier = this.#lcr = this.#mcr = this.#scratch = 0;
    this.#msr = CONNECTED;
    this.#divisor = 12;
    this.#fifos = this.#overrun = this.#emptyPending = false;
    this.#trigger = 1;
    this.#drive();
  }

  /** How many bytes it takes now without losing any. */
  get room(): number {
    return this.#mcr & MCR.loop ? 0 : Math.max(0, this.#capacity - this.#received.length);
  }

  /** A byte arrives. Without room it is an overrun, as on the wire. */
  receive(byte: number): void {
    if (this.#received.length >= this.#capacity) this.#overrun = true;
    else this.#received.push(byte);
    this.#drive();
  }

  get #capacity(): number {
    return this.#fifos ? FIFO_BYTES : 1;
  }

  #read(offset: number): number {
    if (this.#lcr & LCR_DLAB && offset < 2) return offset === 0 ? this.#divisor & 0xff : this.#divisor >> 8;
    switch (offset) {
      case 0:
        return this.#take();
      case 1:
        return this.#ier;
      case 2: {
        const what = this.#identify();
        // Reading it is what ends this one.
        if (what === IIR.empty) {
          this.#emptyPending = false;
          this.#drive();
        }
        return what | (this.#fifos ? IIR.fifos : 0);
      }
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 5: {
        const status =
          LSR.holdingEmpty | LSR.idle | (this.#received.length > 0 ? LSR.ready : 0) | (this.#overrun ? LSR.overrun : 0);
        this.#overrun = false;
        this.#drive();
        return status;
      }
      case 6: {
        const status = this.#modemStatus;
        this.#msr &= ~MSR.deltas;
        this.#drive();
        return status;
      }
      default:
        return this.#scratch;
    }
  }

  #write(offset: number, value: number): void {
    if (this.#lcr & LCR_DLAB && offset < 2) {
      this.#divisor = offset === 0 ? (this.#divisor & 0xff00) | value : (this.#divisor & 0xff) | (value << 8);
      return;
    }
    switch (offset) {
      case 0:
        this.#transmit(value);
        break;
      case 1: {
        const enabled = value & ~this.#ier & IER.empty;
        this.#ier = value & 0x0f;
        // Enabling the interrupt while the transmitter is empty raises it.
        if (enabled) this.#emptyPending = true;
        break;
      }
      case 2:
        this.#writeFcr(value);
        break;
      case 3:
        this.#lcr = value;
        break;
      case 4:
        this.#writeMcr(value & 0x1f);
        break;
      case 7:
        this.#scratch = value;
        break;
    }
    this.#drive();
  }

  #take(): number {
    const byte = this.#received.shift() ?? 0;
    this.#drive();
    this.#options.ready?.();
    return byte;
  }

  #transmit(byte: number): void {
    if (this.#mcr & MCR.loop) this.receive(byte);
    else this.#options.send(byte);
    this.#emptyPending = true;
  }

  #writeFcr(value: number): void {
    const fifos = (value & FCR.enable) !== 0;
    if (fifos !== this.#fifos || (fifos && value & FCR.clearReceiver)) this.#received = [];
    this.#fifos = fifos;
    this.#trigger = fifos ? (TRIGGERS[value >> 6] as number) : 1;
    this.#options.ready?.();
  }

  #writeMcr(value: number): void {
    const before = this.#modemStatus;
    this.#mcr = value;
    const changed = (before ^ this.#modemStatus) >> 4;
    this.#msr |= changed & MSR.deltas;
    this.#options.ready?.();
  }

  /** In loop mode the outputs come back as the inputs. */
  get #modemStatus(): number {
    if ((this.#mcr & MCR.loop) === 0) return (this.#msr & MSR.deltas) | CONNECTED;
    const inputs =
      (this.#mcr & MCR.rts ? MSR.cts : 0) |
      (this.#mcr & MCR.dtr ? MSR.dsr : 0) |
      (this.#mcr & MCR.out1 ? MSR.ri : 0) |
      (this.#mcr & MCR.out2 ? MSR.dcd : 0);
    return (this.#msr & MSR.deltas) | inputs;
  }

  #identify(): number {
    const ier = this.#ier;
    if (ier & IER.line && this.#overrun) return IIR.line;
    if (ier & IER.received && this.#received.length > 0)
      return this.#received.length >= this.#trigger ? IIR.received : IIR.timeout;
    if (ier & IER.empty && this.#emptyPending) return IIR.empty;
    if (ier & IER.modem && this.#msr & MSR.deltas) return IIR.modem;
    return IIR.none;
  }

  /** OUT2 connects the interrupt to the bus of a PC; many guests never set it, and real boards mostly do not care. */
  #drive(): void {
    setLine(this.#options.interrupt, this.#identify() !== IIR.none);
  }
}
