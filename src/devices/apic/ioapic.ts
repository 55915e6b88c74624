// 82093AA I/O APIC, of 24 pins or more, with the EOI register of version 0x20. Section numbers are those of its datasheet (Intel 290566).
import type { Region } from '../../memory/arena.ts';
import { type Points, type Sink, tracepoints } from '../../trace/points.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import { type ApicMessage, DELIVERY, type DeliveryMode, SHORTHAND, widenDest } from './registers.ts';

/** Where a PC has it. */
export const IOAPIC_RANGE: IoRange = { at: 0xfec0_0000, size: 4096 };
export const IOAPIC_PINS = 24;
/** The one that Xen gives an HVM domain: PCI interrupts have pins of their own, beyond the ISA ones. */
export const XEN_IOAPIC_PINS = 48;
/** Bytes a `Region` for an I/O APIC must have. */
export const IOAPIC_BYTES = 512;

/** Memory-mapped registers, 3.1; the EOI register came with version 0x20. */
const MMIO = { select: 0x00, window: 0x10, eoi: 0x40 } as const;
/** Indirect registers, 3.2. The redirection table follows from 0x10 on, two a pin. */
const INDEX = { id: 0x00, version: 0x01, arbitration: 0x02, redirection: 0x10 } as const;
const VERSION = 0x20;
const ID_MASK = 0x0f00_0000;

/** Redirection table entry, low word, 3.2.4. */
const LOGICAL = 1 << 11;
const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
/** Vector, delivery mode, destination mode, polarity, trigger mode, mask. */
const WRITABLE_LOW = 0x1_afff;
const WRITABLE_HIGH = 0xff00_0000;

/** Where the state lies in the region, in 32-bit words. */
const WORD = { lock: 0, select: 1, id: 2, pins: 3, lines: 4, redirection: 6 } as const;

const FORMATS = {
  write: 'index=%x value=%x',
  line: 'pin=%u level=%u',
  deliver: 'pin=%u vector=%x dest=%x',
  eoi: 'vector=%x',
} as const;
export type IoapicTrace = Points<typeof FORMATS>;
export const ioapicTrace = (sink: Sink): IoapicTrace => tracepoints('ioapic', FORMATS, sink);

export interface IoapicState {
  readonly schema: 'ioapic@2';
  readonly select: number;
  readonly id: number;
  /** The pins whose lines are asserted. */
  readonly asserted: readonly number[];
  readonly redirection: readonly (readonly [low: number, high: number])[];
}

/** The state is in shared memory behind a lock: any thread may raise a line, and any vCPU writes registers. */
export class Ioapic implements IoHandler {
  readonly #words: Int32Array;
  readonly #deliver: (message: ApicMessage) => void;
  readonly #trace: IoapicTrace;

  /**
   * A view of the I/O APIC in `region`; call `reset` once before the first use. `deliver` sends a message to the local
   * APICs; it is called with the lock held and must not come back here.
   */
  constructor(buffer: SharedArrayBuffer, region: Region, deliver: (message: ApicMessage) => void, trace: IoapicTrace) {
    if (region.size < IOAPIC_BYTES) throw new RangeError(`an I/O APIC needs ${IOAPIC_BYTES} bytes, not ${region.size}`);
    this.#words = new Int32Array(buffer, region.at, IOAPIC_BYTES / 4);
    this.#deliver = deliver;
    this.#trace = trace;
  }

  /** All of 24 or 48 pins masked, `id` in the id register (bits 27:24). */
  reset(id = 0, pins: number = IOAPIC_PINS): void {
    this.#words.fill(0);
    this.#words[WORD.pins] = pins;
    this.#words[WORD.id] = (id << 24) & ID_MASK;
    for (let pin = 0; pin < pins; pin++) this.#words[WORD.redirection + pin * 2] = MASKED;
  }

  /** Reads at `offset` in the page; only the aligned registers exist, everything else is 0. */
  read(offset: number, size: number): number {
    if (offset === MMIO.select) return this.#words[WORD.select] as number;
    if (offset !== MMIO.window) return 0;
    const value = this.#locked(() => this.#readIndirect(this.#words[WORD.select] as number) >>> 0);
    return size === 4 ? value : value & (2 ** (size * 8) - 1);
  }

  /** The window takes 32-bit writes alone (3.1); the select and EOI registers have 8 bits. */
  write(offset: number, size: number, value: number): void {
    if (offset === MMIO.select) this.#words[WORD.select] = value & 0xff;
    else if (offset === MMIO.window && size === 4)
      this.#locked(() => this.#writeIndirect(this.#words[WORD.select] as number, value));
    else if (offset === MMIO.eoi) this.eoi(value & 0xff);
  }

  /** A device drives the line at `pin`. An edge-triggered pin sends on the rise; if it is masked then, the edge is lost. */
  setLine(pin: number, level: boolean): void {
    if (pin < 0 || pin >= this.#pins) throw new RangeError(`I/O APIC pin ${pin}: there are ${this.#pins}`);
    this.#locked(() => {
      if (this.#asserted(pin) === level) return;
      if (this.#trace.line.on) this.#trace.line(pin, level ? 1 : 0);
      (this.#words[WORD.lines + (pin >>> 5)] as number) ^= 1 << (pin & 31);
      if (level) this.#service(pin);
    });
  }

  /** A local APIC finished a level-triggered vector: pins with that vector may send again, and do while still asserted. */
  eoi(vector: number): void {
    if (this.#trace.eoi.on) this.#trace.eoi(vector);
    this.#locked(() => {
      for (let pin = 0; pin < this.#pins; pin++) {
        const low = this.#low(pin);
        if ((low & 0xff) !== vector || (low & LEVEL) === 0 || (low & REMOTE_IRR) === 0) continue;
        this.#words[WORD.redirection + pin * 2] = low & ~REMOTE_IRR;
        this.#serviceLevel(pin);
      }
    });
  }

  save(): IoapicState {
    return this.#locked(() => ({
      schema: 'ioapic@2',
      select: this.#words[WORD.select] as number,
      id: ((this.#words[WORD.id] as number) & ID_MASK) >>> 24,
      asserted: Array.from({ length: this.#pins }, (_, pin) => pin).filter((pin) => this.#asserted(pin)),
      redirection: Array.from({ length: this.#pins }, (_, pin) => [this.#low(pin) >>> 0, this.#high(pin) >>> 0] as const),
    }));
  }

  load(state: IoapicState): void {
    this.#locked(() => {
      this.#words[WORD.select] = state.select;
      this.#words[WORD.id] = state.id << 24;
      this.#words.fill(0, WORD.lines, WORD.redirection);
      for (const pin of state.asserted) (this.#words[WORD.lines + (pin >>> 5)] as number) |= 1 << (pin & 31);
      for (const [pin, [low, high]] of state.redirection.entries()) {
        this.#words[WORD.redirection + pin * 2] = low;
        this.#words[WORD.redirection + pin * 2 + 1] = high;
      }
    });
  }

  get #pins(): number {
    return this.#words[WORD.pins] as number;
  }

  #asserted(pin: number): boolean {
    return ((this.#words[WORD.lines + (pin >>> 5)] as number) & (1 << (pin & 31))) !== 0;
  }

  #low(pin: number): number {
    return this.#words[WORD.redirection + pin * 2] as number;
  }

  #high(pin: number): number {
    return this.#words[WORD.redirection + pin * 2 + 1] as number;
  }

  #readIndirect(index: number): number {
    if (index === INDEX.id || index === INDEX.arbitration) return this.#words[WORD.id] as number;
    if (index === INDEX.version) return ((this.#pins - 1) << 16) | VERSION;
    const slot = index - INDEX.redirection;
    return slot >= 0 && slot < this.#pins * 2 ? (this.#words[WORD.redirection + slot] as number) : 0;
  }

  #writeIndirect(index: number, value: number): void {
    if (this.#trace.write.on) this.#trace.write(index, value);
    if (index === INDEX.id) this.#words[WORD.id] = value & ID_MASK;
    const slot = index - INDEX.redirection;
    if (slot < 0 || slot >= this.#pins * 2) return;
    const at = WORD.redirection + slot;
    if (slot & 1) this.#words[at] = value & WRITABLE_HIGH;
    else {
      // A pin that is edge-triggered has no remote IRR: software clears a stuck one by switching to edge and back.
      const remoteIrr = value & LEVEL ? (this.#words[at] as number) & REMOTE_IRR : 0;
      this.#words[at] = (value & WRITABLE_LOW) | remoteIrr;
      this.#serviceLevel(slot >> 1);
    }
  }

  #serviceLevel(pin: number): void {
    if ((this.#low(pin) & LEVEL) !== 0 && this.#asserted(pin)) this.#service(pin);
  }

  /** Sends the pin's message unless it is masked or waits for an EOI. */
  #service(pin: number): void {
    const low = this.#low(pin);
    const level = (low & LEVEL) !== 0;
    if ((low & MASKED) !== 0 || (level && (low & REMOTE_IRR) !== 0)) return;
    const mode = ((low >>> 8) & 7) as DeliveryMode;
    // Only fixed and lowest-priority messages are answered by an EOI (3.2.4, remote IRR).
    const fixed = mode === DELIVERY.fixed || mode === DELIVERY.lowestPriority;
    if (level && fixed) this.#words[WORD.redirection + pin * 2] = low | REMOTE_IRR;
    const dest = widenDest(this.#high(pin) >>> 24);
    if (this.#trace.deliver.on) this.#trace.deliver(pin, low & 0xff, dest);
    const logical = (low & LOGICAL) !== 0;
    this.#deliver({ shorthand: SHORTHAND.none, dest, logical, mode, vector: low & 0xff, level: level && fixed });
  }

  /** Runs `body` with the lock held: a few dozen instructions, so waiting is spinning. */
  #locked<T>(body: () => T): T {
    while (Atomics.compareExchange(this.#words, WORD.lock, 0, 1) !== 0);
    try {
      return body();
    } finally {
      Atomics.store(this.#words, WORD.lock, 0);
    }
  }
}
