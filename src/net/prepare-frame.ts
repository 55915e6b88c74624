// Offloads in software: completes a partial checksum and cuts a large segment for whoever does not take it as it is.
import { ETHERNET_HEADER_BYTES, type Frame, type FrameOffloads, GSO } from '../io/frame-sink.ts';
import { put16, put32, u16, u32 } from './big-endian.ts';
import { pseudoSum, putChecksum } from './checksum.ts';
import { ETHERNET, ETHERTYPE } from './ethernet.ts';
import { IP_PROTOCOL } from './ip-packet.ts';
import { resizeIpv4 } from './ipv4.ts';
import { resizeIpv6 } from './ipv6.ts';
import { TCP_CHECKSUM_AT, TCP_FLAG, TCP_HEADER_BYTES } from './tcp/segment.ts';
import { UDP_CHECKSUM_AT } from './udp.ts';

/** Smaller segments than this come from a guest that wants to see us make thousands of them. */
const MIN_GSO_SIZE = 64;

/**
 * Gives `emit` what `offloads` allows: the frame itself if it can be, else a copy with its checksum, else its segments. A frame
 * whose headers make no sense of its offload fields is dropped.
 */
export function prepareFrame(frame: Frame, offloads: FrameOffloads, emit: (frame: Frame) => void): void {
  const version = frame.bytes.length < ETHERNET_HEADER_BYTES || u16(frame.bytes, ETHERNET.type) !== ETHERTYPE.ipv6 ? 4 : 6;
  const gso = version === 4 ? offloads.gsoIpv4 : offloads.gsoIpv6;
  if (frame.gsoType !== GSO.none && !(gso && frame.bytes.length <= offloads.maxFrameBytes)) return cut(frame, emit);
  const partial = version === 4 ? offloads.checksumIpv4 : offloads.checksumIpv6;
  const takesIt = frame.checksumStart === 0 || partial || frame.gsoType !== GSO.none;
  emit(takesIt ? frame : completeChecksum(frame));
}

/** A copy of the frame with its checksum filled in. */
export function completeChecksum(frame: Frame): Frame {
  const bytes = frame.bytes.slice();
  const { checksumStart: start, checksumOffset: offset } = frame;
  if (start !== 0 && start + offset + 2 <= bytes.length) {
    putChecksum(bytes, start + offset, start, bytes.length, u16(bytes, start + offset), offset === UDP_CHECKSUM_AT);
  }
  return { bytes, checksumStart: 0, checksumOffset: 0, checksumValid: frame.checksumValid, gsoType: GSO.none, gsoSize: 0 };
}

/** TCP segmentation: each piece has the headers, its own length, number and checksum; FIN and PSH only on the last. */
function cut(frame: Frame, emit: (frame: Frame) => void): void {
  const { bytes, checksumStart: tcp, gsoSize } = frame;
  const ip = ETHERNET.payload;
  if (tcp < ip + 20 || tcp + TCP_HEADER_BYTES > bytes.length || gsoSize < MIN_GSO_SIZE) return;
  const headers = tcp + ((bytes[tcp + 12] as number) >> 4) * 4;
  if (headers < tcp + TCP_HEADER_BYTES || headers >= bytes.length) return;
  const version = (bytes[ip] as number) >> 4 === 6 ? 6 : 4;
  if (version === 6 ? tcp < ip + 40 : tcp !== ip + ((bytes[ip] as number) & 0xf) * 4) return;
  const addressBytes = version === 4 ? 4 : 16;
  const addressesAt = version === 4 ? ip + 12 : ip + 8;
  const seq = u32(bytes, tcp + 4);
  const flags = bytes[tcp + 13] as number;
  const id = version === 4 ? u16(bytes, ip + 4) : 0;
  for (let at = headers, i = 0; at < bytes.length; at += gsoSize, i++) {
    const end = Math.min(bytes.length, at + gsoSize);
    const piece = new Uint8Array(headers + end - at);
    piece.set(bytes.subarray(0, headers));
    piece.set(bytes.subarray(at, end), headers);
    if (version === 4) resizeIpv4(piece, ip, piece.length - ip - ((piece[ip] as number) & 0xf) * 4, (id + i) & 0xffff);
    else resizeIpv6(piece, ip, piece.length - ip - 40);
    put32(piece, tcp + 4, seq + at - headers);
    if (end < bytes.length) piece[tcp + 13] = flags & ~(TCP_FLAG.fin | TCP_FLAG.psh);
    put16(piece, tcp + TCP_CHECKSUM_AT, 0);
    const start = pseudoSum(piece, addressesAt, addressBytes, IP_PROTOCOL.tcp, piece.length - tcp);
    putChecksum(piece, tcp + TCP_CHECKSUM_AT, tcp, piece.length, start);
    emit({ bytes: piece, checksumStart: 0, checksumOffset: 0, checksumValid: true, gsoType: GSO.none, gsoSize: 0 });
  }
}
