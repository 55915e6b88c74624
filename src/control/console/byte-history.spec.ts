import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64, toBase64 } from './base64.ts';
import { ByteHistory } from './byte-history.ts';

describe('a history', () => {
  it('is the end of what was appended, from any position on', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.uint8Array({ maxLength: 30 })),
        fc.nat(200),
        fc.nat(40),
        (size, parts, from, max) => {
          const history = new ByteHistory(size);
          for (const part of parts) history.append(part);
          const all = Uint8Array.from(parts.flatMap((part) => [...part]));
          expect(history.end).toBe(all.length);
          expect(history.start).toBe(Math.max(0, all.length - size));
          const begin = Math.min(Math.max(from, history.start), all.length);
          expect(history.read(from, max)).toEqual({ from: begin, bytes: all.slice(begin, begin + max) });
        },
      ),
    );
  });

  it('forgets when it is cleared', () => {
    const history = new ByteHistory(8);
    history.append(Uint8Array.of(1, 2, 3));
    history.clear();
    history.append(Uint8Array.of(4));
    expect(history.read(0)).toEqual({ from: 3, bytes: Uint8Array.of(4) });
  });
});

it('base64 brings any bytes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(fromBase64(toBase64(bytes))).toEqual(bytes);
    }),
  );
  const many = Uint8Array.from({ length: 100_000 }, (_, i) => i * 7);
  expect(fromBase64(toBase64(many))).toEqual(many);
  expect(fromBase64('?')).toBeUndefined();
});
