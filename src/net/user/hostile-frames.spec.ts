// Whatever a guest sends: no exception, and nothing that grows without a bound.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARP, arpFrame } from '../arp.ts';
import { put16 } from '../big-endian.ts';
import { putChecksum } from '../checksum.ts';
import { GUEST, GUEST_MAC, GUEST6, ip, ipFrame, ROUTER_MAC, udpBytes } from '../fixtures/guest.ts';
import { type VirtualNetwork, virtualNetwork } from '../fixtures/virtual-network.ts';
import { ICMPV6 } from '../icmp.ts';
import { IP_PROTOCOL } from '../ip-packet.ts';
import { IpReassembly } from '../ip-reassembly.ts';
import { parseIpv4Packet } from '../ipv4.ts';
import { BROADCAST_MAC } from '../mac-address.ts';
import { neighbourSolicitation } from '../ndp.ts';
import { writeTcp } from '../tcp/segment.ts';

const OUTSIDE = ip('198.51.100.7');
const MAX_FLOWS = 16;

function tcpFrame(flags: number, seq: number, port: number, payload = 0, version: 4 | 6 = 4): Uint8Array {
  const bytes = new Uint8Array(28 + payload);
  writeTcp(bytes, 0, {
    sourcePort: port,
    destinationPort: 80,
    seq,
    ack: seq ^ 0x55,
    flags,
    window: 1000,
    mss: 536,
    windowScale: 2,
  });
  return version === 4
    ? ipFrame(GUEST, OUTSIDE, IP_PROTOCOL.tcp, bytes)
    : ipFrame(GUEST6, ip('2001:db8::1'), IP_PROTOCOL.tcp, bytes);
}

const TEMPLATES = [
  tcpFrame(2, 100, 1),
  tcpFrame(0x10, 101, 1, 50),
  tcpFrame(0x11, 101, 1, 50),
  tcpFrame(2, 100, 1, 0, 6),
  ipFrame(GUEST, OUTSIDE, IP_PROTOCOL.udp, udpBytes(5, 6, new Uint8Array(30))),
  ipFrame(GUEST, ip('10.0.2.3'), IP_PROTOCOL.udp, udpBytes(5, 53, new Uint8Array(30))),
  ipFrame(ip('0.0.0.0'), ip('255.255.255.255'), IP_PROTOCOL.udp, udpBytes(68, 67, new Uint8Array(300))),
  ipFrame(GUEST, OUTSIDE, IP_PROTOCOL.icmp, new Uint8Array(40)),
  ipFrame(GUEST6, ip('ff02::2'), IP_PROTOCOL.icmpv6, Uint8Array.of(ICMPV6.routerSolicitation, 0, 0, 0, 0, 0, 0, 0), 255),
  ipFrame(GUEST6, ip('ff02::1'), IP_PROTOCOL.icmpv6, neighbourSolicitation(ip('fec0::2'), GUEST_MAC), 255),
  ipFrame(GUEST6, ip('fec0::2'), 0, new Uint8Array(64)),
  arpFrame(BROADCAST_MAC, {
    operation: ARP.request,
    senderMac: GUEST_MAC,
    senderIp: GUEST,
    targetMac: ROUTER_MAC,
    targetIp: ip('10.0.2.2'),
  }),
];

/** The IPv4 header's checksum made right again, so that a mutation gets further than that. */
function repaired(frame: Uint8Array): Uint8Array {
  if (frame.length >= 34 && frame[12] === 8 && frame[13] === 0)
    putChecksum(frame, 24, 14, Math.min(frame.length, 14 + (frame[14]! & 15) * 4));
  return frame;
}

const mutated = fc
  .record({
    template: fc.nat(TEMPLATES.length - 1),
    edits: fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }),
    length: fc.option(fc.nat(400)),
    repair: fc.boolean(),
  })
  .map(({ template, edits, length, repair }) => {
    const frame = TEMPLATES[template]!.slice(0, length ?? undefined);
    for (const [at, value] of edits) if (at < frame.length) frame[at] = value;
    return repair ? repaired(frame) : frame;
  });

function expectBounded(net: VirtualNetwork): void {
  const report = net.network.inspect();
  expect(report.tcp.length).toBeLessThanOrEqual(MAX_FLOWS);
  expect(report.udp.length).toBeLessThanOrEqual(MAX_FLOWS);
  expect(report.neighbours).toBeLessThanOrEqual(256);
  expect(report.queuedFrames).toBeLessThanOrEqual(256);
  expect(report.fragmented).toBeLessThanOrEqual(17);
}

describe('hostile frames', () => {
  it('random and mutated, harm nothing, with checksums vouched for and with the card full', async () => {
    const frames = fc.array(
      fc.oneof({ weight: 5, arbitrary: mutated }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(frames, fc.boolean(), fc.boolean(), async (list, checksumValid, full) => {
        const net = await virtualNetwork({ maxFlows: MAX_FLOWS, allowHostLoopback: true });
        if (full) net.guest.room = 0;
        for (const [i, frame] of list.entries()) {
          net.guest.send(frame, { checksumValid });
          if (i % 8 === 0) net.run(2);
        }
        net.run(400);
        net.guest.makeRoom(Number.POSITIVE_INFINITY);
        net.run(400);
        expectBounded(net);
        await net.network.close();
      }),
      { numRuns: 400 },
    );
  });

  it('in floods from invented addresses and ports, leave bounded state', async () => {
    const net = await virtualNetwork({ maxFlows: MAX_FLOWS });
    net.sockets.outcome = 'never';
    net.guest.room = 0;
    for (let i = 0; i < 3000; i++) {
      const source = Uint8Array.of(10, 0, 2, 16 + (i % 200));
      const port = 1 + (i % 60_000);
      net.guest.send(tcpFrame(2, i, port));
      net.guest.send(ipFrame(source, OUTSIDE, IP_PROTOCOL.udp, udpBytes(port, 6, new Uint8Array(3))));
      net.guest.send(ipFrame(source, ip('10.0.2.2'), IP_PROTOCOL.icmp, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)));
      const address = ip(`fec0::${(i + 1).toString(16)}`);
      net.guest.send(ipFrame(address, ip('fec0::2'), IP_PROTOCOL.icmpv6, neighbourSolicitation(ip('fec0::2'), GUEST_MAC), 255));
      const fragment = ipFrame(GUEST, OUTSIDE, IP_PROTOCOL.udp, new Uint8Array(64));
      put16(fragment, 18, i);
      put16(fragment, 20, 0x2000);
      net.guest.send(repaired(fragment));
    }
    expectBounded(net);
    expect(net.sockets.tcp.length).toBe(MAX_FLOWS);
    expect(net.sockets.udp.filter((socket) => !socket.closed).length).toBe(MAX_FLOWS);
  });
});

describe('fragments', () => {
  it('in any order and with duplicates are the packet; with an overlap they are nothing (RFC 5722)', () => {
    const payload = Uint8Array.from({ length: 2003 }, (_, i) => i * 3);
    const piece = (from: number, to: number) => {
      const frame = ipFrame(GUEST, OUTSIDE, 200, payload.subarray(from, to));
      put16(frame, 18, 77);
      put16(frame, 20, (from >> 3) | (to < payload.length ? 0x2000 : 0));
      return parseIpv4Packet(repaired(frame), 14)!;
    };
    const cuts = [0, 400, 808, 1600, payload.length];
    const pieces = cuts.slice(1).map((to, i) => piece(cuts[i]!, to));
    fc.assert(
      fc.property(fc.shuffledSubarray([...pieces, ...pieces], { minLength: 8, maxLength: 8 }), (order) => {
        const reassembly = new IpReassembly();
        const whole = order.flatMap((part) => reassembly.add(part, 0) ?? []);
        expect(whole.length).toBeGreaterThanOrEqual(1);
        expect(Buffer.from(whole[0]!.bytes.subarray(whole[0]!.payloadAt)).equals(payload)).toBe(true);
      }),
    );
    const reassembly = new IpReassembly();
    for (const part of [pieces[0]!, piece(392, 808), pieces[2]!, pieces[3]!]) expect(reassembly.add(part, 0)).toBeUndefined();
  });
});
