// Realtek's RTL8139C, a card for Fast Ethernet with four transmit descriptors in registers and one ring for what is received (RTL8139C datasheet
// 1.4). It is what Xen gives an HVM guest when nothing else is asked for.
import type { Gpa } from '../../abi/types.ts';
import type { Clock, Timer } from '../../time/clock.ts';
import type { FrameCard, FramePort } from '../frame-port.ts';
import { setLine } from '../interrupt-line.ts';
import type { IoHandler } from '../io-bus.ts';
import type { MemoryWindow } from '../memory-window.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { cardWords, Eeprom, PIN } from './eeprom.ts';
import { filterFrame } from './receive-filter.ts';
import {
  COMMAND,
  FCS_BYTES,
  INTERRUPT,
  LINK,
  REG,
  REGISTER_BYTES,
  RX_CONFIG,
  RX_HEADER,
  TX,
  TX_CONFIG,
  TX_DESCRIPTORS,
} from './registers.ts';

const MAC_BYTES = 6;
/** A frame of this size and its header go into the smallest ring; no network has longer ones for a card without jumbo frames. */
const MOST_RECEIVED = 1792;
const LEAST_FRAME = 60;
/** The timer counts ticks of the PCI clock. */
const TICK_NS = 30;
/** How long a frame waits for room until the driver is reminded of what it has not read. */
const INSIST_NS = 1_000_000;
/** Register 0x50: how the EEPROM and the configuration are accessed. */
const EEPROM_MODE = 0xc0;
const MODE_PROGRAM = 0x80;
/** The read pointer is 16 bytes behind what has been read. */
const READ_AHEAD = 16;

export interface Rtl8139Options {
  readonly mac: Uint8Array;
  readonly port: FramePort;
  readonly clock: Clock;
  /** Whether a cable with something at its other end is plugged in. */
  readonly linkUp: () => boolean;
  readonly rom?: MemoryWindow;
}

export class Rtl8139 implements FrameCard {
  readonly pci: PciFunction;
  onWritable: () => void = () => {};
  readonly #options: Rtl8139Options;
  readonly #eeprom: Eeprom;
  readonly #timer: Timer;
  /** Most registers, as they are read. */
  readonly #bytes = new Uint8Array(REGISTER_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  /** On a wire the next frame would tell a driver that has stopped reading too early; here the network waits, so the card tells again. */
  readonly #insist: Timer;
  #timerStartNs = 0;
  /** A frame was refused. */
  #refused = false;

  constructor(options: Rtl8139Options) {
    const { clock, mac, rom } = options;
    this.#options = options;
    this.#eeprom = new Eeprom(cardWords(mac));
    this.#timer = clock.timer('rtl8139', () => this.#interrupt(INTERRUPT.timeout));
    this.#insist = clock.timer('rtl8139 full', () => {
      if (!this.#refused) return;
      this.#interrupt(INTERRUPT.received);
      this.#insist.arm(clock.nowNs() + INSIST_NS);
    });
    const handler: IoHandler = {
      read: (offset, size) => this.#read(offset, size),
      write: (offset, size, value) => this.#write(offset, size, value),
    };
    this.pci = new PciFunction({
      name: 'rtl8139',
      identity: {
        vendorId: 0x10ec,
        deviceId: 0x8139,
        revision: 0x10,
        classCode: 0x020000,
        subsystemVendorId: 0x5853,
        subsystemId: 0x0001,
        interruptPin: 1,
      },
      bars: {
        0: { kind: 'io', size: REGISTER_BYTES, handler },
        1: { kind: 'memory', size: 4096, handler },
      },
      ...(rom !== undefined && { rom }),
    });
    this.reset();
  }

  /** Power-up; the address comes back from the EEPROM. */
  reset(): void {
    this.#bytes.fill(0);
    this.#bytes.set(this.#options.mac);
    this.#softReset();
    this.#view.setUint16(REG.bmcr, 0x3100, true);
    this.#view.setUint16(REG.bmsr, 0x7829, true);
    this.#view.setUint16(REG.advertisement, 0x01e1, true);
    this.#view.setUint16(REG.partner, 0x41e1, true);
    this.#view.setUint16(REG.expansion, 0x0001, true);
    // Auto-loaded: I/O and memory are mapped.
    this.#bytes[REG.config1] = 0x0c;
    this.#bytes[REG.revision] = 0x10;
  }

  receive(frame: Uint8Array): boolean {
    if ((this.#command & COMMAND.receive) === 0 || frame.length < MAC_BYTES || frame.length > MOST_RECEIVED) return true;
    const config = this.#view.getUint32(REG.rxConfig, true);
    const mac = this.#bytes.subarray(REG.id, REG.id + MAC_BYTES);
    const status = filterFrame(frame, config, mac, this.#bytes.subarray(REG.multicast, REG.multicast + 8));
    if (status === undefined) return true;
    const length = Math.max(frame.length, LEAST_FRAME) + FCS_BYTES;
    const room = align4(RX_HEADER.bytes + length);
    const size = this.#ringBytes;
    const write = this.#view.getUint16(REG.rxWrite, true) % size;
    const free = (this.#readPosition - write + size) % size || size;
    // Filled to the last byte it would look empty.
    if (room >= free) {
      this.#refused = true;
      this.#insist.arm(this.#options.clock.nowNs() + INSIST_NS);
      return false;
    }
    const packet = new Uint8Array(room);
    const header = new DataView(packet.buffer);
    header.setUint16(0, status | RX_HEADER.ok, true);
    header.setUint16(2, length, true);
    packet.set(frame, RX_HEADER.bytes);
    this.#store(packet, write, size, (config & RX_CONFIG.noWrap) !== 0);
    this.#view.setUint16(REG.rxWrite, (write + room) % size, true);
    this.#interrupt(INTERRUPT.received);
    return true;
  }

  /** The cable was plugged in, or pulled out. */
  linkChanged(): void {
    this.#interrupt(INTERRUPT.link);
  }

  /** Into the ring: on from the end at its begin, or, where the driver wants that, beyond the end. */
  #store(packet: Uint8Array, write: number, size: number, noWrap: boolean): void {
    const base = this.#view.getUint32(REG.rxBuffer, true);
    const first = noWrap && size < 0x1_0000 ? packet.length : Math.min(packet.length, size - write);
    this.pci.dma.write((base + write) as Gpa, packet.subarray(0, first));
    if (first < packet.length) this.pci.dma.write(base as Gpa, packet.subarray(first));
  }

  get #command(): number {
    return this.#bytes[REG.command] as number;
  }

  get #ringBytes(): number {
    return 8192 << ((this.#view.getUint32(REG.rxConfig, true) >>> RX_CONFIG.lengthShift) & 3);
  }

  get #readPosition(): number {
    return ((this.#view.getUint16(REG.rxRead, true) + READ_AHEAD) & 0xffff) % this.#ringBytes;
  }

  #softReset(): void {
    const view = this.#view;
    this.#bytes.fill(0, REG.txStatus, REG.eeprom);
    for (let i = 0; i < TX_DESCRIPTORS; i++) view.setUint32(REG.txStatus + i * 4, TX.own, true);
    view.setUint16(REG.rxRead, 0xfff0, true);
    view.setUint32(REG.txConfig, TX_CONFIG.version, true);
    view.setUint32(REG.timerInterrupt, 0, true);
    this.#timer.cancel();
    this.#insist.cancel();
    this.#timerStartNs = this.#options.clock.nowNs();
    this.#drive();
    this.#writable();
  }

  #read(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value += this.#readByte(offset + i) * 2 ** (i * 8);
    return value;
  }

  #readByte(offset: number): number {
    const byte = (value: number, from: number): number => (value >>> ((offset - from) * 8)) & 0xff;
    if (offset >= REGISTER_BYTES) return 0xff;
    if (offset === REG.command) return this.#command | (this.#empty ? COMMAND.empty : 0);
    if (within(offset, REG.timer, 4)) return byte(this.#ticks, REG.timer);
    if (offset === REG.eeprom) {
      const value = this.#bytes[offset] as number;
      return (value & ~PIN.output) | ((value & EEPROM_MODE) === MODE_PROGRAM && this.#eeprom.output ? PIN.output : 0);
    }
    if (offset === REG.mediaStatus) return this.#options.linkUp() ? 0 : LINK.msrDown;
    if (offset === REG.bmsr) return (this.#bytes[offset] as number) | (this.#options.linkUp() ? LINK.bmsrUp : 0);
    if (within(offset, REG.txSummary, 2)) return byte(this.#txSummary(), REG.txSummary);
    return this.#bytes[offset] as number;
  }

  get #empty(): boolean {
    return this.#view.getUint16(REG.rxWrite, true) === this.#readPosition;
  }

  get #ticks(): number {
    return Math.floor((this.#options.clock.nowNs() - this.#timerStartNs) / TICK_NS) >>> 0;
  }

  /** What became of the four descriptors, in one register. */
  #txSummary(): number {
    let summary = 0;
    for (let i = 0; i < TX_DESCRIPTORS; i++) {
      const status = this.#view.getUint32(REG.txStatus + i * 4, true);
      summary |= (status & TX.own ? 1 << i : 0) | (status & TX.aborted ? 16 << i : 0) | (status & TX.ok ? 4096 << i : 0);
    }
    return summary;
  }

  /** A register is written as a whole, or byte by byte what makes it up: it takes effect once. */
  #write(offset: number, size: number, value: number): void {
    const end = Math.min(offset + size, REGISTER_BYTES);
    const touches = (at: number, bytes: number): boolean => offset < at + bytes && at < end;
    const before = this.#bytes.slice(offset, end);
    for (let at = offset; at < end; at++) this.#bytes[at] = (value >>> ((at - offset) * 8)) & 0xff;
    const keep = (at: number, bytes: number): void => {
      for (let i = Math.max(at, offset); i < Math.min(at + bytes, end); i++) this.#bytes[i] = before[i - offset] as number;
    };
    for (const [at, bytes] of READ_ONLY) keep(at, bytes);
    this.#mask(REG.txConfig, TX_CONFIG.writable, TX_CONFIG.version);
    this.#mask(REG.rxConfig, RX_CONFIG.writable, 0);
    for (let i = 0; i < TX_DESCRIPTORS; i++) if (touches(REG.txStatus + i * 4, 4)) this.#transmit(i);
    if (touches(REG.status, 2)) {
      // What is written as one is acknowledged.
      const written = this.#view.getUint16(REG.status, true);
      keep(REG.status, 2);
      this.#view.setUint16(REG.status, this.#view.getUint16(REG.status, true) & ~written, true);
    }
    if (touches(REG.missed, 4)) this.#view.setUint32(REG.missed, 0, true);
    if (touches(REG.eeprom, 1) && (this.#bytes[REG.eeprom] as number) & MODE_PROGRAM)
      this.#eeprom.drive(this.#bytes[REG.eeprom] as number);
    if (touches(REG.timer, 4)) this.#timerStartNs = this.#options.clock.nowNs();
    if (touches(REG.timer, 4) || touches(REG.timerInterrupt, 4)) this.#armTimer();
    if (touches(REG.bmcr, 2)) this.#phyControl();
    if (touches(REG.command, 1)) this.#control();
    if (touches(REG.rxRead, 2) || touches(REG.rxConfig, 4) || touches(REG.command, 1)) this.#writable();
    this.#drive();
  }

  #mask(at: number, writable: number, fixed: number): void {
    this.#view.setUint32(at, (this.#view.getUint32(at, true) & writable) | fixed, true);
  }

  #control(): void {
    const command = this.#command;
    if (command & COMMAND.reset) {
      this.#softReset();
      return;
    }
    this.#bytes[REG.command] = command & (COMMAND.transmit | COMMAND.receive);
  }

  /** Resets of the PHY and restarts of the negotiation are over at once. */
  #phyControl(): void {
    const value = this.#view.getUint16(REG.bmcr, true);
    this.#view.setUint16(REG.bmcr, value & 0x8000 ? 0x3100 : value & ~0x0200, true);
  }

  #transmit(i: number): void {
    const { dma } = this.pci;
    const view = this.#view;
    const at = REG.txStatus + i * 4;
    const status = view.getUint32(at, true);
    if (status & TX.own || (this.#command & COMMAND.transmit) === 0) return;
    const size = status & TX.size;
    const frame = new Uint8Array(size);
    if (size > TX.most || !dma.read(view.getUint32(REG.txAddress + i * 4, true) as Gpa, frame)) {
      view.setUint32(at, (status | TX.own | TX.aborted) >>> 0, true);
      this.#interrupt(INTERRUPT.sendError);
      return;
    }
    view.setUint32(at, status | TX.own | TX.ok, true);
    const loop = (view.getUint32(REG.txConfig, true) & TX_CONFIG.loopback) === TX_CONFIG.loopback;
    if (loop) this.receive(frame);
    else if (size >= MAC_BYTES && this.#options.linkUp()) this.#options.port.send(frame);
    this.#interrupt(INTERRUPT.sent);
  }

  #armTimer(): void {
    const at = this.#view.getUint32(REG.timerInterrupt, true);
    if (at <= this.#ticks) this.#timer.cancel();
    else this.#timer.arm(this.#timerStartNs + at * TICK_NS);
  }

  #writable(): void {
    if (!this.#refused) return;
    this.#refused = false;
    this.onWritable();
  }

  #interrupt(what: number): void {
    this.#view.setUint16(REG.status, this.#view.getUint16(REG.status, true) | what, true);
    this.#drive();
  }

  #drive(): void {
    const pending = this.#view.getUint16(REG.status, true) & this.#view.getUint16(REG.mask, true) & INTERRUPT.all;
    setLine(this.pci.interrupt, pending !== 0);
  }
}

/** Registers that a write leaves alone. */
const READ_ONLY: readonly (readonly [at: number, bytes: number])[] = [
  [REG.earlyCount, 2],
  [REG.earlyStatus, 1],
  [REG.rxWrite, 2],
  [REG.mediaStatus, 1],
  [REG.revision, 1],
  [REG.txSummary, 2],
  [REG.bmsr, 2],
  [REG.partner, 4],
];
const align4 = (value: number): number => (value + 3) & ~3;
const within = (offset: number, at: number, bytes: number): boolean => offset >= at && offset < at + bytes;
