// Streams through a cable that loses, doubles and reorders frames.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_OFFLOADS } from '../../io/frame-sink.ts';
import { type Cable, ip } from '../fixtures/guest.ts';
import { GuestTcp } from '../fixtures/guest-tcp.ts';
import { virtualNetwork } from '../fixtures/virtual-network.ts';

const join = (parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);

/** A cable with its own generator, so that a failing run can be repeated. */
function badCable(seed: number, loss: number, twice: number, late: number): Cable {
  let state = seed | 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return () => {
    const delay = () => (random() < late ? 5e6 * random() : 20e3);
    if (random() < loss) return [];
    return random() < twice ? [delay(), delay()] : [delay()];
  };
}

describe('a stream over a bad cable', () => {
  it('arrives whole and in order in both directions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer(),
          loss: fc.double({ min: 0, max: 0.15, noNaN: true }),
          twice: fc.double({ min: 0, max: 0.2, noNaN: true }),
          late: fc.double({ min: 0, max: 0.3, noNaN: true }),
          upLength: fc.integer({ min: 1, max: 100_000 }),
          downLength: fc.integer({ min: 1, max: 150_000 }),
          large: fc.boolean(),
          window: fc.integer({ min: 2000, max: 200_000 }),
          drain: fc.integer({ min: 50, max: 5000 }),
          hostFirst: fc.boolean(),
        }),
        async ({ seed, loss, twice, late, upLength, downLength, large, window, drain, hostFirst }) => {
          const offloads = large ? ALL_OFFLOADS : undefined;
          const cable = badCable(seed, loss, twice, late);
          const net = await virtualNetwork({ bufferBytes: 64 * 1024 }, { cable, ...(offloads && { offloads }) });
          const tcp = new GuestTcp(net.guest, net.deadlines, 1234, ip('198.51.100.7'), 80, offloads);
          tcp.window = window;
          tcp.connect();
          expect(net.until(() => net.sockets.tcp.length > 0 && tcp.state === 'open', 60_000)).toBe(true);
          const host = net.sockets.tcp[0]!;
          host.bytesPerMs = drain;
          const down = Uint8Array.from({ length: downLength }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
          const up = Uint8Array.from({ length: upLength }, (_, i) => (i * 13 + (i >> 8)) & 0xff);
          for (let at = 0; at < downLength; at += 17_000) host.feed(down.subarray(at, at + 17_000));
          if (hostFirst) host.finish();
          for (let at = 0; at < up.length; at += 5000) tcp.write(up.subarray(at, at + 5000), at + 5000 >= up.length);
          if (!hostFirst) {
            expect(net.until(() => host.ended, 600_000)).toBe(true);
            host.finish();
          }
          expect(net.until(() => tcp.gotFin && tcp.finAcked && host.ended, 600_000)).toBe(true);
          expect(Buffer.from(tcp.bytes).equals(down)).toBe(true);
          expect(join(host.received).equals(up)).toBe(true);
          expect(host.mostPending).toBeLessThanOrEqual(64 * 1024);
        },
      ),
      { numRuns: 30 },
    );
  });
});
