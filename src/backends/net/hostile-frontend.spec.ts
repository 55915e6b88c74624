import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NETTXF } from '../../abi/xen/netif.ts';
import { GSO, NO_OFFLOADS, plainFrame } from '../../io/frame-sink.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { testFrame } from '../fixtures/net-frames.ts';
import { NetFrontend } from '../fixtures/net-frontend.ts';
import { MAC, partialFrame, reasonOf, setup } from '../fixtures/net-setup.ts';
import { TestSink } from '../fixtures/test-sink.ts';
import { attachVif } from './attach-vif.ts';

describe('a frontend that breaks the rules', () => {
  it.each([
    ['request-rx-copy', undefined, /^95 .*request-rx-copy/],
    ['tx-ring-ref', 1000, /^5 mapping ring-ref 1000/],
    ['rx-ring-ref', 'x', /^22 .*rx-ring-ref is "x"/],
    ['rx-ring-ref', 1000, /^5 mapping ring-ref 1000/],
    ['event-channel', 77, /^22 binding event-channel 77/],
    ['multi-queue-num-queues', 0, /^22 guest requested 0 queues/],
  ])('is refused with a reason for %s = %s, and nothing stays mapped', async (key, value, reason) => {
    const guest = new BackendGuest();
    const sink = new TestSink();
    attachVif(guest.bus, { sink, mac: MAC });
    const front = new NetFrontend(guest, 0, { keys: { [key]: value } });
    await expect(front.connect()).rejects.toThrow('state 5');
    expect(reasonOf(guest)).toMatch(reason);
    expect(sink.receiver).toBeUndefined();
    front.release();
  });

  it.each([
    ['req_prod beyond the ring', (front: NetFrontend) => front.queue().tx.index('req_prod', 1000), /^5 the tx ring holds more/],
    [
      'a chain without an end',
      (front: NetFrontend) => {
        front.putTx({ size: 100, flags: NETTXF.more_data });
        front.queue().tx.push();
      },
      /^5 the tx ring ends in the middle/,
    ],
    [
      'an extra_info that is not there',
      (front: NetFrontend) => {
        front.putTx({ size: 100, flags: NETTXF.extra_info });
        front.queue().tx.push();
      },
      /^5 the tx ring ends in the middle/,
    ],
  ])('is shut for %s', async (_name, act, reason) => {
    const { front, guest, sink } = await setup();
    act(front);
    guest.send(front.queue().txPort);
    await settle();
    expect(reasonOf(guest)).toMatch(reason);
    expect([front.backendState, sink.receiver]).toEqual([5, undefined]);
    front.release();
  });

  it('is shut for an rx ring that lies', async () => {
    const { front, guest, sink } = await setup();
    front.queue().rx.index('req_prod', 0x8000_0000);
    expect(sink.receiver?.receive(plainFrame(new Uint8Array(60)))).toBe(true);
    await settle();
    expect(reasonOf(guest)).toMatch(/^5 the rx ring holds more/);
    front.release();
  });

  it('never makes anything throw, whatever is on its rings, and can come back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 12, maxLength: 12 }), { maxLength: 60 }),
        fc.array(fc.tuple(fc.nat(3000), fc.nat(1100)), { maxLength: 10 }),
        fc.oneof(fc.constant(0), fc.nat(400)),
        async (requests, offers, skip) => {
          const { front, guest, sink } = await setup();
          if (skip & 1) sink.offloads = NO_OFFLOADS;
          const pages = [front.newPage(), front.newPage()];
          const like = testFrame({ version: 4, protocol: 'tcp', payload: 900 });
          for (const { gfn } of pages) guest.page(gfn).set(like.bytes);
          for (const entry of requests) {
            // Often enough a request that could be one: few flags, small sizes, grants that are there.
            if ((entry[0] as number) & 1) {
              entry.set([(pages[0] as { ref: number }).ref & 255, (pages[0] as { ref: number }).ref >> 8, 0, 0], 0);
              entry.set([(entry[6] as number) & 15, 0], 6);
              entry[11] = (entry[11] as number) & 3;
            }
            front.queue().tx.put(entry);
          }
          front.queue().tx.requests += skip;
          front.push();
          for (const [id, ref] of offers) front.putRx(id, ref);
          front.queue().rx.push();
          guest.send(front.queue().rxPort);
          for (let i = 0; i < 5; i++) {
            const frame = partialFrame(
              new Uint8Array(14 + i * 3000),
              14,
              'udp',
              i > 0 ? { gsoType: GSO.tcpv4, gsoSize: 99 } : {},
            );
            sink.receiver?.receive(frame);
          }
          await settle();
          expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
          for (const { checksumStart, checksumOffset, bytes } of sink.sent) {
            expect(checksumStart + checksumOffset + 2).toBeLessThanOrEqual(bytes.length);
          }
          for (const page of pages) front.freePage(page);
          await front.disconnect();
          front.write('state', 1);
          await front.connect();
          front.send({ bytes: testFrame({ version: 6, protocol: 'udp', payload: 1 }).bytes });
          expect(front.answers()).toEqual([0]);
        },
      ),
      { numRuns: 40 },
    );
  });
});
