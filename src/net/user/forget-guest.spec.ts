// Another machine has the card: nothing of the guest before is left, and what its owner set up still is.
import { describe, expect, it } from 'vitest';
import { DHCP, DHCP_OPTION } from '../dhcp.ts';
import { GUEST_MAC, Guest, ip, ipFrame, udpBytes } from '../fixtures/guest.ts';
import { GuestTcp } from '../fixtures/guest-tcp.ts';
import { virtualNetwork } from '../fixtures/virtual-network.ts';
import { IP_PROTOCOL } from '../ip-packet.ts';
import { BROADCAST_MAC } from '../mac-address.ts';
import { parseUdp } from '../udp.ts';

const OUTSIDE = ip('198.51.100.7');
const DNS = ip('10.0.2.3');
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A client that takes an address: DHCPREQUEST as one that has rebooted sends it. */
function dhcpRequest(mac: Uint8Array, address: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(300);
  bytes.set([1, 1, 6, 0, 1, 2, 3, 4]);
  bytes.set(mac, 28);
  bytes.set([0x63, 0x82, 0x53, 0x63, DHCP_OPTION.messageType, 1, DHCP.request, 50, 4, ...address, 255], 236);
  const frame = ipFrame(ip('0.0.0.0'), ip('255.255.255.255'), IP_PROTOCOL.udp, udpBytes(68, 67, bytes));
  frame.set(BROADCAST_MAC);
  return frame;
}

const dnsQuery = Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1]);

describe('a network that forgets its guest', () => {
  it('resets every connection on the host, and has no lease, neighbour or queue left', async () => {
    const net = await virtualNetwork({ forwards: ['tcp:127.0.0.1:2222-:22', 'udp:127.0.0.1:5353-:53'] });
    const { network, sockets, guest } = net;
    guest.send(dhcpRequest(GUEST_MAC, [10, 0, 2, 15]));
    const out = new GuestTcp(guest, net.deadlines, 40_000, OUTSIDE, 80);
    out.connect();
    const inside = new GuestTcp(guest, net.deadlines, 22, ip('10.0.2.2'), 50_000);
    sockets.connectTo(0, { address: '127.0.0.1', port: 50_000 });
    guest.sendUdp(1000, OUTSIDE, 2000, Uint8Array.of(1));
    net.run(10);
    sockets.outcome = 'never';
    new GuestTcp(guest, net.deadlines, 40_001, OUTSIDE, 81).connect();
    net.run(10);
    const bound = sockets.udp[0]!;
    bound.handler.message(Uint8Array.of(9), { address: '127.0.0.1', port: 7 });
    guest.room = 0;
    guest.sendIp(ip('10.0.2.2'), IP_PROTOCOL.icmp, Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0));
    net.run(10);
    expect([out.state, inside.state]).toEqual(['open', 'open']);
    expect(network.inspect()).toMatchObject({ neighbours: 1, queuedFrames: 1 });
    expect(network.inspect().tcp.length).toBe(3);
    expect(network.leases()).toHaveLength(1);

    network.attach(undefined);
    network.forgetGuest();
    expect(network.inspect()).toEqual({ tcp: [], udp: [], neighbours: 0, queuedFrames: 0, fragmented: 0 });
    expect(network.leases()).toEqual([]);
    expect(sockets.tcp.map((socket) => socket.wasReset)).toEqual([true, true, true]);
    expect(sockets.udp.map((socket) => socket.closed)).toEqual([false, true]);
    // The address is the next guest's, whatever its card.
    const next = new Guest(network, net.deadlines);
    next.send(dhcpRequest(Uint8Array.of(0, 0x16, 0x3e, 9, 9, 9), [10, 0, 2, 15]));
    net.run(10);
    expect(network.leases()).toMatchObject([{ address: '10.0.2.15', mac: '00:16:3e:09:09:09' }]);
  });

  it('keeps forwarded ports: the next guest is reached through them', async () => {
    const net = await virtualNetwork({ forwards: ['tcp:127.0.0.1:2222-:22', 'udp:127.0.0.1:5353-:53'] });
    net.network.attach(undefined);
    net.network.forgetGuest();
    const next = new Guest(net.network, net.deadlines);
    const tcp = new GuestTcp(next, net.deadlines, 22, ip('10.0.2.2'), 50_000);
    const client = net.sockets.connectTo(0, { address: '127.0.0.1', port: 50_000 })!;
    client.feed(Uint8Array.of(1, 2, 3));
    net.run(50);
    expect(tcp.bytes).toEqual(Uint8Array.of(1, 2, 3));
    net.sockets.udp[0]!.handler.message(Uint8Array.of(9), { address: '127.0.0.1', port: 7 });
    net.run(50);
    expect(next.packets().some((packet) => packet.protocol === IP_PROTOCOL.udp)).toBe(true);
  });

  it('keeps answers from the next guest that the one before asked for', async () => {
    const net = await virtualNetwork();
    const answers: (() => void)[] = [];
    net.sockets.answer = (query) => new Promise((resolve) => answers.push(() => resolve(query)));
    net.sockets.echo = () => new Promise((resolve) => answers.push(() => resolve(true)));
    const ask = () => {
      net.guest.sendUdp(1000, DNS, 53, dnsQuery);
      net.guest.sendIp(OUTSIDE, IP_PROTOCOL.icmp, Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0));
    };
    ask();
    expect(answers).toHaveLength(2);
    net.network.forgetGuest();
    for (const answer of answers.splice(0)) answer();
    await settle();
    net.run(5);
    expect(net.guest.packets()).toEqual([]);
    // And what the next one asks is answered.
    net.guest.sendUdp(1000, DNS, 53, dnsQuery);
    for (const answer of answers.splice(0)) answer();
    await settle();
    net.run(50);
    const packets = net.guest.packets();
    const dns = packets.find((packet) => packet.protocol === IP_PROTOCOL.udp)!;
    expect(parseUdp(dns.bytes, dns.payloadAt, dns.end)).toMatchObject({ sourcePort: 53, destinationPort: 1000 });
  });
});
