// Pixels for a guest to write into its frame buffer.

/** Without any order, as the guest has them: blue, green, red and a byte that means nothing. */
export function pixelPattern({ width, height }: { readonly width: number; readonly height: number }): Uint8Array {
  const bytes = new Uint8Array(width * height * 4);
  for (let i = 0, state = 1; i < bytes.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

/** As a picture has them. */
export const asRgba = (bgrx: Uint8Array): Uint8Array =>
  Uint8Array.from(bgrx, (_, i) => (i % 4 === 3 ? 255 : (bgrx[i % 4 === 1 ? i : i ^ 2] as number)));
