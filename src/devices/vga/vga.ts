// A standard VGA with the display interface of Bochs: PCI 1234:1111, as vgabios-stdvga and Linux's bochs driver know it. BAR 0 is the video
// memory, plain memory of the guest; BAR 2 has the registers in memory.
import type { IoHandler, IoRange } from '../io-bus.ts';
import type { MemoryWindow } from '../memory-window.ts';
import { bytePorts } from '../pc/byte-ports.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { Dispi } from './dispi.ts';
import { VgaMemory } from './vga-memory.ts';
import { VgaState, VRAM_BYTES } from './vga-state.ts';

const PORTS: IoRange = { at: 0x3b0, size: 0x30 };
const DISPI_PORTS: IoRange = { at: 0x1ce, size: 3 };
export const VGA_MEMORY: IoRange = { at: 0xa_0000, size: 0x2_0000 };

/** BAR 2: VGA ports from 0x3c0 on at 0x400, the display interface at 0x500 (QEMU's docs/specs/standard-vga). */
const MMIO = { size: 0x1000, ports: 0x400, portsEnd: 0x420, dispi: 0x500, dispiEnd: 0x516 } as const;

/** Which bits of the indexed registers exist. */
const MASKS = {
  sequencer: [0x03, 0x3d, 0x0f, 0x3f, 0x0e],
  graphics: [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff],
  attribute: [...new Array<number>(16).fill(0x3f), 0xef, 0xff, 0x3f, 0x0f, 0x0f],
} as const;
const CRTC = { overflow: 7, end: 0x11 } as const;
/** CRTC 0x11 bit 7 guards registers 0 to 7, but for the line compare bit of 7. */
const CRTC_GUARD = 0x80;
const LINE_COMPARE = 0x10;
const MISC_COLOUR = 1 << 0;
const ATTRIBUTE_SOURCE = 1 << 5;
/** Input status 1: in retrace, horizontally or vertically. */
const STATUS = { display: 1 << 0, vertical: 1 << 3 } as const;

export interface VgaOptions {
  /** VGA_STATE_BYTES, where another thread finds the registers. */
  readonly state: Uint8Array;
  /** VRAM_BYTES that can be mapped to the guest. */
  readonly vram: MemoryWindow;
  /** Nanoseconds, for the retrace that software waits for. */
  readonly nowNs: () => number;
  readonly rom?: MemoryWindow;
}

/** A picture takes as long as at 60 Hz, and the last 45 of 525 lines are the vertical retrace. */
const FRAME_NS = 1e9 / 60;
const LINES = 525;
const VISIBLE_LINES = 480;

export class Vga {
  readonly pci: PciFunction;
  readonly ports: IoHandler;
  readonly state: VgaState;
  readonly #dispi: Dispi;
  readonly #nowNs: () => number;
  #sequencerIndex = 0;
  #graphicsIndex = 0;
  #attributeIndex = 0;
  #crtcIndex = 0;
  /** The next write to 3c0 is data. */
  #attributeData = false;
  #dacRead = 0;
  #dacWrite = 0;
  #dacPart = 0;
  #dacReading = false;
  #dacMask = 0xff;
  #feature = 0;

  constructor(options: VgaOptions) {
    const { nowNs, rom, vram } = options;
    if (vram.bytes.length !== VRAM_BYTES) throw new RangeError(`a VGA has ${VRAM_BYTES} bytes of memory`);
    this.#nowNs = nowNs;
    this.state = new VgaState(options.state);
    this.#dispi = new Dispi(this.state, vram.bytes);
    const memory = new VgaMemory(this.state, vram.bytes, () => this.#dispi.bankOffset);
    this.ports = bytePorts(
      (offset) => this.#read(PORTS.at + offset),
      (offset, value) => this.#write(PORTS.at + offset, value),
    );
    this.pci = new PciFunction({
      name: 'vga',
      identity: {
        vendorId: 0x1234,
        deviceId: 0x1111,
        revision: 2,
        classCode: 0x030000,
        subsystemVendorId: 0x5853,
        subsystemId: 1,
      },
      bars: {
        0: { kind: 'memory', size: VRAM_BYTES, prefetchable: true, window: vram },
        2: { kind: 'memory', size: MMIO.size, handler: this.#registers() },
      },
      fixed: [
        { kind: 'io', range: PORTS, handler: this.ports },
        { kind: 'io', range: DISPI_PORTS, handler: this.#dispiPorts() },
        { kind: 'memory', range: VGA_MEMORY, handler: memory.handler },
      ],
      ...(rom !== undefined && { rom }),
    });
    this.reset();
  }

  reset(): void {
    const { attribute, crtc, graphics, sequencer } = this.state;
    for (const registers of [attribute, crtc, graphics, sequencer]) registers.fill(0);
    this.state.misc = 0;
    this.state.blank = true;
    this.#sequencerIndex = this.#graphicsIndex = this.#attributeIndex = this.#crtcIndex = 0;
    this.#attributeData = this.#dacReading = false;
    this.#dacRead = this.#dacWrite = this.#dacPart = this.#feature = 0;
    this.#dacMask = 0xff;
    this.#dispi.reset();
  }

  /** 0x1ce: the index; 0x1d0, and 0x1cf for some software: the data. Both have 16 bits. */
  #dispiPorts(): IoHandler {
    const DATA = DISPI_PORTS.size - 1;
    return {
      read: (offset, size) => (offset === 0 ? this.#dispi.index : this.#dispi.read()) & (size === 1 ? 0xff : 0xffff),
      write: (offset, size, value) => {
        if (offset === 0) this.#dispi.index = size === 1 ? value : value & 0xffff;
        else if (offset === 1 || offset === DATA) this.#dispi.write(value & 0xffff);
      },
    };
  }

  #registers(): IoHandler {
    const bytes = bytePorts(
      (offset) => (isPort(offset) ? this.#read(0x3c0 + offset - MMIO.ports) : 0xff),
      (offset, value) => {
        if (isPort(offset)) this.#write(0x3c0 + offset - MMIO.ports, value);
      },
    );
    const isDispi = (offset: number, size: number): boolean =>
      offset >= MMIO.dispi && offset < MMIO.dispiEnd && offset % 2 === 0 && size === 2;
    return {
      read: (offset, size) => (isDispi(offset, size) ? this.#dispi.read((offset - MMIO.dispi) >> 1) : bytes.read(offset, size)),
      write: (offset, size, value) => {
        if (isDispi(offset, size)) this.#dispi.write(value, (offset - MMIO.dispi) >> 1);
        else bytes.write(offset, size, value);
      },
    };
  }

  /** CRTC and input status are at 3bx on a monochrome display, at 3dx on one with colours. */
  #isCrtc(port: number): boolean {
    const base = this.state.misc & MISC_COLOUR ? 0x3d0 : 0x3b0;
    return (port & 0x3f0) === base && (port & 0xf) <= 0xb;
  }

  #read(port: number): number {
    const { attribute, crtc, graphics, palette, sequencer } = this.state;
    if ((port & 0x3f0) !== 0x3c0) return this.#isCrtc(port) ? this.#readCrtc(port & 0xf, crtc) : 0xff;
    switch (port) {
      case 0x3c0:
        return this.#attributeIndex | (this.state.blank ? 0 : ATTRIBUTE_SOURCE);
      case 0x3c1:
        return attribute[this.#attributeIndex] ?? 0;
      case 0x3c2:
        // Switch sense: a colour display is there.
        return 0x10;
      case 0x3c4:
        return this.#sequencerIndex;
      case 0x3c5:
        return sequencer[this.#sequencerIndex] ?? 0;
      case 0x3c6:
        return this.#dacMask;
      case 0x3c7:
        return this.#dacReading ? 3 : 0;
      case 0x3c8:
        return this.#dacWrite;
      case 0x3c9: {
        const value = palette[this.#dacRead * 3 + this.#dacPart] as number;
        this.#dacPart = (this.#dacPart + 1) % 3;
        if (this.#dacPart === 0) this.#dacRead = (this.#dacRead + 1) & 0xff;
        return value;
      }
      case 0x3ca:
        return this.#feature;
      case 0x3cc:
        return this.state.misc;
      case 0x3ce:
        return this.#graphicsIndex;
      case 0x3cf:
        return graphics[this.#graphicsIndex] ?? 0;
      default:
        return 0xff;
    }
  }

  #readCrtc(port: number, crtc: Uint8Array): number {
    if (port === 4) return this.#crtcIndex;
    if (port === 5) return crtc[this.#crtcIndex] ?? 0;
    if (port !== 0xa) return 0xff;
    // Reading it makes the next write to 3c0 an index.
    this.#attributeData = false;
    const line = Math.floor(((this.#nowNs() % FRAME_NS) / FRAME_NS) * LINES);
    const within = ((this.#nowNs() % FRAME_NS) / FRAME_NS) * LINES - line;
    if (line >= VISIBLE_LINES) return STATUS.display | STATUS.vertical;
    return within > 0.8 ? STATUS.display : 0;
  }

  #write(port: number, value: number): void {
    const { graphics, palette, sequencer } = this.state;
    if ((port & 0x3f0) !== 0x3c0) {
      if (this.#isCrtc(port)) this.#writeCrtc(port & 0xf, value);
      return;
    }
    switch (port) {
      case 0x3c0:
        this.#writeAttribute(value);
        return;
      case 0x3c2:
        this.state.misc = value;
        return;
      case 0x3c4:
        this.#sequencerIndex = value & 7;
        return;
      case 0x3c5:
        put(sequencer, this.#sequencerIndex, value, MASKS.sequencer);
        return;
      case 0x3c6:
        this.#dacMask = value;
        return;
      case 0x3c7:
        this.#dacRead = value;
        this.#dacPart = 0;
        this.#dacReading = true;
        return;
      case 0x3c8:
        this.#dacWrite = value;
        this.#dacPart = 0;
        this.#dacReading = false;
        return;
      case 0x3c9:
        palette[this.#dacWrite * 3 + this.#dacPart] = this.state.wide ? value : value & 0x3f;
        this.#dacPart = (this.#dacPart + 1) % 3;
        if (this.#dacPart === 0) this.#dacWrite = (this.#dacWrite + 1) & 0xff;
        return;
      case 0x3ce:
        this.#graphicsIndex = value & 15;
        return;
      case 0x3cf:
        put(graphics, this.#graphicsIndex, value, MASKS.graphics);
        return;
      default:
    }
  }

  #writeAttribute(value: number): void {
    if (!this.#attributeData) {
      this.#attributeIndex = value & 0x1f;
      this.state.blank = (value & ATTRIBUTE_SOURCE) === 0;
    } else put(this.state.attribute, this.#attributeIndex, value, MASKS.attribute);
    this.#attributeData = !this.#attributeData;
  }

  #writeCrtc(port: number, value: number): void {
    const { crtc } = this.state;
    if (port === 4) this.#crtcIndex = value & 0x1f;
    else if (port === 5 && this.#crtcIndex < crtc.length) {
      const guarded = ((crtc[CRTC.end] as number) & CRTC_GUARD) !== 0;
      if (guarded && this.#crtcIndex < CRTC.overflow) return;
      const kept = guarded && this.#crtcIndex === CRTC.overflow ? ~LINE_COMPARE & 0xff : 0;
      crtc[this.#crtcIndex] = ((crtc[this.#crtcIndex] as number) & kept) | (value & ~kept);
    } else if (port === 0xa) this.#feature = value;
  }
}

const isPort = (offset: number): boolean => offset >= MMIO.ports && offset < MMIO.portsEnd;

/** Bits that do not exist stay 0, registers that do not exist take nothing. */
function put(registers: Uint8Array, index: number, value: number, masks: readonly number[]): void {
  const mask = masks[index];
  if (mask !== undefined) registers[index] = value & mask;
}
