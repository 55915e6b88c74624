// Packets that say something about a packet of the guest's: unreachable, reset.
import { type Unreachable, writeUnreachable } from '../icmp.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import { segmentLength, TCP_FLAG, type TcpSegment, writeTcp } from '../tcp/segment.ts';
import { seqAdd } from '../tcp/sequence.ts';
import type { LinkOutput } from './link-output.ts';

/** ICMP "destination unreachable", from the destination itself for a port and from the gateway for the rest. */
export function sendUnreachable(output: LinkOutput, gateway: Uint8Array, why: Unreachable, about: IpPacket): void {
  const length = writeUnreachable(output.bytes, output.transportAt(about.version), why, about);
  output.sendOrQueue({
    source: why === 'port' ? about.destination.slice() : gateway,
    destination: about.source.slice(),
    protocol: about.version === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6,
    length,
  });
}

/** The reset that answers a segment for no connection (RFC 9293, section 3.10.7.1). */
export function sendReset(output: LinkOutput, packet: IpPacket, segment: TcpSegment): void {
  if ((segment.flags & TCP_FLAG.rst) !== 0) return;
  const acks = (segment.flags & TCP_FLAG.ack) !== 0;
  const length = writeTcp(output.bytes, output.transportAt(packet.version), {
    sourcePort: segment.destinationPort,
    destinationPort: segment.sourcePort,
    seq: acks ? segment.ack : 0,
    ack: acks ? 0 : seqAdd(segment.seq, segmentLength(segment)),
    flags: TCP_FLAG.rst | (acks ? 0 : TCP_FLAG.ack),
    window: 0,
  });
  output.sendOrQueue({
    source: packet.destination.slice(),
    destination: packet.source.slice(),
    protocol: IP_PROTOCOL.tcp,
    length,
  });
}
