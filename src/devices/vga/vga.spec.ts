// A VGA from IBM's description of it and Bochs' display interface: modes as a BIOS sets them, the planes' write modes, pictures, and nonsense.
import { beforeEach, describe, expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { Vga } from './vga.ts';
import { vgaPicture } from './vga-picture.ts';
import { DISPI_ENABLE, DISPI_INDEX, VGA_STATE_BYTES, VgaState, VRAM_BYTES } from './vga-state.ts';
import { vgaText } from './vga-text.ts';

const shared = new SharedArrayBuffer(VRAM_BYTES);
const BLACK = [0, 0, 0, 255];
const RED = [255, 0, 0, 255];

class Screen {
  readonly vram = new Uint8Array(shared);
  readonly registers = new Uint8Array(new SharedArrayBuffer(VGA_STATE_BYTES));
  readonly vga: Vga;
  nowNs = 0;

  constructor() {
    this.vram.fill(0, 0, 1 << 20);
    this.vga = new Vga({
      state: this.registers,
      vram: { bytes: this.vram, writable: true },
      nowNs: () => this.nowNs,
    });
  }

  out(port: number, value: number): void {
    this.vga.ports.write(port - 0x3b0, 1, value);
  }
  in(port: number): number {
    return this.vga.ports.read(port - 0x3b0, 1);
  }
  indexed(port: number, values: readonly number[]): void {
    for (const [i, value] of values.entries()) {
      this.out(port, i);
      this.out(port + 1, value);
    }
  }
  poke(address: number, value: number): void {
    this.memory.write(address - 0xa0000, 1, value);
  }
  peek(address: number): number {
    return this.memory.read(address - 0xa0000, 1);
  }
  get memory() {
    const fixed = this.vga.pci.options.fixed?.find(({ range }) => range.at === 0xa0000);
    if (fixed === undefined) throw new Error('there is no memory at 0xa0000');
    return fixed.handler;
  }
  dispi(index: number, value: number): void {
    const ports = this.vga.pci.options.fixed?.find(({ range }) => range.at === 0x1ce);
    ports?.handler.write(0, 2, index);
    ports?.handler.write(1, 2, value);
  }
  dispiRead(index: number): number {
    const ports = this.vga.pci.options.fixed?.find(({ range }) => range.at === 0x1ce);
    ports?.handler.write(0, 2, index);
    return ports?.handler.read(1, 2) ?? -1;
  }

  get rows(): readonly string[] | undefined {
    return vgaText(new VgaState(this.registers), this.vram);
  }

  /** What the monitor sees. */
  get picture() {
    const picture = vgaPicture(new VgaState(this.registers), this.vram);
    if (picture === undefined) throw new Error('there is no picture');
    return { ...picture, at: (x: number, y: number) => [...picture.rgba.subarray((y * picture.width + x) * 4).subarray(0, 4)] };
  }

  /** Registers as a BIOS leaves them for a mode. */
  mode(misc: number, sequencer: number[], crtc: number[], graphics: number[], attributeMode: number): void {
    this.out(0x3c2, misc);
    this.indexed(0x3c4, sequencer);
    this.out(0x3d4, 0x11);
    this.out(0x3d5, 0);
    this.indexed(0x3d4, crtc);
    this.indexed(0x3ce, graphics);
    this.in(0x3da);
    for (let i = 0; i < 16; i++) {
      this.out(0x3c0, i);
      this.out(0x3c0, i);
    }
    for (const [i, value] of [attributeMode, 0, 15, 0, 0].entries()) {
      this.out(0x3c0, 16 + i);
      this.out(0x3c0, value);
    }
    this.out(0x3c0, 0x20);
  }
  text(): void {
    const crtc = [
      0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 13, 14, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 40, 0x1f, 0x96, 0xb9, 0xa3,
      0xff,
    ];
    this.mode(0x67, [3, 0, 3, 0, 2], crtc, [0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff], 0x0c);
  }
  planar(): void {
    const crtc = [
      0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 40, 0, 0xe7, 4, 0xe3, 0xff,
    ];
    this.mode(0xe3, [3, 1, 15, 0, 6], crtc, [0, 0, 0, 0, 0, 0, 5, 15, 0xff], 0x01);
  }
  mode13(): void {
    const crtc = [
      0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 40, 0x40, 0x96, 0xb9, 0xa3,
      0xff,
    ];
    this.mode(0x63, [3, 1, 15, 0, 14], crtc, [0, 0, 0, 0, 0, 0x40, 5, 15, 0xff], 0x41);
  }
  colour(index: number, red: number, green: number, blue: number): void {
    this.out(0x3c8, index);
    for (const part of [red, green, blue]) this.out(0x3c9, part);
  }
  linear(width: number, height: number, bpp: number): void {
    this.dispi(DISPI_INDEX.enable, 0);
    this.dispi(DISPI_INDEX.xres, width);
    this.dispi(DISPI_INDEX.yres, height);
    this.dispi(DISPI_INDEX.bpp, bpp);
    this.dispi(DISPI_INDEX.enable, DISPI_ENABLE.enabled | DISPI_ENABLE.linear);
  }
}

let screen: Screen;
beforeEach(() => {
  screen = new Screen();
});

it('has no picture before a mode is set', () => {
  expect(vgaPicture(new VgaState(screen.registers), screen.vram)).toBeUndefined();
});

describe('registers', () => {
  it('are found by their index, with the bits that exist', () => {
    screen.indexed(0x3c4, [0xff, 0xff, 0xff, 0xff, 0xff]);
    screen.out(0x3c4, 2);
    expect(screen.in(0x3c5)).toBe(0x0f);
  });

  it('of the CRTC are where the display is, and 0 to 7 can be guarded but for line compare', () => {
    screen.out(0x3c2, 1);
    screen.indexed(0x3d4, new Array(0x12).fill(0x80));
    screen.out(0x3d4, 0);
    screen.out(0x3d5, 0x55);
    expect(screen.in(0x3d5)).toBe(0x80);
    screen.out(0x3d4, 7);
    screen.out(0x3d5, 0xff);
    expect(screen.in(0x3d5)).toBe(0x90);
    expect(screen.in(0x3b5)).toBe(0xff);
  });

  it('of the palette go round in threes, each way with an index of its own', () => {
    screen.out(0x3c8, 254);
    for (const value of [1, 2, 3, 4, 5, 6, 7, 8, 9]) screen.out(0x3c9, value);
    screen.out(0x3c7, 254);
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => screen.in(0x3c9))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('tell of the retrace as time passes', () => {
    screen.out(0x3c2, 1);
    const seen = new Set<number>();
    for (screen.nowNs = 0; screen.nowNs < 17e6; screen.nowNs += 1e4) seen.add(screen.in(0x3da) & 9);
    expect([...seen].sort()).toEqual([0, 1, 9]);
  });
});

describe('text', () => {
  it('is drawn with the font of plane 2, in the colours of the attribute', () => {
    screen.text();
    screen.colour(4, 63, 0, 0);
    // A font as a BIOS loads it: planes in sequence at 0xa0000.
    screen.indexed(0x3c4, [3, 0, 4, 0, 6]);
    screen.indexed(0x3ce, [0, 0, 0, 0, 2, 0, 4]);
    screen.poke(0xa0000 + 0x41 * 32 + 1, 0x80);
    screen.text();
    screen.poke(0xb8000 + 2 * 81, 0x41);
    screen.poke(0xb8000 + 2 * 81 + 1, 0x04);
    expect(screen.peek(0xb8000 + 2 * 81)).toBe(0x41);
    const { at, height, width } = screen.picture;
    expect([width, height]).toEqual([720, 400]);
    expect(at(9, 17)).toEqual(RED);
    expect(at(10, 17)).toEqual(BLACK);
    expect(at(9, 16)).toEqual(BLACK);
  });

  it('is told as text, as code page 437 has it', () => {
    screen.text();
    for (const [i, code] of [...Buffer.from('Hi, \x9b\xb3\x00!', 'latin1')].entries()) screen.poke(0xb8000 + 2 * (80 + i), code);
    const rows = screen.rows;
    expect([rows?.length, rows?.[0], rows?.[1]]).toEqual([25, '', 'Hi, ¢│ !']);
    screen.dispi(DISPI_INDEX.xres, 640);
    screen.dispi(DISPI_INDEX.yres, 480);
    screen.dispi(DISPI_INDEX.bpp, 32);
    screen.dispi(DISPI_INDEX.enable, DISPI_ENABLE.enabled | DISPI_ENABLE.linear);
    expect(screen.rows).toBeUndefined();
  });

  it('shows its cursor', () => {
    screen.text();
    screen.colour(7, 63, 0, 0);
    screen.out(0x3d4, 0x0f);
    screen.out(0x3d5, 3);
    screen.poke(0xb8000 + 7, 0x07);
    expect(screen.picture.at(27, 13)).toEqual(RED);
    expect(screen.picture.at(27, 12)).toEqual(BLACK);
  });
});

describe('planes', () => {
  const graphics = (index: number, value: number): void => {
    screen.out(0x3ce, index);
    screen.out(0x3cf, value);
  };
  const pixels = (): number[] => [...screen.vram.subarray(0, 4)];

  beforeEach(() => screen.planar());

  it('take a byte in mode 0, rotated, combined with the latches under the bit mask', () => {
    screen.vram.set([0xf0, 0x0f, 0xff, 0x00]);
    screen.peek(0xa0000);
    graphics(8, 0x3c);
    graphics(3, 0x18 | 1);
    screen.poke(0xa0000, 0x81);
    // 0x81 rotated right by one is 0xc0, exclusive or, bits 2 to 5 only.
    expect(pixels()).toEqual([0xf0, 0x0f, 0xff, 0x00].map((old) => (old & ~0x3c) | ((0xc0 ^ old) & 0x3c)));
  });

  it('are set and reset, within the map mask', () => {
    graphics(0, 0x05);
    graphics(1, 0x0f);
    screen.out(0x3c4, 2);
    screen.out(0x3c5, 0x07);
    screen.poke(0xa0000, 0);
    expect(pixels()).toEqual([0xff, 0, 0xff, 0]);
  });

  it('are copied in mode 1, filled with a colour in mode 2, and through a mask in mode 3', () => {
    screen.vram.set([1, 2, 3, 4], 4);
    screen.peek(0xa0001);
    graphics(5, 1);
    screen.poke(0xa0000, 0x99);
    expect(pixels()).toEqual([1, 2, 3, 4]);
    graphics(5, 2);
    graphics(8, 0xf0);
    screen.poke(0xa0000, 0x0a);
    expect(pixels()).toEqual([1, 0xf2, 3, 0xf4].map((value, i) => (i % 2 === 0 ? value & 0x0f : value)));
    graphics(5, 3);
    graphics(0, 0x01);
    graphics(8, 0xff);
    screen.peek(0xa0001);
    screen.poke(0xa0001, 0x80);
    expect([...screen.vram.subarray(4, 8)]).toEqual([0x81, 2, 3, 4]);
  });

  it('are compared in read mode 1', () => {
    screen.vram.set([0xff, 0x0f, 0x00, 0x00]);
    graphics(5, 8);
    graphics(2, 3);
    graphics(7, 15);
    expect(screen.peek(0xa0000)).toBe(0x0f);
  });

  it('make a picture of 640 by 480', () => {
    screen.colour(5, 63, 0, 0);
    graphics(0, 5);
    graphics(1, 15);
    screen.poke(0xa0000 + 80 * 479 + 79, 0xff);
    const { at, height, width } = screen.picture;
    expect([width, height]).toEqual([640, 480]);
    expect([at(639, 479), at(631, 479)]).toEqual([RED, BLACK]);
  });
});

it('shows mode 13h: a byte a pixel', () => {
  screen.mode13();
  screen.colour(200, 63, 0, 0);
  screen.poke(0xa0000 + 320 * 199 + 319, 200);
  expect(screen.peek(0xa0000 + 320 * 199 + 319)).toBe(200);
  const { at, height, width } = screen.picture;
  expect([width, height]).toEqual([320, 200]);
  expect([at(319, 199), at(318, 199)]).toEqual([RED, BLACK]);
});

describe('the display interface', () => {
  it('says what it is, and the largest mode', () => {
    expect(screen.dispiRead(DISPI_INDEX.id)).toBe(0xb0c5);
    expect(screen.dispiRead(DISPI_INDEX.memory64k)).toBe(256);
    screen.dispi(DISPI_INDEX.enable, DISPI_ENABLE.getCaps);
    expect([1, 2, 3].map((index) => screen.dispiRead(index))).toEqual([2560, 1600, 32]);
  });

  it.each([
    [8, [7]],
    [15, [0x00, 0x7c]],
    [16, [0x00, 0xf8]],
    [24, [0, 0, 255]],
    [32, [0, 0, 255, 0]],
  ])('shows %i bits a pixel from the video memory', (bpp, bytes) => {
    screen.colour(7, 63, 0, 0);
    screen.linear(800, 600, bpp);
    screen.vram.set(bytes, (2 * 800 + 5) * Math.ceil(bpp / 8));
    const { at, height, width } = screen.picture;
    expect([width, height]).toEqual([800, 600]);
    expect([at(5, 2), at(6, 2)]).toEqual([RED, BLACK]);
  });

  it('scrolls over a picture that is larger, no further than the memory goes', () => {
    screen.linear(640, 480, 32);
    screen.dispi(DISPI_INDEX.virtWidth, 1024);
    screen.dispi(DISPI_INDEX.xOffset, 10);
    screen.dispi(DISPI_INDEX.yOffset, 20);
    screen.vram.set([0, 0, 255, 0], (20 * 1024 + 10) * 4);
    expect(screen.picture.at(0, 0)).toEqual(RED);
    expect(screen.dispiRead(DISPI_INDEX.virtHeight)).toBe(4096);
    screen.dispi(DISPI_INDEX.yOffset, 0xffff);
    expect(screen.dispiRead(DISPI_INDEX.yOffset)).toBe(4096 - 480);
  });

  it('clears the memory unless it is told not to, and has banks at 0xa0000', () => {
    screen.vram.fill(9, 0, 1 << 18);
    screen.linear(640, 480, 8);
    expect(screen.vram[640 * 480 - 1]).toBe(0);
    screen.dispi(DISPI_INDEX.bank, 2);
    screen.poke(0xa0003, 77);
    expect(screen.vram[0x20003]).toBe(77);
  });
});

it('harms nobody when it is programmed with nonsense', { timeout: 60_000 }, () => {
  nonsense(
    () => {
      const chip = new Screen();
      const { bars, fixed = [] } = chip.vga.pci.options;
      const registers = bars?.[2];
      if (registers === undefined || 'window' in registers) throw new Error('BAR 2 has registers');
      const ranges = [
        ...fixed.map(({ handler, range }) => ({ handler, size: range.size })),
        { handler: registers.handler, size: 0x1000 },
      ];
      return { chip, ranges };
    },
    (chip) => {
      // Whatever was set makes a picture, or none.
      const picture = vgaPicture(new VgaState(chip.registers), chip.vram);
      if (picture !== undefined) expect(picture.rgba.length).toBe(picture.width * picture.height * 4);
      chip.vga.reset();
      chip.linear(320, 200, 32);
      chip.vram.set([0, 0, 255, 0]);
      expect(chip.picture.at(0, 0)).toEqual(RED);
    },
    40,
  );
});
