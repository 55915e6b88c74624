import { describe, expect, it } from 'vitest';
import { ALL_OFFLOADS, GSO } from '../../io/frame-sink.ts';
import { Guest, ip } from '../fixtures/guest.ts';
import { GuestTcp } from '../fixtures/guest-tcp.ts';
import { type VirtualNetwork, virtualNetwork } from '../fixtures/virtual-network.ts';
import { UNREACHABLE } from '../icmp.ts';
import { IP_PROTOCOL } from '../ip-packet.ts';
import { TCP_FLAG } from '../tcp/segment.ts';

const OUTSIDE = ip('198.51.100.7');
const pattern = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * seed) & 0xff);
const join = (parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);

function dial(net: VirtualNetwork, remote = OUTSIDE, port = 80): GuestTcp {
  const tcp = new GuestTcp(net.guest, net.deadlines, 40_000, remote, port);
  tcp.connect();
  return tcp;
}

describe('a connection of the guest', () => {
  it('is answered only when the host is connected, with MSS and window scale (RFC 9293, 3.10.7.2)', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(0.5);
    expect(tcp.log).toEqual([]);
    net.run(5);
    expect(net.sockets.tcp[0]?.to).toEqual({ address: '198.51.100.7', port: 80 });
    expect(tcp.state).toBe('open');
    expect(tcp.log[0]).toMatchObject({ flags: TCP_FLAG.syn | TCP_FLAG.ack, ack: 0xffff_f001, mss: 1460, windowScale: 5 });
    expect(net.network.inspect().tcp[0]).toMatchObject({
      state: 'established',
      guest: '10.0.2.15 40000',
      remote: '198.51.100.7 80',
    });
  });

  it('carries bytes both ways across the wrap of sequence numbers, and ends both ways', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    const [up, down] = [pattern(300_000), pattern(250_000, 7)];
    tcp.write(up, true);
    net.until(() => tcp.finAcked, 2000);
    const host = net.sockets.tcp[0]!;
    expect(join(host.received).equals(up)).toBe(true);
    expect(host.ended).toBe(true);
    expect(net.network.inspect().tcp[0]?.state).toBe('close-wait');
    for (let at = 0; at < down.length; at += 50_000) host.feed(down.subarray(at, at + 50_000));
    host.finish();
    expect(net.until(() => tcp.gotFin, 2000)).toBe(true);
    expect(Buffer.from(tcp.bytes).equals(down)).toBe(true);
    net.run(10);
    expect(net.network.inspect().tcp).toEqual([]); // LAST-ACK needs no TIME-WAIT
    expect(host.wasReset).toBe(false);
  });

  it('waits in TIME-WAIT when the host ended first, and gives way to a new SYN', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(5);
    net.sockets.tcp[0]!.finish();
    net.until(() => tcp.gotFin, 100);
    expect(net.network.inspect().tcp[0]?.state).toBe('fin-wait-2');
    tcp.write(new Uint8Array(0), true);
    net.run(5);
    expect(net.network.inspect().tcp[0]?.state).toBe('time-wait');
    const again = new GuestTcp(net.guest, net.deadlines, 40_000, OUTSIDE, 80);
    again.iss = 0x100;
    again.connect();
    net.run(5);
    expect(again.state).toBe('open');
    net.run(3000);
    expect(net.network.inspect().tcp.map((flow) => flow.state)).toEqual(['established']);
  });

  it('is refused with a reset when the host refuses', async () => {
    const net = await virtualNetwork();
    net.sockets.outcome = 'refused';
    const tcp = dial(net);
    net.run(5);
    expect(tcp.state).toBe('refused');
    expect(tcp.log[0]).toMatchObject({ flags: TCP_FLAG.rst | TCP_FLAG.ack, ack: 0xffff_f001, seq: 0 });
    expect(net.network.inspect().tcp).toEqual([]);
  });

  it('is told by ICMP when the host finds no way, quoting the SYN', async () => {
    const net = await virtualNetwork();
    net.sockets.outcome = 'unreachable';
    dial(net);
    net.run(5);
    const icmp = net.guest.packets().find((packet) => packet.protocol === IP_PROTOCOL.icmp)!;
    expect([...icmp.bytes.subarray(icmp.payloadAt, icmp.payloadAt + 2)]).toEqual([3, UNREACHABLE.host.v4]);
    expect([...icmp.bytes.subarray(icmp.payloadAt + 8 + 16, icmp.payloadAt + 8 + 20)]).toEqual([...OUTSIDE]);
    expect(net.network.inspect().tcp).toEqual([]);
  });

  it('passes a reset on, in either direction', async () => {
    const net = await virtualNetwork();
    const first = dial(net);
    net.run(5);
    net.sockets.tcp[0]!.fail('reset');
    net.run(5);
    expect(first.state).toBe('reset');
    const second = new GuestTcp(net.guest, net.deadlines, 40_001, OUTSIDE, 80);
    second.connect();
    net.run(5);
    second.reset();
    net.run(5);
    expect(net.sockets.tcp[1]!.wasReset).toBe(true);
    expect(net.network.inspect().tcp).toEqual([]);
  });

  it('answers a reset or SYN in the window that is not exactly next with an acknowledgement (RFC 5961, 3.2 and 4.2)', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(5);
    tcp.log.length = 0;
    tcp.raw(TCP_FLAG.rst | TCP_FLAG.ack, 10);
    tcp.raw(TCP_FLAG.syn, 0);
    net.run(5);
    expect(tcp.log.map((segment) => segment.flags)).toEqual([TCP_FLAG.ack, TCP_FLAG.ack]);
    expect(net.network.inspect().tcp[0]?.state).toBe('established');
  });

  it('answers a segment of no connection with a reset (RFC 9293, 3.10.7.1)', async () => {
    const net = await virtualNetwork();
    const tcp = new GuestTcp(net.guest, net.deadlines, 40_000, OUTSIDE, 80);
    tcp.raw(TCP_FLAG.ack, 0);
    net.run(1);
    expect(tcp.log[0]).toMatchObject({ flags: TCP_FLAG.rst, seq: 0 });
    tcp.raw(TCP_FLAG.rst, 0);
    net.run(1);
    expect(tcp.log.length).toBe(1);
  });

  it('is refused when there are too many, but not when one of them only waits', async () => {
    const net = await virtualNetwork({ maxFlows: 2 });
    const guests = [1, 2, 3].map((n) => new GuestTcp(net.guest, net.deadlines, n, OUTSIDE, 80));
    for (const tcp of guests) tcp.connect();
    net.run(5);
    expect(guests.map((tcp) => tcp.state)).toEqual(['open', 'open', 'refused']);
    net.sockets.tcp[0]!.finish();
    net.run(5);
    guests[0]!.write(new Uint8Array(0), true);
    net.run(5);
    const fourth = new GuestTcp(net.guest, net.deadlines, 4, OUTSIDE, 80);
    fourth.connect();
    net.run(5);
    expect(fourth.state).toBe('open');
    expect(net.network.inspect().tcp.length).toBe(2);
  });

  it('over IPv6 is the same', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net, ip('2001:db8::7'));
    tcp.write(pattern(20_000), true);
    net.run(20);
    // The guest's address becomes known by asking for it; our question is answered by hand.
    const { neighbourAdvertisement } = await import('../ndp.ts');
    const { GUEST6, GUEST_MAC, ipFrame } = await import('../fixtures/guest.ts');
    net.guest.send(ipFrame(GUEST6, ip('fec0::2'), IP_PROTOCOL.icmpv6, neighbourAdvertisement(GUEST6, GUEST_MAC, true), 255));
    net.until(() => tcp.finAcked, 5000);
    expect(net.sockets.tcp[0]!.to.address).toBe('2001:db8::7');
    expect(join(net.sockets.tcp[0]!.received).equals(pattern(20_000))).toBe(true);
    expect(tcp.log[0]!.mss).toBe(1440);
  });
});

describe('flow control', () => {
  it('closes the window towards a guest when the host does not take, and opens it again', async () => {
    const net = await virtualNetwork({ bufferBytes: 100_000 });
    const tcp = dial(net);
    net.run(5);
    const host = net.sockets.tcp[0]!;
    host.bytesPerMs = 0;
    tcp.write(pattern(500_000), true);
    net.run(3000);
    expect(host.mostPending).toBeLessThanOrEqual(100_000);
    expect(host.mostPending).toBeGreaterThan(90_000);
    expect(tcp.log.at(-1)!.window).toBe(0);
    host.drainAt(1000);
    expect(net.until(() => tcp.finAcked, 20_000)).toBe(true);
    expect(host.mostPending).toBeLessThanOrEqual(100_000);
    expect(join(host.received).equals(pattern(500_000))).toBe(true);
  });

  it('does not read from the host what the guest does not take, and probes its closed window (RFC 9293, 3.8.6.1)', async () => {
    const net = await virtualNetwork({ bufferBytes: 100_000 });
    const tcp = dial(net);
    net.run(5);
    const host = net.sockets.tcp[0]!;
    tcp.window = 0;
    tcp.ack();
    for (let i = 0; i < 20; i++) host.feed(pattern(50_000, i));
    net.run(10);
    tcp.log.length = 0;
    net.run(120_000);
    expect(net.network.inspect().tcp[0]!.toGuest).toBeLessThanOrEqual(150_000);
    expect(host.paused).toBe(true);
    expect(tcp.log.length).toBeGreaterThan(3);
    expect(tcp.log.every((segment) => segment.payload.length <= 1)).toBe(true);
    tcp.window = 60_000;
    expect(net.until(() => tcp.receivedBytes === 1_000_000, 120_000)).toBe(true);
    expect(Buffer.from(tcp.bytes).equals(join(Array.from({ length: 20 }, (_, i) => pattern(50_000, i))))).toBe(true);
  });

  it('keeps what a full link refused, and sends it when there is room', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(5);
    net.guest.room = 0;
    net.sockets.tcp[0]!.feed(pattern(40_000));
    net.run(60_000); // no time-out counts while the card is full
    expect(tcp.receivedBytes).toBe(0);
    net.guest.makeRoom(5);
    net.run(5);
    expect(tcp.receivedBytes).toBeGreaterThan(0);
    net.guest.makeRoom(Number.POSITIVE_INFINITY);
    net.until(() => tcp.receivedBytes === 40_000, 100);
    expect(Buffer.from(tcp.bytes).equals(pattern(40_000))).toBe(true);
  });

  it('gives up on a guest that does not answer, and resets the host', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(5);
    net.guest.onPacket = undefined;
    net.sockets.tcp[0]!.feed(pattern(1000));
    net.run(900_000);
    expect(net.network.inspect().tcp).toEqual([]);
    expect(net.sockets.tcp[0]!.wasReset).toBe(true);
    expect(tcp.receivedBytes).toBe(0);
  });

  it('finds out that an idle guest is gone (RFC 9293, 3.8.4)', async () => {
    const net = await virtualNetwork();
    dial(net);
    net.run(5);
    net.guest.onPacket = undefined;
    net.run(7200_000 + 60_000);
    expect(net.network.inspect().tcp.length).toBe(1);
    net.run(10 * 75_000);
    expect(net.network.inspect().tcp).toEqual([]);
  });
});

describe('large segments', () => {
  it('go to a card that takes them, and come from it', async () => {
    const net = await virtualNetwork({}, { offloads: ALL_OFFLOADS });
    const tcp = new GuestTcp(net.guest, net.deadlines, 40_000, OUTSIDE, 80, ALL_OFFLOADS);
    tcp.window = 900_000;
    tcp.connect();
    tcp.write(pattern(400_000), true);
    net.until(() => tcp.finAcked, 1000);
    expect(join(net.sockets.tcp[0]!.received).equals(pattern(400_000))).toBe(true);
    net.guest.frames.length = 0;
    net.sockets.tcp[0]!.feed(pattern(200_000, 3));
    net.until(() => tcp.receivedBytes === 200_000, 1000);
    expect(Buffer.from(tcp.bytes).equals(pattern(200_000, 3))).toBe(true);
    const large = net.guest.frames.filter((frame) => frame.gsoType === GSO.tcpv4);
    expect(large[0]).toMatchObject({ gsoSize: 1400, checksumStart: 34, checksumOffset: 16 });
    expect(large[0]!.bytes.length).toBe(14 + 20 + 20 + Math.floor((65_535 - 40) / 1400) * 1400);
  });

  it('are not made for a card that takes none', async () => {
    const net = await virtualNetwork();
    const tcp = dial(net);
    net.run(5);
    net.sockets.tcp[0]!.feed(pattern(100_000));
    net.until(() => tcp.receivedBytes === 100_000, 1000);
    expect(Math.max(...net.guest.frames.map((frame) => frame.bytes.length))).toBe(14 + 40 + 1400);
  });
});

describe('a forwarded port', () => {
  it('opens a connection to the guest, from the gateway when the client is the host itself', async () => {
    const net = await virtualNetwork({ forwards: ['tcp:127.0.0.1:2222-:22'] });
    expect(net.sockets.listeners[0]!.at).toEqual({ address: '127.0.0.1', port: 2222 });
    const tcp = new GuestTcp(net.guest, net.deadlines, 22, ip('10.0.2.2'), 50_000);
    const client = net.sockets.connectTo(0, { address: '127.0.0.1', port: 50_000 })!;
    client.feed(pattern(5000));
    net.run(5);
    expect(tcp.state).toBe('open');
    expect(Buffer.from(tcp.bytes).equals(pattern(5000))).toBe(true);
    tcp.write(pattern(3000, 9), true);
    net.run(50);
    expect(join(client.received).equals(pattern(3000, 9))).toBe(true);
    expect(client.ended).toBe(true);
  });

  it('asks for the guest by ARP first, and gives up when nobody is there', async () => {
    const net = await virtualNetwork({ forwards: ['tcp:127.0.0.1:2222-10.0.2.20:22'] }, { knowsGuest: false });
    net.guest.answersArp = false;
    const client = net.sockets.connectTo(0, { address: '192.0.2.9', port: 50_000 })!;
    net.run(200_000);
    expect(net.guest.frames.length).toBeGreaterThan(2);
    expect(client.wasReset).toBe(true);
    expect(net.network.inspect().tcp).toEqual([]);
  });

  it('shows the guest the address of a client elsewhere', async () => {
    const net = await virtualNetwork({ forwards: ['tcp::2222-:22'] });
    const tcp = new GuestTcp(net.guest, net.deadlines, 22, ip('192.0.2.9'), 50_000);
    net.sockets.connectTo(0, { address: '192.0.2.9', port: 50_000 });
    net.run(5);
    expect(tcp.state).toBe('open');
  });
});

it('closing ends every connection on both sides', async () => {
  const net = await virtualNetwork();
  const tcp = dial(net);
  net.run(5);
  await net.network.close();
  net.run(5);
  expect(tcp.state).toBe('reset');
  expect(net.sockets.tcp[0]!.wasReset).toBe(true);
  expect(new Guest(net.network, net.deadlines).frames).toEqual([]);
});
