import fc from 'fast-check';
import { expect, it } from 'vitest';
import { plainFrame } from '../../io/frame-sink.ts';
import { put16 } from '../../net/big-endian.ts';
import { parseIpv6Packet } from '../../net/ipv6.ts';
import { completeChecksum } from '../../net/prepare-frame.ts';
import { transportChecksumHolds } from '../../net/transport-checksum.ts';
import { testFrame } from '../fixtures/net-frames.ts';
import { findTransport, putPseudoSum, type Transport } from './partial-checksum.ts';

const none = (): Transport => ({ version: 0, protocol: 0, transport: 0, end: 0 });

it('finds only headers that lie within the frame, whatever it says', () => {
  const head = fc.constantFrom([8, 0, 0x45], [8, 0, 0x4f], [0x86, 0xdd, 0x60], [8, 6, 0x45]);
  const protocol = fc.constantFrom(0, 6, 17, 43, 44, 60, 1);
  let found = 0;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), head, protocol, fc.nat(200), (bytes, start, next, length) => {
      if (bytes.length > 25) {
        bytes.set(start, 12);
        bytes[start[0] === 8 ? 23 : 20] = next;
        put16(bytes, start[0] === 8 ? 16 : 18, length);
        if (start[0] === 8) put16(bytes, 20, 0);
      }
      const transport = none();
      if (!findTransport(bytes, transport)) return;
      found++;
      const before = bytes.slice();
      const at = transport.transport + putPseudoSum(bytes, transport);
      expect(at + 2).toBeLessThanOrEqual(transport.end);
      expect(transport.end).toBeLessThanOrEqual(bytes.length);
      bytes.set(before.subarray(at, at + 2), at);
      expect(bytes).toEqual(before);
    }),
    { numRuns: 2000 },
  );
  expect(found).toBeGreaterThan(20);
});

it('passes over extension headers, and leaves fragments alone', () => {
  const { bytes } = testFrame({ version: 6, protocol: 'udp', payload: 100 });
  const longer = new Uint8Array(bytes.length + 24);
  longer.set(bytes.subarray(0, 54));
  longer.set([60, 0], 54);
  longer.set([17, 1], 62);
  longer.set(bytes.subarray(54), 78);
  longer[20] = 0;
  put16(longer, 18, longer.length - 54);
  const transport = none();
  expect(findTransport(longer, transport)).toBe(true);
  expect(transport).toEqual({ version: 6, protocol: 17, transport: 78, end: longer.length });
  const checksumOffset = putPseudoSum(longer, transport);
  const whole = completeChecksum({ ...plainFrame(longer), checksumStart: 78, checksumOffset });
  const packet = parseIpv6Packet(whole.bytes, 14);
  expect(packet !== undefined && transportChecksumHolds(packet)).toBe(true);
  const fragment = testFrame({ version: 4, protocol: 'udp', payload: 100 }).bytes;
  fragment[20] = 0x20;
  expect(findTransport(fragment, none())).toBe(false);
});
