// The 128 KiB below 768 KiB through which software reaches video memory: four planes behind the graphics controller. Plane p of offset o is
// byte 4 o + p of video memory, so that chained modes and linear ones see bytes in a row.
import type { IoHandler } from '../io-bus.ts';
import { bytePorts } from '../pc/byte-ports.ts';
import { type VgaState, VRAM_BYTES } from './vga-state.ts';

/** Sequencer: 2 map mask, 4 memory mode. */
const MAP_MASK = 2;
const MEMORY_MODE = 4;
const MODE = { sequential: 1 << 2, chain4: 1 << 3 } as const;
/** Graphics controller. */
const GC = {
  setReset: 0,
  enableSetReset: 1,
  compare: 2,
  rotate: 3,
  readMap: 4,
  mode: 5,
  misc: 6,
  dontCare: 7,
  bitMask: 8,
} as const;
const READ_COMPARE = 1 << 3;
/** What `misc` bits 3:2 show in the 128 KiB: begin and size. */
const WINDOWS = [
  [0, 0x20000],
  [0, 0x10000],
  [0x10000, 0x8000],
  [0x18000, 0x8000],
] as const;

const SPREAD = 0x01010101;
/** A bit for each plane becomes a byte for each. */
const planeBytes = (bits: number): number =>
  ((bits & 1 ? 0xff : 0) | (bits & 2 ? 0xff00 : 0) | (bits & 4 ? 0xff_0000 : 0) | (bits & 8 ? 0xff00_0000 : 0)) >>> 0;

export class VgaMemory {
  readonly handler: IoHandler;
  readonly #state: VgaState;
  readonly #vram: Uint8Array;
  readonly #bank: () => number;
  /** What the last read left, a byte a plane. */
  #latches = 0;

  /** @param bank where the window begins in linear modes */
  constructor(state: VgaState, vram: Uint8Array, bank: () => number) {
    this.#state = state;
    this.#vram = vram;
    this.#bank = bank;
    this.handler = bytePorts(
      (offset) => this.#read(offset),
      (offset, value) => this.#write(offset, value),
    );
  }

  /** Where in the window an address is, or undefined when it shows nothing there. */
  #offset(address: number): number | undefined {
    const [begin, size] = WINDOWS[((this.#state.graphics[GC.misc] as number) >> 2) & 3] as (typeof WINDOWS)[number];
    return address >= begin && address < begin + size ? address - begin : undefined;
  }

  #read(address: number): number {
    const offset = this.#offset(address);
    if (offset === undefined) return 0xff;
    const { graphics, sequencer } = this.#state;
    const memoryMode = sequencer[MEMORY_MODE] as number;
    if (this.#state.linear || memoryMode & MODE.chain4) return this.#vram[(this.#bank() + offset) % VRAM_BYTES] as number;
    const oddEven = (memoryMode & MODE.sequential) === 0;
    const at = this.#planes(oddEven ? offset >> 1 : offset);
    this.#latches = this.#load(at);
    if ((graphics[GC.mode] as number) & READ_COMPARE) {
      const care = planeBytes(graphics[GC.dontCare] as number);
      const differ = (this.#latches ^ planeBytes(graphics[GC.compare] as number)) & care;
      return ~(differ | (differ >>> 8) | (differ >>> 16) | (differ >>> 24)) & 0xff;
    }
    const plane = (graphics[GC.readMap] as number) & 3;
    return this.#vram[at + (oddEven ? (plane & 2) | (offset & 1) : plane)] as number;
  }

  #write(address: number, value: number): void {
    const offset = this.#offset(address);
    if (offset === undefined) return;
    const { graphics, sequencer } = this.#state;
    const memoryMode = sequencer[MEMORY_MODE] as number;
    const maps = (sequencer[MAP_MASK] as number) & 15;
    if (this.#state.linear) {
      this.#vram[(this.#bank() + offset) % VRAM_BYTES] = value;
      return;
    }
    if (memoryMode & MODE.chain4) {
      if (maps & (1 << (offset & 3))) this.#vram[(this.#bank() + offset) % VRAM_BYTES] = value;
      return;
    }
    if ((memoryMode & MODE.sequential) === 0) {
      const plane = offset & 1;
      const at = this.#planes(offset >> 1);
      // Planes 0 and 2, or 1 and 3.
      for (const each of [plane, plane + 2]) if (maps & (1 << each)) this.#vram[at + each] = value;
      return;
    }
    this.#writePlanes(this.#planes(offset), value, graphics, planeBytes(maps));
  }

  /** The four write modes of the graphics controller. */
  #writePlanes(at: number, value: number, graphics: Uint8Array, mask: number): void {
    const latches = this.#latches;
    const rotate = graphics[GC.rotate] as number;
    const count = rotate & 7;
    const rotated = ((value >>> count) | (value << (8 - count))) & 0xff;
    const setReset = planeBytes(graphics[GC.setReset] as number);
    let bits = Math.imul(graphics[GC.bitMask] as number, SPREAD);
    let data: number;
    switch ((graphics[GC.mode] as number) & 3) {
      case 0: {
        const set = planeBytes(graphics[GC.enableSetReset] as number);
        data = (Math.imul(rotated, SPREAD) & ~set) | (setReset & set);
        break;
      }
      case 1:
        this.#store(at, latches, mask);
        return;
      case 2:
        data = planeBytes(value);
        break;
      default:
        data = setReset;
        bits &= Math.imul(rotated, SPREAD);
    }
    switch ((rotate >> 3) & 3) {
      case 1:
        data &= latches;
        break;
      case 2:
        data |= latches;
        break;
      case 3:
        data ^= latches;
        break;
      default:
    }
    this.#store(at, (data & bits) | (latches & ~bits), mask);
  }

  #planes(offset: number): number {
    return (offset * 4) % VRAM_BYTES;
  }

  #load(at: number): number {
    const vram = this.#vram;
    const byte = (i: number): number => vram[at + i] as number;
    return byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
  }

  #store(at: number, value: number, mask: number): void {
    for (let plane = 0; plane < 4; plane++)
      if ((mask >>> (plane * 8)) & 1) this.#vram[at + plane] = (value >>> (plane * 8)) & 0xff;
  }
}
