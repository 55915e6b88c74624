import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMessages, encodeMessage, MessageDecoder, type StoreMessage } from './message.ts';

const message: fc.Arbitrary<StoreMessage> = fc.record({
  type: fc.nat(0xffff_ffff),
  requestId: fc.nat(0xffff_ffff),
  transactionId: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 300 }),
});

it('has a header of four little-endian words', () => {
  const bytes = encodeMessage({ type: 2, requestId: 0x01020304, transactionId: 5, payload: Uint8Array.of(65, 0) });
  expect([...bytes]).toEqual([2, 0, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0, 2, 0, 0, 0, 65, 0]);
});

it('refuses to encode what the protocol has no room for', () => {
  const request = { type: 2, requestId: 0, transactionId: 0 };
  expect(encodeMessage({ ...request, payload: new Uint8Array(4096) }).length).toBe(4112);
  expect(() => encodeMessage({ ...request, payload: new Uint8Array(4097) })).toThrow(/too long/);
});

describe('decoding', () => {
  it('gives back any messages, in whatever pieces they come', () => {
    const property = fc.property(
      fc.array(message, { maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = messages.flatMap((each) => [...encodeMessage(each)]);
        const decoder = new MessageDecoder();
        const decoded: StoreMessage[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const count = Math.min(cuts[turn % cuts.length] ?? 1, decoder.wants, bytes.length - at);
          const whole = decoder.push(Uint8Array.from(bytes.slice(at, at + count)));
          if (whole !== undefined) decoded.push(whole);
          at += count;
        }
        expect(decoded).toEqual(messages);
      },
    );
    fc.assert(property);
  });

  it('ends at a payload that is too long', () => {
    const bytes = encodeMessage({ type: 2, requestId: 0, transactionId: 0, payload: new Uint8Array(0) });
    const bad = bytes.slice();
    bad.set([0x01, 0x10], 12);
    const decoder = new MessageDecoder();
    expect(decoder.push(bad)).toBeUndefined();
    expect([decoder.broken, decoder.wants]).toEqual([true, 0]);
    expect(decodeMessages(Uint8Array.of(...bytes, ...bad, ...bytes)).length).toBe(1);
    decoder.reset();
    expect(decoder.push(bytes)?.type).toBe(2);
  });

  it('completes a message without payload with its header', () => {
    const bytes = encodeMessage({ type: 6, requestId: 9, transactionId: 0, payload: new Uint8Array(0) });
    expect(new MessageDecoder().push(bytes)?.requestId).toBe(9);
  });
});
