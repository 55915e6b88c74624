import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, le } from './fixtures/build-elf.ts';
import { unpackLz4Block, unpackLz4Legacy } from './lz4.ts';

const unpack = (block: readonly number[], size = 100): number[] => {
  const into = new Uint8Array(size);
  return [...into.subarray(0, unpackLz4Block(new Uint8Array(block), into))];
};

/** A length in LZ4's way: the part for the token and the bytes that follow. */
const lengthOf = (n: number): readonly [number, readonly number[]] =>
  n < 15 ? [n, []] : [15, [...new Array<number>(Math.floor((n - 15) / 255)).fill(255), (n - 15) % 255]];

/** The plainest packer there is: takes the nearest earlier copy of the next four bytes, if any. */
function pack(data: Uint8Array): Uint8Array {
  const out: number[] = [];
  const seen = new Map<number, number>();
  let literalsFrom = 0;
  for (let at = 0; at + 4 < data.length; ) {
    const key = new DataView(data.buffer).getUint32(at, true);
    const from = seen.get(key);
    seen.set(key, at);
    if (from === undefined || at - from > 0xffff) {
      at++;
      continue;
    }
    let length = 4;
    while (at + length < data.length - 1 && data[from + length] === data[at + length]) length++;
    const [literals, moreLiterals] = lengthOf(at - literalsFrom);
    const [match, moreMatch] = lengthOf(length - 4);
    out.push(
      (literals << 4) | match,
      ...moreLiterals,
      ...data.subarray(literalsFrom, at),
      (at - from) & 0xff,
      (at - from) >> 8,
      ...moreMatch,
    );
    at += length;
    literalsFrom = at;
  }
  const [literals, more] = lengthOf(data.length - literalsFrom);
  return new Uint8Array([...out, literals << 4, ...more, ...data.subarray(literalsFrom)]);
}

describe('unpackLz4Block', () => {
  it('copies literals', () => {
    expect(unpack([0x30, 1, 2, 3])).toEqual([1, 2, 3]);
  });

  it('copies a match that overlaps itself', () => {
    expect(unpack([0x12, 7, 1, 0, 0x10, 9])).toEqual([7, 7, 7, 7, 7, 7, 7, 9]);
  });

  it('reads long lengths', () => {
    expect(unpack([0x1f, 7, 1, 0, 255, 3, 0x10, 9], 1000)).toEqual([...new Array(1 + 15 + 255 + 3 + 4).fill(7), 9]);
  });

  it('undoes what a packer did', () => {
    const data = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.array(fc.constantFrom(1, 2), { maxLength: 600 }).map((bytes) => new Uint8Array(bytes)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 40 }))
        .map(([part, times]) => concat(...new Array<Uint8Array>(times).fill(part))),
    );
    fc.assert(
      fc.property(data, (bytes) => {
        const into = new Uint8Array(bytes.length);
        expect(unpackLz4Block(pack(bytes), into)).toBe(bytes.length);
        expect(into).toEqual(bytes);
      }),
    );
  });

  it.each([
    ['literals past the block', [0x30, 1], /literals run past/],
    ['literals past the output', [0xf0, 200, ...new Array(215).fill(0)], /literals run past/],
    ['a length without an end', [0xf0, 255], /a length runs past/],
    ['a match with half an offset', [0x10, 1, 1], /no offset/],
    ['offset 0', [0x10, 1, 0, 0, 0x00], /begins before/],
    ['a match before the start', [0x10, 1, 2, 0, 0x00], /begins before/],
    ['a match past the output', [0x1f, 1, 1, 0, 200, 0x00], /match runs past/],
    ['a match at the end', [0x10, 1, 1, 0], /ends in a match/],
  ])('refuses %s', (_, block, message) => {
    expect(() => unpack(block)).toThrow(message);
  });
});

describe('unpackLz4Legacy', () => {
  const block = new Uint8Array([0x20, 1, 2]);
  const frame = concat(le(0x184c_2102, 4), le(3, 4), block, le(3, 4), block);

  it('unpacks block after block', () => {
    expect([...unpackLz4Legacy(frame)].flatMap((chunk) => [...chunk])).toEqual([1, 2, 1, 2]);
  });

  it('is truncated when a block is', () => {
    expect(() => [...unpackLz4Legacy(frame.subarray(0, frame.length - 1))]).toThrow(/truncated: it needs 18 bytes and has 17/);
  });
});
