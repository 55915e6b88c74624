import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALL_OFFLOADS,
  type Frame,
  type FrameOffloads,
  type FrameReceiver,
  GSO,
  NO_OFFLOADS,
  plainFrame,
} from '../io/frame-sink.ts';
import { put16, u16, u32 } from './big-endian.ts';
import { CapturingSink } from './capturing-sink.ts';
import { fold, pseudoSum } from './checksum.ts';
import { GUEST, ip, ipFrame, packetOf } from './fixtures/guest.ts';
import { FrameStreamReader, packFrame } from './frame-stream.ts';
import { IP_PROTOCOL } from './ip-packet.ts';
import { completeChecksum, prepareFrame } from './prepare-frame.ts';
import { Switch } from './switch.ts';
import { parseTcp, writeTcp } from './tcp/segment.ts';
import { transportChecksumHolds } from './transport-checksum.ts';

const mac = (n: number) => Uint8Array.of(2, 0, 0, 0, n >> 8, n);
const frame = (to: Uint8Array, from: Uint8Array, ...rest: number[]) =>
  plainFrame(Uint8Array.of(...to, ...from, 0x88, 0xb5, ...rest));
const ALL = new Uint8Array(6).fill(255);

class Card implements FrameReceiver {
  offloads: FrameOffloads = NO_OFFLOADS;
  full = false;
  readonly got: Frame[] = [];
  receive(received: Frame): boolean {
    if (!this.full) this.got.push({ ...received, bytes: received.bytes.slice() });
    return !this.full;
  }
  writable(): void {}
  linkChanged(): void {}
}

function cards(n: number) {
  const hub = new Switch();
  const list = Array.from({ length: n }, () => new Card());
  const ports = list.map((card) => {
    const port = hub.port();
    port.attach(card);
    return port;
  });
  return { hub, list, ports, counts: () => list.map((card) => card.got.length) };
}

/** A TCP segment of 5000 bytes as one large frame. */
function largeFrame(): Frame {
  const payload = Uint8Array.from({ length: 5000 }, (_, i) => i);
  const segment = new Uint8Array(20 + payload.length);
  writeTcp(segment, 0, { sourcePort: 1, destinationPort: 2, seq: 0xffff_ff00, ack: 9, flags: 0x19, window: 100 });
  segment.set(payload, 20);
  const bytes = ipFrame(GUEST, ip('10.0.2.16'), IP_PROTOCOL.tcp, segment);
  put16(bytes, 34 + 16, fold(pseudoSum(bytes, 26, 4, IP_PROTOCOL.tcp, segment.length)));
  return { bytes, checksumStart: 34, checksumOffset: 16, checksumValid: true, gsoType: GSO.tcpv4, gsoSize: 1448 };
}

describe('a switch', () => {
  it('floods until it knows where an address is, never back, and forgets with the port', async () => {
    const { ports, counts } = cards(3);
    ports[0]!.send(frame(mac(2), mac(1)));
    expect(counts()).toEqual([0, 1, 1]);
    ports[1]!.send(frame(mac(1), mac(2)));
    expect(counts()).toEqual([1, 1, 1]);
    ports[0]!.send(frame(mac(2), mac(1)));
    expect(counts()).toEqual([1, 2, 1]);
    ports[2]!.send(frame(mac(9), mac(2))); // the address moved
    ports[0]!.send(frame(mac(2), mac(1)));
    expect(counts()).toEqual([2, 3, 2]);
    await ports[2]!.close();
    ports[0]!.send(frame(mac(2), mac(1)));
    expect(counts()).toEqual([2, 4, 2]);
    ports[0]!.send(frame(mac(1), mac(1)));
    expect(counts()).toEqual([2, 4, 2]);
  });

  it('sends multicast only where it is wanted, broadcast everywhere', () => {
    const { list, ports, counts } = cards(3);
    const group = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
    ports[1]!.setFilter({ promiscuous: false, multicast: [] });
    ports[2]!.setFilter({ promiscuous: false, multicast: [group] });
    ports[0]!.send(frame(group, mac(1)));
    ports[0]!.send(frame(ALL, mac(1)));
    expect(counts()).toEqual([0, 1, 2]);
    expect(list[1]!.got[0]!.bytes[0]).toBe(255);
  });

  it('keeps frames for a full port in order, up to a bound, and does not hold up others', () => {
    const { hub, list, ports, counts } = cards(3);
    list[1]!.full = true;
    for (let i = 0; i < 5000; i++) ports[0]!.send(frame(ALL, mac(1), i >> 8, i, ...new Uint8Array(1400)));
    expect(counts()).toEqual([0, 0, 5000]);
    expect(hub.inspect()[1]!.queuedBytes).toBeLessThanOrEqual(4 * 1024 * 1024);
    list[1]!.full = false;
    ports[1]!.resume();
    expect(hub.inspect()[1]).toMatchObject({ queuedBytes: 0, dropped: 5000 - list[1]!.got.length });
    expect(list[1]!.got.every((got, i) => u16(got.bytes, 14) === i)).toBe(true);
  });

  it('lets a guest that invents addresses displace only its own', () => {
    const { hub, ports, counts } = cards(3);
    ports[1]!.send(frame(mac(0x7777), mac(2)));
    for (let i = 100; i < 2000; i++) ports[0]!.send(frame(mac(2), mac(i)));
    expect(hub.inspect().map((port) => port.addresses)).toEqual([256, 1, 0]);
    const before = counts()[2]!;
    ports[0]!.send(frame(mac(2), mac(5)));
    expect(counts()[2]).toBe(before);
  });

  it('cuts a large frame only for a card that does not take it', () => {
    const { list, ports } = cards(3);
    list[2]!.offloads = ALL_OFFLOADS;
    const large = largeFrame();
    large.bytes.set(ALL);
    ports[0]!.send(large);
    expect(list[2]!.got.map((got) => got.bytes.length)).toEqual([large.bytes.length]);
    expect(list[1]!.got.map((got) => got.bytes.length)).toEqual([1502, 1502, 1502, 54 + 5000 - 3 * 1448]);
  });
});

describe('offloads in software', () => {
  it('make segments with right numbers, flags and checksums', () => {
    const pieces: Frame[] = [];
    prepareFrame(largeFrame(), NO_OFFLOADS, (piece) => pieces.push(piece));
    const payloads = pieces.map((piece, i) => {
      const packet = packetOf(piece.bytes)!;
      expect(transportChecksumHolds(packet)).toBe(true);
      const segment = parseTcp(packet.bytes, packet.payloadAt, packet.end)!;
      expect(segment.seq).toBe((0xffff_ff00 + i * 1448) >>> 0);
      expect(segment.flags).toBe(i < 3 ? 0x10 : 0x19);
      return segment.payload;
    });
    expect(Buffer.concat(payloads)).toEqual(Buffer.from(Uint8Array.from({ length: 5000 }, (_, i) => i)));
  });
  it('complete a checksum', () => {
    const partial = { ...largeFrame(), gsoType: GSO.none, gsoSize: 0 };
    expect(transportChecksumHolds(packetOf(completeChecksum(partial).bytes)!)).toBe(true);
    expect(transportChecksumHolds(packetOf(partial.bytes)!)).toBe(false);
  });
  it('make no more pieces of a hostile frame than a thousand, and throw at none', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(300),
        fc.nat(100),
        fc.nat(70_000),
        (bytes, checksumStart, checksumOffset, gsoSize) => {
          let pieces = 0;
          const hostile = { bytes, checksumStart, checksumOffset, checksumValid: false, gsoType: GSO.tcpv4, gsoSize };
          prepareFrame(hostile, NO_OFFLOADS, () => pieces++);
          expect(pieces).toBeLessThan(5);
        },
      ),
    );
    let pieces = 0;
    prepareFrame({ ...largeFrame(), gsoSize: 1 }, NO_OFFLOADS, () => pieces++);
    expect(pieces).toBe(0);
  });
});

describe('a frame stream', () => {
  it('gives back the frames however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 })),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (frames, cuts) => {
          const stream = Buffer.concat(frames.map(packFrame));
          const reader = new FrameStreamReader();
          const got: Uint8Array[] = [];
          for (let at = 0, i = 0; at < stream.length; i++) {
            const end = at + cuts[i % cuts.length]!;
            expect(reader.push(stream.subarray(at, end), (bytes) => got.push(bytes.slice()))).toBe(true);
            at = end;
          }
          expect(got.map((one) => [...one])).toEqual(frames.map((one) => [...one]));
        },
      ),
    );
  });
  it('is broken by a length that no frame has', () => {
    expect(new FrameStreamReader().push(Uint8Array.of(0, 1, 0x00, 0x12), () => {})).toBe(false);
  });
});

describe('a capture', () => {
  it('has the frames taken in both directions, with nanoseconds (pcap-savefile(5))', () => {
    const hub = new Switch();
    const written: Uint8Array[] = [];
    const sink = new CapturingSink(
      hub.port(),
      (bytes) => written.push(bytes),
      () => 1_700_000_000_123.5,
    );
    const [card, other] = [new Card(), new Card()];
    const far = hub.port();
    far.attach(other);
    sink.attach(card);
    sink.send(frame(ALL, mac(1), 1));
    far.send(frame(ALL, mac(2), 2));
    card.full = true;
    far.send(frame(ALL, mac(2), 3));
    const file = Buffer.concat(written);
    expect(file.subarray(0, 24).toString('hex')).toBe('4d3cb2a10200040000000000000000000000040001000000');
    expect(file.length).toBe(24 + 2 * (16 + 15));
    expect(file.readUInt32LE(24)).toBe(1_700_000_000);
    expect(file.readUInt32LE(28)).toBe(123_500_000);
    expect([file.readUInt32LE(32), file.readUInt32LE(36)]).toEqual([15, 15]);
    expect([file[24 + 16 + 14], file[24 + 31 + 16 + 14]]).toEqual([1, 2]);
    expect(u32(file, 40)).toBe(0xffff_ffff);
  });
});
