// PNG (ISO/IEC 15948, W3C Recommendation 2003): pictures of eight bits a sample, without alpha, compressed by the host.
import { crc32 } from './crc32.ts';
import type { Picture } from './picture.ts';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** Of IHDR (11.2.2): truecolour; the one compression, filter method and interlacing there is to choose. */
const HEADER = { bits: 8, colour: 2, compression: 0, filter: 0, interlace: 0 } as const;

/** Filter types (9.2) of a row. */
const FILTER = { none: 0, up: 2 } as const;

/** Encodes a picture. Its alpha is left out: a screen has none. @throws RangeError for a picture without pixels */
export async function encodePng(picture: Picture): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height } = picture;
  if (width < 1 || height < 1) throw new RangeError(`a picture of ${width} by ${height} pixels has no PNG`);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([HEADER.bits, HEADER.colour, HEADER.compression, HEADER.filter, HEADER.interlace], 8);
  const data = await deflate(filteredRows(picture));
  return join([SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array(0))]);
}

/** Rows with their filter types: as the difference from the row above where that is equal in more bytes than zeros are. */
function filteredRows({ width, height, rgba }: Picture): Uint8Array<ArrayBuffer> {
  const stride = width * 3;
  const rows = new Uint8Array((stride + 1) * height);
  let above = new Uint8Array(stride);
  let row = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    let equal = 0;
    let zero = 0;
    for (let x = 0, from = y * width * 4, to = 0; x < width; x++, from += 4) {
      for (let sample = 0; sample < 3; sample++, to++) {
        const value = rgba[from + sample] as number;
        row[to] = value;
        if (value === above[to]) equal++;
        if (value === 0) zero++;
      }
    }
    const at = y * (stride + 1);
    const up = equal > zero;
    rows[at] = up ? FILTER.up : FILTER.none;
    if (up) for (let i = 0; i < stride; i++) rows[at + 1 + i] = (row[i] as number) - (above[i] as number);
    else rows.set(row, at + 1);
    [above, row] = [row, above];
  }
  return rows;
}

/** A zlib stream (RFC 1950), which is what the platform calls deflate. */
async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Length, type, data, and the CRC of type and data (5.3). */
function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
