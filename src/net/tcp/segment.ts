// The TCP header (RFC 9293, section 3.1) and the options we understand: MSS, and window scale (RFC 7323, section 2).
import { put16, put32, u16, u32 } from '../big-endian.ts';

export const TCP_FLAG = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20 } as const;
export const TCP_HEADER_BYTES = 20;
export const TCP_CHECKSUM_AT = 16;
const AT = { source: 0, destination: 2, seq: 4, ack: 8, offset: 12, flags: 13, window: 14, urgent: 18 } as const;
const OPTION = { end: 0, nop: 1, mss: 2, windowScale: 3 } as const;
/** A larger shift is to be read as this one (RFC 7323, section 2.3). */
const MAX_WINDOW_SCALE = 14;

export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  /** As in the header, not scaled. */
  readonly window: number;
  /** From a SYN's options; undefined when it has none. */
  readonly mss: number | undefined;
  readonly windowScale: number | undefined;
  /** The payload, a view. */
  readonly payload: Uint8Array;
}

/** Undefined when the header does not fit. Malformed options are as if absent from there on. */
export function parseTcp(bytes: Uint8Array, at: number, end: number): TcpSegment | undefined {
  if (end - at < TCP_HEADER_BYTES) return undefined;
  const headerBytes = ((bytes[at + AT.offset] as number) >> 4) * 4;
  if (headerBytes < TCP_HEADER_BYTES || at + headerBytes > end) return undefined;
  const flags = (bytes[at + AT.flags] as number) & 0x3f;
  let mss: number | undefined;
  let windowScale: number | undefined;
  if ((flags & TCP_FLAG.syn) !== 0) {
    for (let i = at + TCP_HEADER_BYTES; i < at + headerBytes; ) {
      const kind = bytes[i] as number;
      if (kind === OPTION.end) break;
      if (kind === OPTION.nop) {
        i++;
        continue;
      }
      const length = i + 1 < at + headerBytes ? (bytes[i + 1] as number) : 0;
      if (length < 2 || i + length > at + headerBytes) break;
      if (kind === OPTION.mss && length === 4) mss = u16(bytes, i + 2);
      if (kind === OPTION.windowScale && length === 3) windowScale = Math.min(bytes[i + 2] as number, MAX_WINDOW_SCALE);
      i += length;
    }
  }
  return {
    sourcePort: u16(bytes, at + AT.source),
    destinationPort: u16(bytes, at + AT.destination),
    seq: u32(bytes, at + AT.seq),
    ack: u32(bytes, at + AT.ack),
    flags,
    window: u16(bytes, at + AT.window),
    mss,
    windowScale,
    payload: bytes.subarray(at + headerBytes, end),
  };
}

export interface TcpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  /** Written when given, for a SYN. */
  readonly mss?: number | undefined;
  readonly windowScale?: number | undefined;
}

export const tcpHeaderBytes = (header: Pick<TcpHeader, 'mss' | 'windowScale'>): number =>
  TCP_HEADER_BYTES + (header.mss === undefined ? 0 : 4) + (header.windowScale === undefined ? 0 : 4);

/** Writes the header with a checksum of 0 and returns its length. */
export function writeTcp(bytes: Uint8Array, at: number, header: TcpHeader): number {
  const headerBytes = tcpHeaderBytes(header);
  put16(bytes, at + AT.source, header.sourcePort);
  put16(bytes, at + AT.destination, header.destinationPort);
  put32(bytes, at + AT.seq, header.seq);
  put32(bytes, at + AT.ack, header.ack);
  bytes[at + AT.offset] = (headerBytes / 4) << 4;
  bytes[at + AT.flags] = header.flags;
  put16(bytes, at + AT.window, header.window);
  put32(bytes, at + TCP_CHECKSUM_AT, 0);
  let option = at + TCP_HEADER_BYTES;
  if (header.mss !== undefined) {
    bytes[option] = OPTION.mss;
    bytes[option + 1] = 4;
    put16(bytes, option + 2, header.mss);
    option += 4;
  }
  if (header.windowScale !== undefined) {
    bytes[option] = OPTION.nop;
    bytes[option + 1] = OPTION.windowScale;
    bytes[option + 2] = 3;
    bytes[option + 3] = header.windowScale;
  }
  return headerBytes;
}

/** What a segment occupies of the sequence space: SYN and FIN count one each. */
export const segmentLength = (segment: TcpSegment): number =>
  segment.payload.length + ((segment.flags & TCP_FLAG.syn) !== 0 ? 1 : 0) + ((segment.flags & TCP_FLAG.fin) !== 0 ? 1 : 0);
