// What the screen of a VGA shows at this moment. Registers and memory may change while they are read, and may be nonsense: every size is held
// within what a screen and the video memory have.

import { linearMode } from './dispi.ts';
import { DISPI_LIMIT, type VgaState, VRAM_BYTES } from './vga-state.ts';

/** Pixels as bytes of red, green, blue and alpha, from the top. */
export interface VgaPicture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

const SEQ = { clocking: 1, fonts: 3, memoryMode: 4 } as const;
const GC = { mode: 5, misc: 6 } as const;
const ATTR = { mode: 16, overscan: 17, planes: 18, panning: 19, select: 20 } as const;
const CRTC = {
  displayEnd: 0x01,
  overflow: 0x07,
  maxScan: 0x09,
  cursorStart: 0x0a,
  cursorEnd: 0x0b,
  startHigh: 0x0c,
  startLow: 0x0d,
  cursorHigh: 0x0e,
  cursorLow: 0x0f,
  verticalEnd: 0x12,
  offset: 0x13,
} as const;

/** Undefined while there is nothing: no mode is set. */
export function vgaPicture(state: VgaState, vram: Uint8Array): VgaPicture | undefined {
  if (state.linear) return linearPicture(state, vram);
  const size = ownSize(state);
  if (size === undefined) return undefined;
  const grid = textGrid(state);
  if (grid !== undefined) return textPicture(state, vram, grid, size.lines);
  return planarPicture(state, vram, size.width8 * 8, size.lines);
}

/** Of the VGA's own modes: the width in characters of eight or nine pixels, and the height in lines. */
function ownSize({ crtc }: VgaState): { readonly width8: number; readonly lines: number } | undefined {
  const overflow = crtc[CRTC.overflow] as number;
  const lines = (crtc[CRTC.verticalEnd] as number) + ((overflow & 2) << 7) + ((overflow & 0x40) << 3) + 1;
  if (lines === 1 || crtc[CRTC.offset] === 0) return undefined;
  return { width8: (crtc[CRTC.displayEnd] as number) + 1, lines };
}

/** Where the characters of a text mode are. */
export interface TextGrid {
  readonly columns: number;
  readonly rows: number;
  /** Of a cell in lines. */
  readonly cellHeight: number;
  /** The first cell, and how many there are from row to row; a cell is four bytes of video memory, character and colour first. */
  readonly start: number;
  readonly pitch: number;
}

/** Undefined while the screen is in no text mode. */
export function textGrid(state: VgaState): TextGrid | undefined {
  const size = ownSize(state);
  if (state.linear || size === undefined || (state.graphics[GC.misc] as number) & 1) return undefined;
  const cellHeight = ((state.crtc[CRTC.maxScan] as number) & 31) + 1;
  return {
    columns: size.width8,
    rows: Math.ceil(size.lines / cellHeight),
    cellHeight,
    start: start(state),
    pitch: (state.crtc[CRTC.offset] as number) * 2,
  };
}

class Canvas implements VgaPicture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
  readonly #words: Uint32Array;

  constructor(width: number, height: number) {
    this.width = Math.min(width, DISPI_LIMIT.x);
    this.height = Math.min(height, DISPI_LIMIT.y);
    this.#words = new Uint32Array(this.width * this.height);
    this.rgba = new Uint8Array(this.#words.buffer);
  }

  set(x: number, y: number, colour: number): void {
    if (x < this.width && y < this.height) this.#words[y * this.width + x] = colour;
  }
}

const pixel = (red: number, green: number, blue: number): number => (red | (green << 8) | (blue << 16) | 0xff00_0000) >>> 0;
/** From `bits` bits to 8, the largest value to 255. */
const stretch = (value: number, bits: number): number => Math.round((value * 255) / ((1 << bits) - 1));

/** The 256 colours. */
function colours({ palette, wide }: VgaState): Uint32Array {
  const part = (at: number): number => (wide ? (palette[at] as number) : stretch((palette[at] as number) & 63, 6));
  return Uint32Array.from({ length: 256 }, (_, i) => pixel(part(i * 3), part(i * 3 + 1), part(i * 3 + 2)));
}

/** The 16 colours of planes and of text, through the attribute controller. */
function attributes(state: VgaState): Uint32Array {
  const all = colours(state);
  const mode = state.attribute[ATTR.mode] as number;
  const select = state.attribute[ATTR.select] as number;
  return Uint32Array.from({ length: 16 }, (_, i) => {
    const low = (state.attribute[i] as number) & 63;
    const entry = mode & 0x80 ? (low & 15) | ((select & 15) << 4) : low | ((select & 12) << 4);
    return state.blank ? pixel(0, 0, 0) : (all[entry] as number);
  });
}

function linearPicture(state: VgaState, vram: Uint8Array): VgaPicture {
  const { at, bpp, height, pitch, width } = linearMode(state);
  const canvas = new Canvas(width, height);
  const all = colours(state);
  const sixteen = bpp === 4 ? attributes(state) : all;
  const byte = (from: number): number => vram[from % VRAM_BYTES] as number;
  const read = (from: number, x: number): number => {
    switch (bpp) {
      case 4: {
        const bit = 7 - (x & 7);
        const place = (from + (x >> 3)) * 4;
        let colour = 0;
        for (let plane = 0; plane < 4; plane++) colour |= ((byte(place + plane) >> bit) & 1) << plane;
        return sixteen[colour] as number;
      }
      case 8:
        return all[byte(from + x)] as number;
      case 15:
      case 16: {
        const value = byte(from + x * 2) | (byte(from + x * 2 + 1) << 8);
        const green = bpp === 16 ? stretch((value >> 5) & 63, 6) : stretch((value >> 5) & 31, 5);
        return pixel(stretch((value >> (bpp - 5)) & 31, 5), green, stretch(value & 31, 5));
      }
      default: {
        const place = from + x * (bpp >> 3);
        return pixel(byte(place + 2), byte(place + 1), byte(place));
      }
    }
  };
  for (let y = 0; y < canvas.height; y++)
    for (let x = 0; x < canvas.width; x++) canvas.set(x, y, read(bpp === 4 ? (at + y * pitch) >> 2 : at + y * pitch, x));
  return canvas;
}

const start = ({ crtc }: VgaState): number => (crtc[CRTC.startHigh] as number) * 256 + (crtc[CRTC.startLow] as number);

function textPicture(state: VgaState, vram: Uint8Array, grid: TextGrid, lines: number): VgaPicture {
  const { attribute, crtc, sequencer } = state;
  const { cellHeight, columns, pitch, rows } = grid;
  const cellWidth = (sequencer[SEQ.clocking] as number) & 1 ? 8 : 9;
  const palette = attributes(state);
  const mode = attribute[ATTR.mode] as number;
  const canvas = new Canvas(columns * cellWidth, lines);
  const fonts = sequencer[SEQ.fonts] as number;
  // The second font is for characters with bit 3 of their attribute set, when it is another one.
  const fontAt = (bits: number): number => ((bits & 3) * 2 + (bits >> 2)) * 0x2000;
  const first = fontAt((fonts & 3) | ((fonts >> 2) & 4));
  const second = fontAt(((fonts >> 2) & 3) | ((fonts >> 3) & 4));
  const cursor = (crtc[CRTC.cursorHigh] as number) * 256 + (crtc[CRTC.cursorLow] as number);
  const cursorStart = crtc[CRTC.cursorStart] as number;
  const cursorEnd = (crtc[CRTC.cursorEnd] as number) & 31;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const cell = grid.start + row * pitch + column;
      const at = (cell * 4) % VRAM_BYTES;
      const character = vram[at] as number;
      const colour = vram[at + 1] as number;
      const front = palette[colour & 15] as number;
      // Bit 7 is a brighter background unless it makes characters blink.
      const back = palette[(colour >> 4) & (mode & 8 ? 7 : 15)] as number;
      const font = first !== second && colour & 8 ? second : first;
      const underCursor = cell === cursor && (cursorStart & 0x20) === 0;
      for (let line = 0; line < cellHeight; line++) {
        let bits = vram[((font + character * 32 + line) * 4 + 2) % VRAM_BYTES] as number;
        if (underCursor && line >= (cursorStart & 31) && line <= cursorEnd) bits = 0xff;
        for (let x = 0; x < cellWidth; x++) {
          // Line drawing characters reach into the ninth column.
          const extended = mode & 4 && character >= 0xc0 && character <= 0xdf;
          const set = x < 8 ? (bits >> (7 - x)) & 1 : extended || bits === 0xff ? bits & 1 : 0;
          canvas.set(column * cellWidth + x, row * cellHeight + line, set ? front : back);
        }
      }
    }
  }
  return canvas;
}

/** Modes of 16 colours, or of 256 as mode 13h has them: each pixel twice as wide as its clock, each line twice. */
function planarPicture(state: VgaState, vram: Uint8Array, width: number, lines: number): VgaPicture {
  const { crtc, graphics } = state;
  const is256 = ((graphics[GC.mode] as number) & 0x40) !== 0;
  const maxScan = crtc[CRTC.maxScan] as number;
  const repeat = ((maxScan & 31) + 1) * (maxScan & 0x80 ? 2 : 1);
  const height = Math.ceil(lines / repeat);
  // Bytes of one plane in a row.
  const pitch = (crtc[CRTC.offset] as number) * 2;
  const from = start(state);
  const all = is256 ? colours(state) : attributes(state);
  const enabled = (state.attribute[ATTR.planes] as number) & 15;
  const canvas = new Canvas(is256 ? width >> 1 : width, height);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      if (is256) {
        canvas.set(x, y, all[vram[((from + y * pitch) * 4 + x) % VRAM_BYTES] as number] as number);
        continue;
      }
      const at = ((from + y * pitch + (x >> 3)) * 4) % VRAM_BYTES;
      const bit = 7 - (x & 7);
      let colour = 0;
      for (let plane = 0; plane < 4; plane++) colour |= (((vram[at + plane] as number) >> bit) & 1) << plane;
      canvas.set(x, y, all[colour & enabled] as number);
    }
  }
  return canvas;
}
