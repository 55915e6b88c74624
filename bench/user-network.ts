// MB/s through the user mode network's own stack, with a host that takes and gives without end: tsc -p bench && node bench/dist/bench/user-network.js [--mib n]
import { parseArgs } from 'node:util';
import { ALL_OFFLOADS, type Frame, type FrameReceiver, GSO, NO_OFFLOADS } from '../src/io/frame-sink.ts';
import type { HostSockets, TcpSocketHandler } from '../src/io/host-sockets.ts';
import { ARP, arpFrame } from '../src/net/arp.ts';
import { put16 } from '../src/net/big-endian.ts';
import { fold, pseudoSum } from '../src/net/checksum.ts';
import { GUEST, GUEST_MAC, ip, ipFrame } from '../src/net/fixtures/guest.ts';
import { IP_PROTOCOL } from '../src/net/ip-packet.ts';
import { BROADCAST_MAC } from '../src/net/mac-address.ts';
import { completeChecksum } from '../src/net/prepare-frame.ts';
import { parseTcp, TCP_FLAG, type TcpSegment, writeTcp } from '../src/net/tcp/segment.ts';
import { UserNetwork } from '../src/net/user/user-network.ts';
import { EventLoopClock } from '../src/time/event-loop-clock.ts';
import { table } from './report.ts';

const { values } = parseArgs({ options: { mib: { type: 'string', default: '512' } } });
const MIB = 1024 * 1024;
const OUTSIDE = ip('198.51.100.7');
const MSS = 1460;
const ISS = 100;

async function rate(large: boolean, toHost: boolean, total: number): Promise<number> {
  let handler: TcpSocketHandler | undefined;
  let atHost = 0;
  const nothing = () => {};
  const sockets = {
    connectTcp(_to, given) {
      handler = given;
      queueMicrotask(() => given.connected());
      return {
        pendingBytes: 0,
        write(chunk) {
          atHost += chunk.length;
        },
        end: nothing,
        pause: nothing,
        resume: nothing,
        reset: nothing,
      };
    },
    resolvers: () => [],
  } as Partial<HostSockets> as HostSockets;
  const clock = new EventLoopClock();
  const network = new UserNetwork({ sockets, clock, random: () => 1 });
  const came: TcpSegment[] = [];
  const card: FrameReceiver = {
    offloads: large ? ALL_OFFLOADS : NO_OFFLOADS,
    receive({ bytes }) {
      const segment = bytes[23] === IP_PROTOCOL.tcp && bytes[12] === 8 ? parseTcp(bytes, 34, bytes.length) : undefined;
      if (segment !== undefined) came.push({ ...segment, payload: new Uint8Array(segment.payload.length) });
      return true;
    },
    writable: nothing,
    linkChanged: nothing,
  };
  network.attach(card);
  const send = (bytes: Uint8Array, offload: Partial<Frame> = {}) =>
    network.send({ bytes, checksumStart: 0, checksumOffset: 0, checksumValid: true, gsoType: GSO.none, gsoSize: 0, ...offload });
  const tcp = (flags: number, seq: number, ack: number, payload: number) => {
    const segment = new Uint8Array(28 + payload);
    const syn = flags === TCP_FLAG.syn;
    const header = { sourcePort: 1000, destinationPort: 80, seq: seq >>> 0, ack, flags, window: 0xffff };
    const length = writeTcp(segment, 0, syn ? { ...header, mss: MSS, windowScale: 6 } : header) + payload;
    const bytes = ipFrame(GUEST, OUTSIDE, 0xfd, segment.subarray(0, length));
    bytes[23] = IP_PROTOCOL.tcp;
    put16(bytes, 24, 0);
    put16(
      bytes,
      24,
      ~fold([14, 16, 18, 20, 22, 26, 28, 30, 32].reduce((sum, at) => sum + ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0), 0)) &
        0xffff,
    );
    put16(bytes, 50, fold(pseudoSum(bytes, 26, 4, IP_PROTOCOL.tcp, length)));
    const partial = { checksumStart: 34, checksumOffset: 16 };
    if (large) send(bytes, payload > MSS ? { ...partial, gsoType: GSO.tcpv4, gsoSize: MSS } : partial);
    else
      send(completeChecksum({ bytes, ...partial, checksumValid: false, gsoType: GSO.none, gsoSize: 0 }).bytes, {
        checksumValid: false,
      });
  };
  const targetMac = new Uint8Array(6);
  send(
    arpFrame(BROADCAST_MAC, {
      operation: ARP.request,
      senderMac: GUEST_MAC,
      senderIp: GUEST,
      targetMac,
      targetIp: ip('10.0.2.2'),
    }),
  );
  tcp(TCP_FLAG.syn, ISS, 0, 0);
  while (came.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const peer = (came.shift() as TcpSegment).seq + 1;
  tcp(TCP_FLAG.ack, ISS + 1, peer, 0);
  const begin = performance.now();
  if (toHost) {
    const size = large ? 43 * MSS : MSS;
    let limit = 0xffff;
    for (let sent = 0; sent < total; ) {
      for (const segment of came.splice(0)) limit = segment.ack - ISS - 1 + (segment.window << 5);
      if (sent + size > limit) await new Promise((resolve) => setTimeout(resolve, 1));
      else {
        tcp(TCP_FLAG.ack, ISS + 1 + sent, peer, size);
        sent += size;
      }
    }
    while (atHost < total) await new Promise((resolve) => setTimeout(resolve, 1));
  } else {
    const chunk = new Uint8Array(65_536);
    let fed = 0;
    for (let got = 0; got < total; tcp(TCP_FLAG.ack, ISS + 1, (peer + got) >>> 0, 0)) {
      for (; fed - got < MIB; fed += chunk.length) handler?.data(chunk);
      for (const segment of came.splice(0)) got += segment.payload.length;
    }
  }
  const perSecond = total / ((performance.now() - begin) * 1000);
  await network.close();
  clock.close();
  return perSecond;
}

const rows: string[][] = [];
for (const large of [true, false]) {
  const total = Number(values.mib) * MIB * (large ? 1 : 0.25);
  const row = [large ? '64 KiB, offloaded' : '1500 bytes, checksums computed'];
  for (const toHost of [true, false]) row.push((await rate(large, toHost, total)).toFixed(0));
  rows.push(row);
}
console.log(table(['frames', 'guest to host MB/s', 'host to guest MB/s'], rows));
