/** A picture in memory. */
export interface Picture {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Red, green, blue and alpha of each pixel, a byte each, row by row from the top. */
  readonly rgba: Uint8Array;
}
