// The user mode network with the host's real sockets, on the loopback.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALL_OFFLOADS, type FrameOffloads, NO_OFFLOADS, plainFrame } from '../io/frame-sink.ts';
import { ARP, arpFrame } from '../net/arp.ts';
import { Deadlines } from '../net/deadlines.ts';
import { GUEST, GUEST_MAC, Guest, ip } from '../net/fixtures/guest.ts';
import { GuestTcp } from '../net/fixtures/guest-tcp.ts';
import { IP_PROTOCOL, type IpPacket } from '../net/ip-packet.ts';
import { BROADCAST_MAC } from '../net/mac-address.ts';
import { parseUdp } from '../net/udp.ts';
import type { UserNetworkOptions } from '../net/user/network-plan.ts';
import { UserNetwork } from '../net/user/user-network.ts';
import { EventLoopClock } from '../time/event-loop-clock.ts';
import { NodeSockets } from './node-sockets.ts';
import { resolverEndpoints } from './resolver.ts';
import { SocketLink } from './socket-link.ts';

const GATEWAY = ip('10.0.2.2');
const MIB = 1024 * 1024;
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function realNetwork(options: UserNetworkOptions, offloads: FrameOffloads = NO_OFFLOADS, sockets = new NodeSockets()) {
  const clock = new EventLoopClock();
  const deadlines = new Deadlines(clock, 'guest');
  const network = await UserNetwork.open({ sockets, clock, random: () => randomBytes(4).readUInt32LE() }, options);
  const guest = new Guest(network, deadlines, { offloads });
  guest.send(
    arpFrame(BROADCAST_MAC, {
      operation: ARP.request,
      senderMac: GUEST_MAC,
      senderIp: GUEST,
      targetMac: new Uint8Array(6),
      targetIp: GATEWAY,
    }),
  );
  const close = async () => {
    await network.close();
    deadlines.close();
    clock.close();
  };
  return { network, guest, deadlines, close, [Symbol.asyncDispose]: close };
}

async function until(holds: () => boolean, ms = 20_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe('HTTP through a user mode network', () => {
  const body = randomBytes(MIB);
  let server: Server;
  let port = 0;
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.method === 'GET') {
        response.end(body);
        return;
      }
      const hash = createHash('sha256');
      request.on('data', (chunk) => hash.update(chunk));
      request.on('end', () => response.end(hash.digest('hex')));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => void server.close());

  it('carries 200 parallel transfers of 1 MiB with equal hashes', { timeout: 120_000 }, async () => {
    await using net = await realNetwork({ allowHostLoopback: true, bufferBytes: 256 * 1024 }, ALL_OFFLOADS);
    const all = Array.from({ length: 200 }, (_, i) => {
      const tcp = new GuestTcp(net.guest, net.deadlines, 10_000 + i, GATEWAY, port, ALL_OFFLOADS);
      tcp.window = 500_000;
      tcp.iss = 1000;
      tcp.connect();
      tcp.write(Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
      return tcp;
    });
    await until(() => all.every((tcp) => tcp.gotFin), 100_000);
    for (const tcp of all) {
      const text = Buffer.from(tcp.bytes);
      expect(sha(text.subarray(text.indexOf('\r\n\r\n') + 4))).toBe(sha(body));
    }
  });

  it('takes uploads, and refuses them without leave', { timeout: 60_000 }, async () => {
    await using net = await realNetwork({ allowHostLoopback: true });
    const tcp = new GuestTcp(net.guest, net.deadlines, 10_000, GATEWAY, port);
    tcp.connect();
    tcp.write(
      Buffer.concat([Buffer.from(`PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${MIB}\r\n\r\n`), body]),
    );
    await until(() => tcp.gotFin);
    expect(Buffer.from(tcp.bytes).toString()).toContain(sha(body));
    await using closed = await realNetwork({});
    const refused = new GuestTcp(closed.guest, closed.deadlines, 10_000, GATEWAY, port);
    refused.connect();
    await until(() => refused.state === 'refused');
  });
});

describe('sockets of the host', () => {
  it('that refuse or reset are seen by the guest as that', async () => {
    await using net = await realNetwork({ allowHostLoopback: true });
    const server = createTcpServer((socket) => void setTimeout(() => socket.resetAndDestroy(), 50));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const reset = new GuestTcp(net.guest, net.deadlines, 1, GATEWAY, port);
    reset.connect();
    await until(() => reset.state === 'reset');
    await new Promise((resolve) => server.close(resolve));
    const refused = new GuestTcp(net.guest, net.deadlines, 2, GATEWAY, port);
    refused.connect();
    await until(() => refused.state === 'refused');
    expect(net.network.inspect().tcp).toEqual([]);
  });

  it('reach the guest on forwarded ports, TCP and UDP', async () => {
    const find = createTcpServer();
    await new Promise<void>((resolve) => find.listen(0, '127.0.0.1', resolve));
    const { port } = find.address() as AddressInfo;
    await expect(realNetwork({ forwards: [`tcp:127.0.0.1:${port}-:22`] })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await new Promise((resolve) => find.close(resolve));
    await using net = await realNetwork({ forwards: [`tcp:127.0.0.1:${port}-:22`, `udp:127.0.0.1:${port}-:53`] });
    const client = connect(port, '127.0.0.1');
    await until(() => client.localPort !== undefined && client.readyState === 'open');
    const tcp = new GuestTcp(net.guest, net.deadlines, 22, GATEWAY, client.localPort!);
    const got: Buffer[] = [];
    client.on('data', (chunk) => got.push(chunk));
    client.write('hello');
    await until(() => tcp.receivedBytes === 5);
    tcp.write(Buffer.from('SSH-2.0'), true);
    await until(() => Buffer.concat(got).toString() === 'SSH-2.0');
    client.end();
    await until(() => tcp.gotFin);
    const udp = createSocket('udp4');
    const answers: Buffer[] = [];
    udp.on('message', (bytes) => answers.push(bytes));
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    net.guest.packets();
    udp.send('ping', port, '127.0.0.1');
    await until(() => net.guest.frames.length > 0);
    const packet = net.guest.packets().at(-1)!;
    const datagram = parseUdp(packet.bytes, packet.payloadAt, packet.end)!;
    expect(Buffer.from(datagram.payload).toString()).toBe('ping');
    net.guest.sendUdp(53, GATEWAY, datagram.sourcePort, Buffer.from('pong'));
    await until(() => answers.length > 0);
    expect(answers[0]!.toString()).toBe('pong');
    udp.close();
  });

  it('answer UDP and DNS', async () => {
    const server = createSocket('udp4');
    server.on('message', (bytes, from) =>
      server.send(Buffer.concat([bytes.subarray(0, 2), Buffer.from([0x81, 0x80]), bytes.subarray(4)]), from.port, from.address),
    );
    await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
    const { port } = server.address();
    const sockets = new NodeSockets({
      resolvers: [
        { address: '127.0.0.1', port: 1 },
        { address: '127.0.0.1', port },
      ],
    });
    await using net = await realNetwork({ allowHostLoopback: true }, NO_OFFLOADS, sockets);
    const query = Buffer.from('beef01000001000000000000016100000100 01'.replace(/ /g, ''), 'hex');
    for (const [to, toPort] of [
      [GATEWAY, port],
      [ip('10.0.2.3'), 53],
    ] as const) {
      net.guest.packets();
      net.guest.sendUdp(4000, to, toPort, query);
      const answers: IpPacket[] = [];
      await until(() => answers.push(...net.guest.packets().filter((packet) => packet.protocol === IP_PROTOCOL.udp)) > 0);
      const packet = answers[0]!;
      expect(Buffer.from(parseUdp(packet.bytes, packet.payloadAt, packet.end)!.payload).toString('hex')).toContain('beef8180');
      expect([...packet.source]).toEqual([...to]);
    }
    server.close();
  });

  it('of the resolver are read as Node writes them', () => {
    expect(resolverEndpoints(['192.0.2.1', '192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:5353'])).toEqual([
      { address: '192.0.2.1', port: 53 },
      { address: '192.0.2.1', port: 5353 },
      { address: '2001:db8::1', port: 53 },
      { address: '2001:db8::1', port: 5353 },
    ]);
  });
});

describe('a socket link', () => {
  const card = (got: Uint8Array[], state: { up?: boolean; room?: boolean } = {}) => ({
    offloads: NO_OFFLOADS,
    receive: (frame: { bytes: Uint8Array }) => {
      if (state.room === false) return false;
      got.push(frame.bytes.slice());
      return true;
    },
    writable: () => {},
    linkChanged: (up: boolean) => {
      state.up = up;
    },
  });

  it('joins two processes over a Unix socket, waits for a card without room, and tells when the other is gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dom1-link-'));
    const path = join(folder, 'net');
    const { link: near } = await SocketLink.listen({ path });
    const [atNear, atFar]: [Uint8Array[], Uint8Array[]] = [[], []];
    const nearState: { up?: boolean; room?: boolean } = {};
    near.attach(card(atNear, nearState));
    expect(near.linkUp).toBe(false);
    const far = await SocketLink.connect({ path });
    far.attach(card(atFar));
    await until(() => nearState.up === true);
    nearState.room = false;
    for (let i = 0; i < 500; i++) far.send(plainFrame(new Uint8Array(1514).fill(i)));
    near.send(plainFrame(Uint8Array.of(1, 2, 3)));
    await until(() => atFar.length === 1);
    expect(atNear).toEqual([]);
    nearState.room = true;
    near.resume();
    await until(() => atNear.length === 500);
    expect(atNear.every((bytes, i) => bytes.length === 1514 && bytes[0] === (i & 255))).toBe(true);
    await far.close();
    await until(() => nearState.up === false);
    await near.close();
    await rm(folder, { recursive: true });
  });

  it('connects again to a process that has gone and come back, over the socket that a killed one left', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dom1-link-'));
    const path = join(folder, 'net');
    const first = spawn(process.execPath, [
      '-e',
      `require('net').createServer((s) => s.once('data', () => process.kill(process.pid, 'SIGKILL'))).listen('${path}', () => console.log('listening'))`,
    ]);
    await once(first.stdout, 'data');
    const far = await SocketLink.connect({ path });
    const [state, atNear]: [{ up?: boolean }, Uint8Array[]] = [{}, []];
    far.attach(card([], state));
    far.send(plainFrame(new Uint8Array(60)));
    await once(first, 'exit');
    await until(() => state.up === false);
    expect([existsSync(path), far.linkUp]).toEqual([true, false]);
    const { link: near } = await SocketLink.listen({ path });
    near.attach(card(atNear));
    await until(() => state.up === true);
    far.send(plainFrame(Uint8Array.of(1, 2, 3)));
    await until(() => atNear.length === 1);
    await expect(SocketLink.listen({ path })).rejects.toThrow('EADDRINUSE');
    await far.close();
    await near.close();
    await rm(folder, { recursive: true });
  });

  it('says it is full, and when it is not any more', async () => {
    const { link: near, bound } = await SocketLink.listen({ host: '127.0.0.1', port: 0 });
    const far = await SocketLink.connect(bound);
    let writable = 0;
    far.attach({ ...card([]), writable: () => writable++ });
    const state: { room?: boolean } = { room: false };
    const got: Uint8Array[] = [];
    near.attach(card(got, state));
    let sent = 0;
    await until(() => {
      for (let i = 0; i < 1000; i++) if (far.send(plainFrame(new Uint8Array(60_000)))) sent++;
      return !far.send(plainFrame(new Uint8Array(60_000)));
    });
    const before = sent;
    expect(writable).toBe(0);
    state.room = true;
    near.resume();
    await until(() => writable > 0 && got.length >= before);
    await far.close();
    await near.close();
  });
});
