// What a user mode network serves itself: ARP, DHCP, DNS, ICMP, router discovery; and UDP.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARP, arpFrame, parseArp } from '../arp.ts';
import { DHCP, DHCP_OPTION } from '../dhcp.ts';
import { GUEST, GUEST_MAC, GUEST6, ip, ipFrame, ROUTER_MAC, udpBytes } from '../fixtures/guest.ts';
import { virtualNetwork } from '../fixtures/virtual-network.ts';
import { ICMPV6 } from '../icmp.ts';
import { formatIp } from '../ip-address.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import { IpReassembly } from '../ip-reassembly.ts';
import { BROADCAST_MAC } from '../mac-address.ts';
import { neighbourSolicitation, parseNeighbour, solicitedNode } from '../ndp.ts';
import { transportChecksumHolds } from '../transport-checksum.ts';
import { parseUdp } from '../udp.ts';
import { destinationOf } from './destinations.ts';
import { parseForward } from './forward.ts';
import { planNetwork } from './network-plan.ts';

const OUTSIDE = ip('198.51.100.7');
const payloadOf = (packet: IpPacket) => packet.bytes.slice(packet.payloadAt, packet.end);
const icmpOf = (packet: IpPacket) => [...packet.bytes.subarray(packet.payloadAt, packet.payloadAt + 2)];
const settle = () => new Promise((resolve) => setImmediate(resolve));

function dhcp(
  type: number,
  options: readonly (readonly [number, readonly number[]])[] = [],
  xid = 0x1234,
  mac = GUEST_MAC,
): Uint8Array {
  const bytes = new Uint8Array(300);
  bytes.set([1, 1, 6, 0, 0, 0, xid >> 8, xid]);
  bytes.set(mac, 28);
  bytes.set([0x63, 0x82, 0x53, 0x63, DHCP_OPTION.messageType, 1, type], 236);
  let at = 243;
  for (const [code, value] of options) {
    bytes.set([code, value.length, ...value], at);
    at += 2 + value.length;
  }
  bytes[at] = 255;
  return bytes;
}
const discoverFrame = (message: Uint8Array) => {
  const frame = ipFrame(ip('0.0.0.0'), ip('255.255.255.255'), IP_PROTOCOL.udp, udpBytes(68, 67, message));
  frame.set(BROADCAST_MAC);
  return frame;
};
function dhcpOptions(message: Uint8Array): Map<number, number[]> {
  const options = new Map<number, number[]>();
  for (let at = 240; message[at] !== 255; at += 2 + message[at + 1]!)
    options.set(message[at]!, [...message.subarray(at + 2, at + 2 + message[at + 1]!)]);
  return options;
}

describe('ARP', () => {
  it('answers for the gateway and the DNS server and for nobody else', async () => {
    const net = await virtualNetwork();
    for (const target of ['10.0.2.2', '10.0.2.3', '10.0.2.15', '10.0.2.77']) {
      net.guest.send(
        arpFrame(BROADCAST_MAC, {
          operation: ARP.request,
          senderMac: GUEST_MAC,
          senderIp: GUEST,
          targetMac: new Uint8Array(6),
          targetIp: ip(target),
        }),
      );
    }
    net.run(1);
    const replies = net.guest.frames.map((frame) => parseArp(frame.bytes)!);
    expect(replies.map((reply) => formatIp(reply.senderIp))).toEqual(['10.0.2.2', '10.0.2.3']);
    expect(replies[0]).toMatchObject({ operation: ARP.reply, senderMac: ROUTER_MAC, targetMac: GUEST_MAC, targetIp: GUEST });
  });
});

describe('DHCP (RFC 2131)', () => {
  it('offers the first lease and acknowledges it, with router, DNS, host name and times', async () => {
    const net = await virtualNetwork({ hostname: 'web1', domain: 'example.org', mtu: 1400 }, { knowsGuest: false });
    net.guest.send(discoverFrame(dhcp(DHCP.discover)));
    net.run(1);
    const frame = net.guest.frames[0]!.bytes;
    expect([...frame.subarray(0, 6)]).toEqual([...GUEST_MAC]);
    const [offer] = net.guest.packets();
    expect(transportChecksumHolds(offer!)).toBe(true);
    expect([formatIp(offer!.source), formatIp(offer!.destination)]).toEqual(['10.0.2.2', '10.0.2.15']);
    const message = payloadOf(offer!).subarray(8);
    expect([...message.subarray(0, 8)]).toEqual([2, 1, 6, 0, 0, 0, 0x12, 0x34]);
    expect([...message.subarray(16, 20)]).toEqual([10, 0, 2, 15]);
    const options = dhcpOptions(message);
    expect(options.get(53)).toEqual([DHCP.offer]);
    expect(options.get(1)).toEqual([255, 255, 255, 0]);
    expect(options.get(3)).toEqual([10, 0, 2, 2]);
    expect(options.get(6)).toEqual([10, 0, 2, 3]);
    expect(options.get(28)).toEqual([10, 0, 2, 255]);
    expect(options.get(51)).toEqual([0, 1, 0x51, 0x80]);
    expect(options.get(26)).toEqual([5, 0x78]);
    expect(String.fromCharCode(...options.get(12)!)).toBe('web1');
    expect(String.fromCharCode(...options.get(15)!)).toBe('example.org');
    expect(net.network.leases()).toEqual([]);
    const name = [...'gu\u0001est'].map((c) => c.charCodeAt(0));
    net.guest.send(
      discoverFrame(
        dhcp(DHCP.request, [
          [50, [10, 0, 2, 15]],
          [54, [10, 0, 2, 2]],
          [12, name],
        ]),
      ),
    );
    net.run(1);
    expect(dhcpOptions(payloadOf(net.guest.packets()[0]!).subarray(8)).get(53)).toEqual([DHCP.ack]);
    expect(net.network.leases()).toMatchObject([{ address: '10.0.2.15', mac: '00:16:3e:01:02:03', hostname: 'guest' }]);
  });

  it('gives each client its own address, the same when it asks again, and takes it back', async () => {
    const net = await virtualNetwork({}, { knowsGuest: false });
    const ask = (mac: number, type: number, options: [number, number[]][] = []) => {
      net.guest.send(discoverFrame(dhcp(type, options, 1, Uint8Array.of(2, 0, 0, 0, 0, mac))));
      net.run(1);
      const [packet] = net.guest.packets();
      return packet && [...payloadOf(packet).subarray(8 + 16, 8 + 20)].join('.');
    };
    expect(ask(1, DHCP.discover)).toBe('10.0.2.15');
    expect(ask(2, DHCP.discover)).toBe('10.0.2.16');
    expect(ask(1, DHCP.discover)).toBe('10.0.2.15');
    expect(ask(3, DHCP.discover, [[50, [10, 0, 2, 99]]])).toBe('10.0.2.99');
    expect(ask(4, DHCP.request, [[50, [10, 0, 2, 99]]])).toBe('0.0.0.0'); // NAK
    ask(3, DHCP.request, [[50, [10, 0, 2, 99]]]);
    expect(ask(3, DHCP.release)).toBeUndefined();
    expect(ask(5, DHCP.discover, [[50, [10, 0, 2, 99]]])).toBe('10.0.2.99');
    expect(ask(5, DHCP.decline)).toBeUndefined();
    expect(ask(6, DHCP.discover, [[50, [10, 0, 2, 99]]])).not.toBe('10.0.2.99');
    expect(ask(7, DHCP.discover, [[50, [10, 0, 2, 2]]])).not.toBe('10.0.2.2');
    expect(ask(8, DHCP.discover, [[50, [10, 0, 2, 255]]])).not.toBe('10.0.2.255');
  });

  it('runs out of addresses without running out of memory', async () => {
    const net = await virtualNetwork({ ipv4: '10.9.0.0/28' }, { knowsGuest: false });
    for (let i = 0; i < 500; i++) net.guest.send(discoverFrame(dhcp(DHCP.discover, [], 1, Uint8Array.of(2, 0, 0, 0, i >> 8, i))));
    net.run(1);
    expect(net.guest.frames.length).toBe(11); // .4 to .14
  });
});

describe('DNS', () => {
  const query = Uint8Array.of(0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1);
  it('is answered by the host, to the port that asked', async () => {
    const net = await virtualNetwork();
    const seen: Uint8Array[] = [];
    net.sockets.answer = async (message) => (seen.push(message), Uint8Array.of(0xbe, 0xef, 0x81, 0x80));
    net.guest.sendUdp(5000, ip('10.0.2.3'), 53, query);
    await settle();
    net.run(1);
    expect(seen).toEqual([query]);
    const [packet] = net.guest.packets();
    expect(formatIp(packet!.source)).toBe('10.0.2.3');
    expect(parseUdp(packet!.bytes, packet!.payloadAt, packet!.end)).toMatchObject({
      sourcePort: 53,
      destinationPort: 5000,
      payload: Uint8Array.of(0xbe, 0xef, 0x81, 0x80),
    });
  });
  it('says so when the host has no answer', async () => {
    const net = await virtualNetwork();
    net.guest.sendUdp(5000, ip('10.0.2.3'), 53, query);
    await settle();
    net.run(1);
    expect(payloadOf(net.guest.packets()[0]!)[8 + 3]! & 0xf).toBe(2);
  });
});

describe('ICMP', () => {
  const echo = Uint8Array.of(8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3);
  it('echoes for the gateway, in fragments when it has to be (RFC 792; RFC 791, section 3.2)', async () => {
    const net = await virtualNetwork();
    net.guest.sendIp(ip('10.0.2.2'), IP_PROTOCOL.icmp, echo);
    net.run(1);
    const [reply] = net.guest.packets();
    expect([...payloadOf(reply!)]).toEqual([0, 0, ...payloadOf(reply!).subarray(2, 4), 0, 7, 0, 1, 1, 2, 3]);
    expect(transportChecksumHolds(reply!)).toBe(true);
    const big = new Uint8Array(4000).fill(5);
    big[0] = 8;
    net.guest.sendIp(ip('10.0.2.2'), IP_PROTOCOL.icmp, big);
    net.run(1);
    const parts = net.guest.packets();
    expect(parts.length).toBe(3);
    const reassembly = new IpReassembly();
    const whole = parts.map((part) => reassembly.add(part, 0)).at(-1)!;
    expect(transportChecksumHolds(whole)).toBe(true);
    expect(payloadOf(whole).length).toBe(4000);
  });
  it('asks the host about others, and says so when it cannot', async () => {
    const net = await virtualNetwork();
    net.guest.sendIp(OUTSIDE, IP_PROTOCOL.icmp, echo);
    net.run(1);
    expect(icmpOf(net.guest.packets()[0]!)).toEqual([3, 13]);
    net.sockets.echo = async (address) => address === '198.51.100.7';
    net.guest.sendIp(OUTSIDE, IP_PROTOCOL.icmp, echo);
    net.guest.sendIp(ip('127.0.0.1'), IP_PROTOCOL.icmp, echo);
    await settle();
    net.run(1);
    const replies = net.guest.packets();
    expect(replies.map((packet) => [formatIp(packet.source), ...icmpOf(packet)])).toEqual([
      ['10.0.2.2', 3, 13],
      ['198.51.100.7', 0, 0],
    ]);
  });
});

describe('IPv6', () => {
  it('advertises itself when asked and by itself', async () => {
    const net = await virtualNetwork();
    net.guest.send(
      ipFrame(
        ip('fe80::1'),
        ip('ff02::2'),
        IP_PROTOCOL.icmpv6,
        Uint8Array.of(ICMPV6.routerSolicitation, 0, 0, 0, 0, 0, 0, 0),
        255,
      ),
    );
    net.run(1);
    const [advert] = net.guest.packets();
    expect(advert).toMatchObject({ hopLimit: 255 });
    expect(icmpOf(advert!)).toEqual([ICMPV6.routerAdvertisement, 0]);
    expect(transportChecksumHolds(advert!)).toBe(true);
    net.run(301_000);
    expect(icmpOf(net.guest.packets()[0]!)).toEqual([ICMPV6.routerAdvertisement, 0]);
  });
  it('answers solicitations for its addresses, and not for a guest that tries its own', async () => {
    const net = await virtualNetwork();
    for (const target of ['fec0::2', 'fec0::3', 'fe80::2', 'fec0::99']) {
      net.guest.send(
        ipFrame(GUEST6, solicitedNode(ip(target)), IP_PROTOCOL.icmpv6, neighbourSolicitation(ip(target), GUEST_MAC), 255),
      );
    }
    net.guest.send(ipFrame(ip('::'), solicitedNode(GUEST6), IP_PROTOCOL.icmpv6, neighbourSolicitation(GUEST6, GUEST_MAC), 255));
    net.run(1);
    const targets = net.guest.packets().map((packet) => formatIp(parseNeighbour(payloadOf(packet))!.target));
    expect(targets).toEqual(['fec0::2', 'fec0::3', 'fe80::2']);
  });
  it('takes no discovery that came through a router (RFC 4861, section 7.1.1)', async () => {
    const net = await virtualNetwork();
    net.guest.send(
      ipFrame(GUEST6, solicitedNode(ip('fec0::2')), IP_PROTOCOL.icmpv6, neighbourSolicitation(ip('fec0::2'), GUEST_MAC), 254),
    );
    net.run(1);
    expect(net.guest.frames).toEqual([]);
  });
});

describe('UDP', () => {
  it('goes out from one socket for each port, and answers come from whom was spoken to (RFC 4787, REQ-1 and REQ-8)', async () => {
    const net = await virtualNetwork();
    net.guest.sendUdp(4000, OUTSIDE, 9, Uint8Array.of(1));
    net.guest.sendUdp(4000, ip('198.51.100.8'), 9, Uint8Array.of(2));
    net.guest.sendUdp(4001, OUTSIDE, 9, Uint8Array.of(3));
    expect(net.sockets.udp.map((socket) => socket.sent.map(({ to, bytes }) => [to.address, to.port, ...bytes]))).toEqual([
      [
        ['198.51.100.7', 9, 1],
        ['198.51.100.8', 9, 2],
      ],
      [['198.51.100.7', 9, 3]],
    ]);
    net.sockets.udp[0]!.handler.message(Uint8Array.of(7), { address: '198.51.100.8', port: 77 });
    net.sockets.udp[0]!.handler.message(Uint8Array.of(8), { address: '203.0.113.1', port: 9 });
    net.run(1);
    const [packet, ...more] = net.guest.packets();
    expect(more).toEqual([]);
    expect(parseUdp(packet!.bytes, packet!.payloadAt, packet!.end)).toMatchObject({ sourcePort: 77, destinationPort: 4000 });
    net.run(140_000);
    expect(net.sockets.udp.every((socket) => socket.closed)).toBe(true);
    expect(net.network.inspect().udp).toEqual([]);
  });
  it('has a bound, and the one not used for longest goes', async () => {
    const net = await virtualNetwork({ maxFlows: 3 });
    for (let port = 1; port <= 5; port++) {
      net.guest.sendUdp(port, OUTSIDE, 9, Uint8Array.of(1));
      net.run(1);
    }
    expect(net.sockets.udp.map((socket) => socket.closed)).toEqual([true, true, false, false, false]);
  });
  it('is fragmented to the guest, and put together from it', async () => {
    const net = await virtualNetwork();
    net.guest.sendUdp(4000, OUTSIDE, 9, Uint8Array.of(1));
    const big = Uint8Array.from({ length: 5000 }, (_, i) => i);
    net.sockets.udp[0]!.handler.message(big, { address: '198.51.100.7', port: 9 });
    net.run(1);
    const parts = net.guest.packets();
    const reassembly = new IpReassembly();
    const whole = parts
      .reverse()
      .map((part) => reassembly.add(part, 0))
      .at(-1)!;
    expect(transportChecksumHolds(whole)).toBe(true);
    expect(payloadOf(whole).subarray(8)).toEqual(big);
  });
  it('forwards a port to the guest, and its answers back to each client', async () => {
    const net = await virtualNetwork({ forwards: ['udp:127.0.0.1:5353-:53'] });
    const [socket] = net.sockets.udp;
    socket!.handler.message(Uint8Array.of(1), { address: '127.0.0.1', port: 700 });
    socket!.handler.message(Uint8Array.of(2), { address: '127.0.0.2', port: 700 });
    net.run(1);
    const ports = net.guest.packets().map((packet) => parseUdp(packet.bytes, packet.payloadAt, packet.end)!);
    expect(ports.map(({ sourcePort, destinationPort }) => [sourcePort, destinationPort])).toEqual([
      [700, 53],
      [701, 53],
    ]);
    net.guest.sendUdp(53, ip('10.0.2.2'), 701, Uint8Array.of(3));
    expect(socket!.sent).toEqual([{ bytes: Uint8Array.of(3), to: { address: '127.0.0.2', port: 700 } }]);
  });
  it('to a closed port of the gateway is answered by ICMP', async () => {
    const net = await virtualNetwork();
    net.guest.sendUdp(4000, ip('10.0.2.2'), 9, Uint8Array.of(1));
    net.run(1);
    expect(icmpOf(net.guest.packets()[0]!)).toEqual([3, 3]);
  });
});

describe('where a guest may go', () => {
  const kind = (text: string, options = {}) => {
    const destination = destinationOf(ip(text), planNetwork(options));
    return destination.kind === 'host' ? destination.address : destination.kind;
  };
  it('is not the loopback or a link-local address of the host, in any spelling', () => {
    for (const text of [
      '127.0.0.1',
      '127.8.8.8',
      '0.0.0.0',
      '0.1.2.3',
      '169.254.169.254',
      '224.0.0.251',
      '255.255.255.255',
      '240.0.0.1',
      '::1',
      '::',
      '::127.0.0.1',
      '::ffff:127.0.0.1',
      '::ffff:198.51.100.7',
      'fe80::5',
      'ff02::1',
      '10.0.2.77',
      'fec0::77',
    ]) {
      expect(kind(text), text).toBe('unreachable');
    }
    expect(kind('10.0.2.2')).toBe('closed');
    expect(kind('fec0::2')).toBe('closed');
    expect(kind('10.0.2.3')).toBe('dns');
    expect(kind('198.51.100.7')).toBe('198.51.100.7');
    expect(kind('2001:db8::1')).toBe('2001:db8::1');
  });
  it('is the loopback by way of the gateway when that is allowed', () => {
    expect(kind('10.0.2.2', { allowHostLoopback: true })).toBe('127.0.0.1');
    expect(kind('fec0::2', { allowHostLoopback: true })).toBe('::1');
    expect(kind('127.0.0.1', { allowHostLoopback: true })).toBe('unreachable');
    expect(kind('169.254.169.254', { allowLinkLocal: true })).toBe('169.254.169.254');
  });
  it('never is IPv4 in IPv6 or a reserved network (any address)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (v4) => {
        expect(kind(`::ffff:${v4.join('.')}`)).toBe('unreachable');
        if ([0, 127].includes(v4[0]!) || v4[0]! >= 224) expect(kind(v4.join('.'))).toBe('unreachable');
      }),
    );
  });
});

describe('options', () => {
  it('for a forward are read as QEMU writes them', () => {
    expect(parseForward('hostfwd=tcp:127.0.0.1:2222-:22', GUEST)).toEqual({
      protocol: 'tcp',
      host: { address: '127.0.0.1', port: 2222 },
      guest: { address: GUEST, port: 22 },
    });
    expect(parseForward('udp::5353-10.0.2.9:53', GUEST)).toMatchObject({
      protocol: 'udp',
      host: { address: '0.0.0.0', port: 5353 },
      guest: { address: ip('10.0.2.9') },
    });
    expect(parseForward('tcp:[::1]:80-[fec0::9]:8080', GUEST)).toMatchObject({
      host: { address: '::1' },
      guest: { address: ip('fec0::9'), port: 8080 },
    });
    for (const text of ['', 'tcp', 'tcp:1.2.3:80-:80', 'sctp::1-:2', 'tcp::70000-:22', 'tcp::1-:0', 'tcp::80'])
      expect(parseForward(text, GUEST), text).toEqual(expect.stringContaining("'"));
  });
  it('that make no sense are refused by name', () => {
    for (const [options, name] of [
      [{ ipv4: '10.0.2.1/24' }, 'ipv4'],
      [{ ipv4: '10.0.2.0/31' }, 'ipv4'],
      [{ gateway: '10.0.3.2' }, 'gateway'],
      [{ mtu: 100 }, 'mtu'],
      [{ mac: '01:00:00:00:00:00' }, 'mac'],
      [{ forwards: ['x'] }, 'forwards'],
      [{ ipv6: 'fec0::/48' }, 'ipv6'],
    ] as const) {
      expect(() => planNetwork(options)).toThrow(expect.objectContaining({ name: 'NetworkOptionError', option: name }));
    }
  });
});
