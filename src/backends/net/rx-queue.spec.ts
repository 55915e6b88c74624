import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { NETRXF, NETTXF } from '../../abi/xen/netif.ts';
import { type Frame, GSO, plainFrame } from '../../io/frame-sink.ts';
import { settle } from '../fixtures/backend-guest.ts';
import { testFrame } from '../fixtures/net-frames.ts';
import { holds, partialFrame, setup } from '../fixtures/net-setup.ts';
import { TestSink } from '../fixtures/test-sink.ts';

describe('frames for the guest', () => {
  it('arrive with their bytes and what was said of them', async () => {
    const { front, sink } = await setup({ startAt: 0xffff_fff0 });
    const sizes = fc.oneof(fc.nat(1400), fc.nat(60_000));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(4 as const, 6 as const),
        sizes,
        fc.constantFrom(0, 1, 2),
        async (version, payload, how) => {
          const large = payload > 1400;
          const { bytes, transport } = testFrame({ version, protocol: 'tcp', payload });
          const gsoType = version === 4 ? GSO.tcpv4 : GSO.tcpv6;
          const partial = large || how === 2;
          const frame: Frame = partial
            ? partialFrame(bytes, transport, 'tcp', large ? { gsoType, gsoSize: 1448 } : {})
            : { ...plainFrame(bytes), checksumValid: how === 1 };
          front.post(Math.ceil(bytes.length / 4096) + (large ? 1 : 0));
          expect(sink.receiver?.receive(frame)).toBe(true);
          await Promise.resolve();
          const [got] = front.received();
          const checksum = partial ? NETRXF.csum_blank | NETRXF.data_validated : how === 1 ? NETRXF.data_validated : 0;
          expect(got?.flags).toBe(checksum | (large ? NETRXF.extra_info : 0));
          expect([got?.gsoType, got?.gsoSize, got?.status]).toEqual(large ? [gsoType, 1448, 0] : [0, 0, 0]);
          expect(Buffer.compare(got?.bytes as Uint8Array, bytes)).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('wait until it offers enough pages, with one event for what comes together', async () => {
    const { front, sink, guest } = await setup({ split: true });
    const { bytes, transport } = testFrame({ version: 4, protocol: 'tcp', payload: 9000 });
    const frame = partialFrame(bytes, transport, 'tcp', { gsoType: GSO.tcpv4, gsoSize: 1448 });
    const waiting = [frame, frame];
    sink.onResume = () => {
      while (waiting.length > 0 && sink.receiver?.receive(waiting[0] as Frame)) waiting.shift();
    };
    sink.resume();
    expect(waiting.length).toBe(2);
    for (let i = 0; i < 3; i++) front.post(1);
    expect(waiting.length).toBe(2);
    front.post(1);
    expect(waiting.length).toBe(1);
    await settle();
    expect(front.received().map((got) => got.bytes.length)).toEqual([bytes.length]);
    front.post(10);
    await settle();
    expect(waiting.length).toBe(0);
    expect(front.received().length).toBe(1);
    expect(guest.events.some(({ kind }) => kind !== 'state')).toBe(false);
  });

  it('are looked for by the backend when the frontend does not tell', async () => {
    const { front, sink } = await setup({ keys: { 'feature-rx-notify': undefined } });
    const frame = plainFrame(testFrame({ version: 4, protocol: 'udp', payload: 1 }).bytes);
    expect(sink.receiver?.receive(frame)).toBe(false);
    const page = front.newPage();
    front.putRx(1, page.ref);
    front.queue().rx.push();
    await vi.waitFor(() => expect(sink.resumed).toBe(1));
    await front.disconnect();
  });

  it('are lost after ten seconds, so that the network goes on', async () => {
    const { sink, front, backend } = await setup();
    vi.useFakeTimers();
    const frame = plainFrame(testFrame({ version: 4, protocol: 'udp', payload: 1 }).bytes);
    expect(sink.receiver?.receive(frame)).toBe(false);
    vi.advanceTimersByTime(10_000);
    expect(sink.resumed).toBe(1);
    expect(sink.receiver?.receive(frame)).toBe(true);
    expect(backend.counters.rxDropped).toBe(1);
    vi.useRealTimers();
    front.post(2);
    expect(sink.receiver?.receive(frame)).toBe(true);
    expect(backend.counters.rxFrames).toBe(1);
  });

  it('have an error for a page that is not granted, and the next one is whole', async () => {
    const { front, sink } = await setup();
    const frame = plainFrame(testFrame({ version: 4, protocol: 'udp', payload: 1 }).bytes);
    const page = { gfn: 0, ref: 1000 };
    front.queue().posted.push({ id: 9, page: front.newPage() });
    front.putRx(9, page.ref);
    front.post(1);
    expect([sink.receiver?.receive(frame), sink.receiver?.receive(frame)]).toEqual([true, true]);
    await settle();
    expect(front.received().map(({ status, bytes }) => [status, bytes.length])).toEqual([
      [-1, 0],
      [0, frame.bytes.length],
    ]);
  });

  it.each([
    ['feature-sg', [false, false, true, true, 1514]],
    ['feature-gso-tcpv4', [false, true, true, true, 65_549]],
    ['feature-gso-tcpv6', [true, false, true, true, 65_549]],
    ['feature-ipv6-csum-offload', [true, false, true, false, 65_549]],
  ])('are offered without what needs %s when it is missing', async (key, expected) => {
    const { sink } = await setup({ keys: { [key]: undefined } });
    const offloads = sink.receiver?.offloads;
    expect([
      offloads?.gsoIpv4,
      offloads?.gsoIpv6,
      offloads?.checksumIpv4,
      offloads?.checksumIpv6,
      offloads?.maxFrameBytes,
    ]).toEqual(expected);
  });

  it('are completed when the frontend does not know partial checksums', async () => {
    const { sink, front } = await setup({ keys: { 'feature-no-csum-offload': 1 } });
    expect(sink.receiver?.offloads.checksumIpv4).toBe(false);
    const { bytes, transport } = testFrame({ version: 4, protocol: 'udp', payload: 100 });
    front.send({ bytes, flags: NETTXF.csum_blank });
    front.post(1);
    sink.receiver?.receive(partialFrame(sink.sent[0]?.bytes as Uint8Array, transport, 'udp'));
    await settle();
    const [got] = front.received();
    expect([got?.flags, holds(got?.bytes as Uint8Array)]).toEqual([NETRXF.data_validated, true]);
  });
});

it('takes frames that a network gives it while it is plugged in', async () => {
  class Eager extends TestSink {
    override attach(receiver: TestSink['receiver']): void {
      super.attach(receiver);
      if (receiver !== undefined) expect(receiver.receive(plainFrame(new Uint8Array(60).fill(2)))).toBe(false);
    }
  }
  const { front, sink } = await setup({}, {}, new Eager());
  front.post(1);
  expect(sink.resumed).toBe(1);
});
