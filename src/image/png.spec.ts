import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from './crc32.ts';
import { encodePng } from './png.ts';

/** A reader of its own: chunks with their checksums, and rows of truecolour with any filter but Paeth. */
function decode(png: Uint8Array): { readonly width: number; readonly height: number; readonly rgb: Uint8Array } {
  const view = new DataView(png.buffer, png.byteOffset, png.length);
  expect([...png.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  const chunks: [string, Uint8Array][] = [];
  for (let at = 8; at < png.length; ) {
    const length = view.getUint32(at);
    expect(view.getUint32(at + 8 + length)).toBe(crc32(png.subarray(at + 4, at + 8 + length)));
    chunks.push([new TextDecoder().decode(png.subarray(at + 4, at + 8)), png.subarray(at + 8, at + 8 + length)]);
    at += 12 + length;
  }
  expect(chunks.map(([type]) => type)).toEqual(['IHDR', 'IDAT', 'IEND']);
  const header = chunks[0]?.[1] as Uint8Array;
  expect([...header.subarray(8)]).toEqual([8, 2, 0, 0, 0]);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const rows = inflateSync(chunks[1]?.[1] as Uint8Array);
  expect(rows.length).toBe((width * 3 + 1) * height);
  const rgb = new Uint8Array(width * 3 * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (width * 3 + 1)] as number;
    for (let i = 0; i < width * 3; i++) {
      const left = i < 3 ? 0 : (rgb[y * width * 3 + i - 3] as number);
      const up = y === 0 ? 0 : (rgb[(y - 1) * width * 3 + i] as number);
      const base = [0, left, up, (left + up) >> 1][filter];
      if (base === undefined) throw new Error(`filter ${filter}`);
      rgb[y * width * 3 + i] = (rows[y * (width * 3 + 1) + 1 + i] as number) + base;
    }
  }
  return { width, height, rgb };
}

const withoutAlpha = (rgba: Uint8Array): Uint8Array => rgba.filter((_, i) => i % 4 !== 3);

describe('encodePng', () => {
  it('keeps every pixel', async () => {
    const pictures = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 })).chain(([width, height]) => {
      const byte = fc.oneof(fc.constantFrom(0, 255), fc.nat(255));
      const rgba = fc.uint8Array({ minLength: width * height * 4, maxLength: width * height * 4 });
      const few = fc.array(byte, { minLength: width * height * 4, maxLength: width * height * 4 }).map((a) => Uint8Array.from(a));
      return fc.record({ width: fc.constant(width), height: fc.constant(height), rgba: fc.oneof(rgba, few) });
    });
    await fc.assert(
      fc.asyncProperty(pictures, async ({ width, height, rgba }) => {
        const back = decode(await encodePng({ width, height, rgba }));
        expect([back.width, back.height]).toEqual([width, height]);
        expect(Buffer.compare(back.rgb, withoutAlpha(rgba))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('makes little of rows that are alike', async () => {
    const [width, height] = [800, 600];
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) => ((i % (width * 4)) * 37) & 0xff);
    const png = await encodePng({ width, height, rgba });
    expect(png.length).toBeLessThan(10_000);
    expect(Buffer.compare(decode(png).rgb, withoutAlpha(rgba))).toBe(0);
  });

  it.each([
    [0, 1],
    [1, 0],
  ])('has nothing for %i by %i pixels', async (width, height) => {
    await expect(encodePng({ width, height, rgba: new Uint8Array(0) })).rejects.toThrow(RangeError);
  });
});
