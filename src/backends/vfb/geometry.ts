// What a frontend says of its frame buffer, checked: nothing in it reaches beyond the buffer's own length.
import { EINVAL } from '../../abi/xen/errno.ts';
import { Refusal } from '../xenbus/refusal.ts';

/** Bits of a pixel: 3-3-2, 5-6-5, and 8-8-8 without and with an unused byte; red is highest. */
export type Depth = 8 | 16 | 24 | 32;

export interface Geometry {
  /** Pixels; either may be 0. */
  readonly width: number;
  readonly height: number;
  readonly depth: Depth;
  /** Bytes from one row to the next. */
  readonly stride: number;
  /** Bytes before the first row. */
  readonly offset: number;
}

/** As many pixels as 4096 by 4096 have; and bytes of a buffer: what the largest of them has with 32 bits a pixel. */
export const MAX_PIXELS = 2 ** 24;
export const MAX_BUFFER_BYTES: number = MAX_PIXELS * 4;

/**
 * Checks numbers that may be any integers. As in QEMU's backend, a width or height that the buffer has no room for is cut, and
 * a negative one is taken for the largest there is room for.
 * @param length of the buffer in bytes, at most MAX_BUFFER_BYTES
 */
export function checkGeometry(said: { readonly [K in keyof Geometry]: number }, length: number): Geometry | Refusal {
  const { depth, stride, offset } = said;
  if (depth !== 8 && depth !== 16 && depth !== 24 && depth !== 32) return new Refusal(EINVAL, `a depth of ${depth} bits`);
  if (stride <= 0 || stride > length) return new Refusal(EINVAL, `a row of ${stride} bytes in a buffer of ${length}`);
  if (offset < 0 || offset >= length) return new Refusal(EINVAL, `an offset of ${offset} in a buffer of ${length} bytes`);
  const width = within(said.width, Math.floor(stride / (depth / 8)));
  const height = within(said.height, Math.floor((length - offset) / stride));
  if (width * height > MAX_PIXELS) return new Refusal(EINVAL, `${width} by ${height} pixels are more than ${MAX_PIXELS}`);
  return { width, height, depth, stride, offset };
}

const within = (value: number, most: number): number => (value < 0 ? most : Math.min(value, most));
