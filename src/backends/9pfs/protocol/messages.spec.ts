import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { data, type FieldType, list, qid, text, u8, u16, u32, u64 } from './fields.ts';
import { decode, encode, HEADER_BYTES, P9 } from './messages.ts';

const byteText = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }).map((codes) => String.fromCharCode(...codes));
const anyU64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const anyU32 = fc.integer({ min: 0, max: 0xffff_ffff });
const anyQid = fc.record({ type: fc.integer({ min: 0, max: 255 }), version: anyU32, path: anyU64 });

const known = new Map<FieldType<unknown>, fc.Arbitrary<unknown>>([
  [u8, fc.integer({ min: 0, max: 255 })],
  [u16, fc.integer({ min: 0, max: 0xffff })],
  [u32, anyU32],
  [u64, anyU64],
  [text, byteText],
  [data, fc.uint8Array({ maxLength: 100 })],
  [qid, anyQid],
]);
/** Lists are made where they are used. */
const arbitraryOf = (name: string, type: FieldType<unknown>): fc.Arbitrary<unknown> =>
  known.get(type) ?? fc.array<unknown>(name === 'names' ? byteText : anyQid, { maxLength: 16 });

const shapes = Object.entries(P9).flatMap(([name, { type, request, answer }]) => [
  { name: `T${name}`, type, fields: request as Readonly<Record<string, FieldType<unknown>>> },
  { name: `R${name}`, type: type + 1, fields: answer as Readonly<Record<string, FieldType<unknown>>> },
]);

describe.each(shapes)('$name', ({ type, fields }) => {
  const values = fc.record(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, arbitraryOf(name, field)])));

  it('is read as it was written, and never when cut short', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 0xffff }), fc.double({ min: 0, max: 1, noNaN: true }), (given, tag, cut) => {
        const message = encode(type, tag, fields, given);
        const view = new DataView(message.buffer, message.byteOffset, message.length);
        expect([view.getUint32(0, true), view.getUint8(4), view.getUint16(5, true)]).toEqual([message.length, type, tag]);
        expect(decode(fields, message)).toEqual({ ...given });
        const shorter = HEADER_BYTES + Math.floor((message.length - HEADER_BYTES) * cut);
        if (shorter < message.length) expect(decode(fields, message.subarray(0, shorter))).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  it('is read from any bytes without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 80 }), (bytes) => {
        const found = decode(fields, bytes);
        if (found !== undefined) encode(type, 0, fields, found);
      }),
      { numRuns: 100 },
    );
  });
});

it('has the bytes of the manual', () => {
  // walk(5): size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])
  expect([...encode(P9.walk.type, 5, P9.walk.request, { fid: 1, newfid: 2, names: ['ab', ''] })]).toEqual([
    23, 0, 0, 0, 110, 5, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 2, 0, 97, 98, 0, 0,
  ]);
  expect(() => encode(P9.readlink.type + 1, 1, P9.readlink.answer, { target: 'x'.repeat(65_536) })).toThrow(RangeError);
});

it('does not make more of a list than the message holds', () => {
  const message = encode(P9.walk.type, 1, { fid: u32, newfid: u32, count: u16 }, { fid: 1, newfid: 2, count: 0xffff });
  expect(decode({ fid: u32, newfid: u32, names: list(text) }, message)).toBeUndefined();
});
