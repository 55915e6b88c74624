// LZMA2: chunks of LZMA, or of bytes as they are, as .xz files hold them. xz-file-format.txt 1.2, 5.3.1; what a chunk's first byte
// means is not written there: 0 ends, 1 and 2 are bytes as they are (1 resets the dictionary), from 0x80 on bits 5 and 6 tell what
// an LZMA chunk resets (nothing, the state, the properties too, the dictionary too) and bits 0 to 4 are the top of its size.
import { BoundedReader } from './bounded-reader.ts';
import { corrupt } from './image-error.ts';
import { LzmaDecoder } from './lzma-decoder.ts';

export interface Lzma2Extent {
  /** Bytes of the chunks, with the end marker. */
  readonly packed: number;
  readonly unpacked: number;
}

/** Walks the chunk headers of LZMA2 data. Throws ImageError: 'truncated', 'corrupt'. */
export function measureLzma2(file: BoundedReader, start: number): Lzma2Extent {
  let unpacked = 0;
  for (let at = start; ; ) {
    const control = file.u8(at);
    if (control === 0) return { packed: at + 1 - start, unpacked };
    if (control < 0x80 && control > 2) throw corrupt(file.what, `LZMA2 has no chunk type ${control}`);
    unpacked += unpackedSize(file, at, control);
    at += headerSize(control) + packedSize(file, at, control);
    file.slice(at, 0);
  }
}

const u16be = (file: BoundedReader, at: number): number => (file.u8(at) << 8) | file.u8(at + 1);
const headerSize = (control: number): number => (control >= 0xc0 ? 6 : control >= 0x80 ? 5 : 3);
const unpackedSize = (file: BoundedReader, at: number, control: number): number =>
  (control >= 0x80 ? (control & 0x1f) << 16 : 0) + u16be(file, at + 1) + 1;
const packedSize = (file: BoundedReader, at: number, control: number): number =>
  u16be(file, control >= 0x80 ? at + 3 : at + 1) + 1;

/** The dictionary size that LZMA2's one property byte stands for. */
export const lzma2Dictionary = (property: number): number =>
  property >= 40 ? 2 ** 32 - 1 : (2 | (property & 1)) * 2 ** ((property >> 1) + 11);

/** Unpacks LZMA2 data, chunk by chunk. A chunk is valid until the next is asked for. */
export function* unpackLzma2(data: Uint8Array, dictionary: number, unpacked: number, what: string): Generator<Uint8Array> {
  const file = new BoundedReader(data, what);
  const decoder = new LzmaDecoder(dictionary, unpacked, what);
  let hasProperties = false;
  for (let at = 0; ; ) {
    const control = file.u8(at);
    if (control === 0) return;
    if (control === 1 || control >= 0xe0) decoder.resetDictionary();
    else if (at === 0) throw corrupt(what, 'the first LZMA2 chunk does not reset the dictionary');
    const [header, packed, size] = [headerSize(control), packedSize(file, at, control), unpackedSize(file, at, control)];
    const chunk = file.slice(at + header, packed);
    if (control < 0x80) yield decoder.store(chunk);
    else {
      if (control >= 0xc0) {
        decoder.setProperties(file.u8(at + 5));
        hasProperties = true;
      } else if (!hasProperties) throw corrupt(what, 'the first LZMA2 chunk has no properties');
      else if (control >= 0xa0) decoder.resetState();
      decoder.start(chunk);
      const out = decoder.unpack(size);
      if (out.length !== size || !decoder.ended) throw corrupt(what, 'an LZMA2 chunk does not end where it should');
      yield out;
    }
    at += header + packed;
  }
}
