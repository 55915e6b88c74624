// Pixels as a guest has them, as red, green, blue and alpha.
import type { Depth } from './geometry.ts';

/**
 * Converts pixels one after the other. Colours of fewer bits are stretched to eight, so that white is white.
 * @param from little-endian pixels
 * @param at where in `rgba` the first one goes
 */
export function convertPixels(depth: Depth, from: Uint8Array, count: number, rgba: Uint8Array, at: number): void {
  const bytes = depth / 8;
  for (let i = 0, source = 0, to = at; i < count; i++, source += bytes, to += 4) {
    const low = from[source] as number;
    let red: number;
    let green: number;
    let blue: number;
    if (depth === 8) {
      red = stretch(low >>> 5, 3);
      green = stretch((low >>> 2) & 7, 3);
      blue = stretch(low & 3, 2);
    } else if (depth === 16) {
      const pixel = low | ((from[source + 1] as number) << 8);
      red = stretch(pixel >>> 11, 5);
      green = stretch((pixel >>> 5) & 63, 6);
      blue = stretch(pixel & 31, 5);
    } else {
      red = from[source + 2] as number;
      green = from[source + 1] as number;
      blue = low;
    }
    rgba[to] = red;
    rgba[to + 1] = green;
    rgba[to + 2] = blue;
    rgba[to + 3] = 0xff;
  }
}

/** From `bits` bits to 8, the largest value to 255. */
const stretch = (value: number, bits: number): number => Math.round((value * 255) / ((1 << bits) - 1));
