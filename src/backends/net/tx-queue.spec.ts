import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { NETIF_EXTRA, NETTXF } from '../../abi/xen/netif.ts';
import { type Frame, GSO, NO_OFFLOADS } from '../../io/frame-sink.ts';
import { completeChecksum } from '../../net/prepare-frame.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { testFrame } from '../fixtures/net-frames.ts';
import { NetFrontend } from '../fixtures/net-frontend.ts';
import { holds, reasonOf, setup } from '../fixtures/net-setup.ts';
import { TestSink } from '../fixtures/test-sink.ts';
import { attachVif } from './attach-vif.ts';

describe('frames from the guest', () => {
  const packet = fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    payload: fc.oneof(fc.nat(1500), fc.nat(60_000)),
  });

  it('arrive with their bytes and what was said of their checksum', async () => {
    const { front, sink } = await setup({ startAt: 0xffff_ff80 });
    const pieces = fc.array(fc.integer({ min: 1, max: 4096 }), { maxLength: 2 });
    const flags = fc.constantFrom(0, NETTXF.data_validated, NETTXF.csum_blank | NETTXF.data_validated);
    await fc.assert(
      fc.asyncProperty(packet, pieces, flags, fc.boolean(), async (kind, sizes, flag, large) => {
        const { bytes, transport } = testFrame(kind);
        const gso = large && kind.protocol === 'tcp' ? { type: kind.version === 4 ? 1 : 2, size: 1000 } : undefined;
        front.send({ bytes, flags: flag, pieces: sizes, ...(gso && { gso }) });
        const answers = front.answers();
        expect(answers.filter((status) => status !== 1).every((status) => status === 0)).toBe(true);
        expect(answers.filter((status) => status === 1).length).toBe(gso === undefined ? 0 : 1);
        const [got] = sink.sent.splice(0);
        expect([got?.gsoType, got?.gsoSize]).toEqual([gso?.type ?? 0, gso?.size ?? 0]);
        const partial = gso !== undefined || flag & NETTXF.csum_blank;
        expect(got?.checksumValid).toBe(Boolean(partial || flag));
        expect(got?.checksumStart).toBe(partial ? transport : 0);
        if (partial) {
          expect(holds(completeChecksum(got as Frame).bytes)).toBe(true);
          got?.bytes.fill(0, transport + got.checksumOffset, transport + got.checksumOffset + 2);
        }
        expect(Buffer.compare(got?.bytes as Uint8Array, bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('are cut and completed for a network that takes neither segments nor partial checksums', async () => {
    const { front, sink } = await setup();
    sink.offloads = NO_OFFLOADS;
    const { bytes, transport } = testFrame({ version: 4, protocol: 'tcp', payload: 30_000 });
    sink.room = 5;
    front.send({ bytes, flags: NETTXF.csum_blank, gso: { type: GSO.tcpv4, size: 1448 } });
    expect(sink.sent.length).toBe(5);
    sink.makeRoom(1000);
    expect(sink.sent.length).toBe(Math.ceil(30_000 / 1448));
    expect(sink.sent.every((frame) => holds(frame.bytes) && frame.bytes.length <= 1514)).toBe(true);
    const payload = sink.sent.flatMap((frame) => [...frame.bytes.subarray(transport + 20)]);
    expect(Buffer.compare(Uint8Array.from(payload), bytes.subarray(transport + 20))).toBe(0);
  });

  it('wait for the network without being lost or mixed up', async () => {
    const { front, sink, backend } = await setup({ queues: 2 });
    sink.room = 3;
    for (let i = 0; i < 10; i++) {
      front.send({ bytes: testFrame({ version: 4, protocol: 'udp', payload: i }).bytes }, 0);
      front.send({ bytes: testFrame({ version: 4, protocol: 'udp', payload: 100 + i }).bytes }, 1);
    }
    expect(sink.sent.length).toBe(3);
    for (let i = 0; i < 8; i++) sink.makeRoom(1);
    const ofSecond = sink.sent.filter(({ bytes }) => bytes.length >= 142).length;
    expect(Math.abs(ofSecond - 5)).toBeLessThan(3);
    for (let i = 0; i < 12; i++) sink.makeRoom(1);
    const lengths = sink.sent.map(({ bytes }) => bytes.length - 42);
    expect(lengths.filter((length) => length < 100)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(lengths.filter((length) => length >= 100)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
    expect([...front.answers(0), ...front.answers(1)]).toEqual(Array(20).fill(0));
    expect(backend.counters.txFrames).toBe(20);
  });

  it('are dropped while the link is down, and the state stays', async () => {
    const { front, sink, backend } = await setup();
    const { bytes } = testFrame({ version: 4, protocol: 'udp', payload: 10 });
    sink.room = 0;
    front.send({ bytes });
    sink.setLink(false);
    front.send({ bytes });
    expect(front.answers()).toEqual([0, 0]);
    sink.room = 9;
    sink.setLink(true);
    front.send({ bytes });
    expect([sink.sent.length, backend.counters.txDropped, front.backendState]).toEqual([1, 2, 4]);
  });

  it('are refused one by one when they make no sense', async () => {
    const { front, sink, guest } = await setup();
    const { ref } = front.newPage();
    const more = NETTXF.more_data;
    const bad: (() => void)[] = [
      () => front.putTx({ gref: ref, size: 13 }),
      () => front.putTx({ gref: ref, size: 100, offset: 4000 }),
      () => front.putTx({ gref: 999, size: 100 }),
      () => front.putTx({ gref: ref, size: 5000 }),
      () => front.putTx({ gref: ref, size: 100, flags: NETTXF.csum_blank }),
      () => {
        front.putTx({ gref: ref, size: 100, flags: more });
        front.putTx({ gref: ref, size: 101 });
      },
      () => {
        front.putTx({ gref: ref, size: 2000, flags: more });
        for (let i = 0; i < 18; i++) front.putTx({ gref: ref, size: 10, flags: i < 17 ? more : 0 });
      },
      () => {
        // The rest would be small again in 16 bits.
        front.putTx({ gref: ref, size: 100, flags: more });
        for (let i = 0; i < 17; i++) front.putTx({ gref: ref, size: 3852, flags: i < 16 ? more : 0 });
      },
      () => {
        front.putTx({ gref: ref, size: 100, flags: NETTXF.extra_info });
        front.putExtra(NETIF_EXTRA.MAX, []);
      },
      () => {
        front.putTx({ gref: ref, size: 100, flags: NETTXF.extra_info });
        front.putExtra(NETIF_EXTRA.GSO, [0, 0, GSO.tcpv4]);
      },
      () => {
        front.putTx({ gref: ref, size: 100, flags: NETTXF.extra_info });
        front.putExtra(NETIF_EXTRA.GSO, [1, 1, 3]);
      },
    ];
    for (const put of bad) {
      put();
      front.push();
      const answers = front.answers().filter((status) => status !== 1);
      expect(answers.length > 0 && answers.every((status) => status === -1)).toBe(true);
    }
    expect(sink.sent).toEqual([]);
    front.send({ bytes: testFrame({ version: 4, protocol: 'udp', payload: 1 }).bytes });
    expect([sink.sent.length, reasonOf(guest), front.backendState]).toEqual([1, undefined, 4]);
  });

  it('lose the padding behind a packet whose checksum is to be completed', async () => {
    const { front, sink } = await setup();
    const { bytes } = testFrame({ version: 4, protocol: 'udp', payload: 3 });
    const padded = new Uint8Array(60).fill(0x55);
    padded.set(bytes);
    front.send({ bytes: padded, flags: NETTXF.csum_blank });
    front.send({ bytes: padded });
    expect(sink.sent.map((frame) => frame.bytes.length)).toEqual([bytes.length, 60]);
    expect(holds(completeChecksum(sink.sent[0] as Frame).bytes)).toBe(true);
  });

  it('go on when the network calls back while it still says that it has no room', async () => {
    const { front, sink } = await setup();
    const send = sink.send.bind(sink);
    let refusals = 1;
    sink.send = (frame) => {
      if (refusals-- <= 0) return send(frame);
      sink.receiver?.writable();
      return false;
    };
    front.send({ bytes: testFrame({ version: 4, protocol: 'udp', payload: 3 }).bytes });
    expect(sink.sent.length).toBe(1);
  });

  it('that were there before the backend are answered with an event', async () => {
    const guest = new BackendGuest();
    const sink = new TestSink();
    attachVif(guest.bus, { sink });
    const front = new NetFrontend(guest);
    await settle();
    front.publish();
    front.put({ bytes: testFrame({ version: 4, protocol: 'udp', payload: 3 }).bytes });
    front.queue().tx.push();
    front.write('state', 4);
    await settle();
    expect([sink.sent.length, guest.takeEvent(front.queue().txPort)]).toEqual([1, true]);
  });
});

it('sends events only when the guest asked for them, and lets it go on in between when it sends too much', async () => {
  const { front, sink, guest } = await setup({ split: true });
  const { tx, txPort } = front.queue();
  const { bytes } = testFrame({ version: 4, protocol: 'udp', payload: 1 });
  for (let i = 0; i < 3; i++) front.put({ bytes });
  front.push();
  expect(guest.takeEvent(txPort)).toBe(true);
  expect(front.answers()).toEqual([0, 0, 0]);
  tx.index('rsp_event', tx.responses + 2);
  front.send({ bytes });
  expect(guest.takeEvent(txPort)).toBe(false);
  front.send({ bytes });
  expect(guest.takeEvent(txPort)).toBe(true);
  front.answers();
  // A guest on another processor, which puts one more whenever one was taken.
  sink.sent.length = 0;
  const page = front.newPage();
  guest.page(page.gfn).set(bytes);
  const one = () => {
    front.putTx({ gref: page.ref, size: bytes.length });
    tx.push();
  };
  const send = sink.send.bind(sink);
  let most = 2000;
  sink.send = (frame) => {
    if (--most > 0) one();
    return send(frame);
  };
  one();
  guest.send(txPort);
  expect(sink.sent.length).toBe(512);
  await vi.waitFor(() => expect(sink.sent.length).toBe(2000));
});
