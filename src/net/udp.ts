// The UDP header (RFC 768).
import { put16, u16 } from './big-endian.ts';

export const UDP_HEADER_BYTES = 8;
export const UDP_CHECKSUM_AT = 6;

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 0 over IPv4: the sender computed none. */
  readonly checksum: number;
  /** Behind the datagram's last byte: what the length field says. */
  readonly end: number;
  /** A view. */
  readonly payload: Uint8Array;
}

/** Undefined when the header or the length does not fit. */
export function parseUdp(bytes: Uint8Array, at: number, end: number): UdpDatagram | undefined {
  if (end - at < UDP_HEADER_BYTES) return undefined;
  const length = u16(bytes, at + 4);
  if (length < UDP_HEADER_BYTES || at + length > end) return undefined;
  return {
    sourcePort: u16(bytes, at),
    destinationPort: u16(bytes, at + 2),
    checksum: u16(bytes, at + UDP_CHECKSUM_AT),
    end: at + length,
    payload: bytes.subarray(at + UDP_HEADER_BYTES, at + length),
  };
}

/** A header with a checksum of 0. */
export function writeUdp(bytes: Uint8Array, at: number, sourcePort: number, destinationPort: number, payloadBytes: number): void {
  put16(bytes, at, sourcePort);
  put16(bytes, at + 2, destinationPort);
  put16(bytes, at + 4, UDP_HEADER_BYTES + payloadBytes);
  put16(bytes, at + UDP_CHECKSUM_AT, 0);
}
