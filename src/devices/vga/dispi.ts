// The display interface of Bochs' VGA, version 0xb0c5: linear modes of any size, by an index and a data port. What a guest sets is held within
// what the video memory has room for, so that whoever draws the picture need not check again.
import { DISPI_ENABLE, DISPI_INDEX, DISPI_LIMIT, type VgaState, VRAM_BYTES } from './vga-state.ts';

export const DISPI_ID = { least: 0xb0c0, most: 0xb0c5 } as const;
const DEPTHS: ReadonlySet<number> = new Set([4, 8, 15, 16, 24, 32]);

/** Bytes from one row to the next, of `width` pixels. */
export const pitchOf = (width: number, bpp: number): number => (bpp === 4 ? width >> 1 : width * ((bpp + 7) >> 3));

export class Dispi {
  readonly #state: VgaState;
  readonly #vram: Uint8Array;
  #index = 0;

  constructor(state: VgaState, vram: Uint8Array) {
    this.#state = state;
    this.#vram = vram;
    this.reset();
  }

  reset(): void {
    this.#index = 0;
    this.#state.dispi.fill(0);
    this.#state.dispi[DISPI_INDEX.id] = DISPI_ID.most;
  }

  get index(): number {
    return this.#index;
  }
  set index(value: number) {
    this.#index = value;
  }

  /** Where the window at 0xa0000 begins in video memory. */
  get bankOffset(): number {
    return ((this.#state.dispi[DISPI_INDEX.bank] as number) << 16) % VRAM_BYTES;
  }

  read(index: number = this.#index): number {
    const { dispi } = this.#state;
    const caps = ((dispi[DISPI_INDEX.enable] as number) & DISPI_ENABLE.getCaps) !== 0;
    if (caps && index === DISPI_INDEX.xres) return DISPI_LIMIT.x;
    if (caps && index === DISPI_INDEX.yres) return DISPI_LIMIT.y;
    if (caps && index === DISPI_INDEX.bpp) return DISPI_LIMIT.bpp;
    return index === DISPI_INDEX.memory64k ? VRAM_BYTES >> 16 : (dispi[index] ?? 0);
  }

  write(value: number, index: number = this.#index): void {
    const { dispi, linear } = this.#state;
    switch (index) {
      case DISPI_INDEX.id:
        if (value >= DISPI_ID.least && value <= DISPI_ID.most) dispi[index] = value;
        return;
      case DISPI_INDEX.xres:
        if (!linear && value > 0 && value <= DISPI_LIMIT.x && value % 8 === 0) dispi[index] = value;
        return;
      case DISPI_INDEX.yres:
        if (!linear && value > 0 && value <= DISPI_LIMIT.y) dispi[index] = value;
        return;
      case DISPI_INDEX.bpp:
        // 0 is what 8 was called first.
        if (!linear && DEPTHS.has(value || 8)) dispi[index] = value || 8;
        return;
      case DISPI_INDEX.bank:
        dispi[index] = value % (VRAM_BYTES >> 16);
        return;
      case DISPI_INDEX.enable:
        this.#enable(value);
        return;
      case DISPI_INDEX.virtWidth:
      case DISPI_INDEX.xOffset:
      case DISPI_INDEX.yOffset:
        dispi[index] = value;
        if (linear) this.#fit();
        return;
      default:
    }
  }

  #enable(value: number): void {
    const { dispi, linear } = this.#state;
    const on = (value & DISPI_ENABLE.enabled) !== 0;
    dispi[DISPI_INDEX.enable] = value & 0xff;
    if (!on || linear) return;
    dispi[DISPI_INDEX.xres] ||= 640;
    dispi[DISPI_INDEX.yres] ||= 480;
    dispi[DISPI_INDEX.bpp] ||= 8;
    dispi[DISPI_INDEX.virtWidth] = dispi[DISPI_INDEX.xres] as number;
    dispi[DISPI_INDEX.xOffset] = dispi[DISPI_INDEX.yOffset] = dispi[DISPI_INDEX.bank] = 0;
    this.#fit();
    if ((value & DISPI_ENABLE.keep) === 0) {
      const { height, pitch } = linearMode(this.#state);
      this.#vram.fill(0, 0, pitch * height);
    }
  }

  /** Holds the mode within the video memory. */
  #fit(): void {
    const { dispi } = this.#state;
    const bpp = dispi[DISPI_INDEX.bpp] as number;
    const width = dispi[DISPI_INDEX.xres] as number;
    const least = pitchOf(width, bpp);
    // The largest mode in 32 bits, 2560 by 1600, just fits.
    dispi[DISPI_INDEX.yres] = Math.min(dispi[DISPI_INDEX.yres] as number, Math.floor(VRAM_BYTES / least));
    const height = dispi[DISPI_INDEX.yres] as number;
    const widest = Math.floor(VRAM_BYTES / height / Math.max(1, pitchOf(8, bpp))) * 8;
    dispi[DISPI_INDEX.virtWidth] = Math.min(Math.max(dispi[DISPI_INDEX.virtWidth] as number, width), widest);
    const virtual = dispi[DISPI_INDEX.virtWidth] as number;
    const rows = Math.floor(VRAM_BYTES / pitchOf(virtual, bpp));
    dispi[DISPI_INDEX.virtHeight] = Math.min(rows, 0xffff);
    dispi[DISPI_INDEX.xOffset] = Math.min(dispi[DISPI_INDEX.xOffset] as number, virtual - width);
    dispi[DISPI_INDEX.yOffset] = Math.min(dispi[DISPI_INDEX.yOffset] as number, rows - height);
  }
}

/** A linear mode as it is set: `at` is where its first pixel lies. */
export interface LinearMode {
  readonly width: number;
  readonly height: number;
  readonly bpp: number;
  readonly pitch: number;
  readonly at: number;
}

export function linearMode({ dispi }: VgaState): LinearMode {
  const of = (index: number): number => dispi[index] as number;
  const bpp = of(DISPI_INDEX.bpp);
  const pitch = pitchOf(of(DISPI_INDEX.virtWidth), bpp);
  const at = of(DISPI_INDEX.yOffset) * pitch + pitchOf(of(DISPI_INDEX.xOffset), bpp);
  return { width: of(DISPI_INDEX.xres), height: of(DISPI_INDEX.yres), bpp, pitch, at };
}
