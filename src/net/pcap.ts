// Capture files of libpcap with nanoseconds (pcap-savefile(5)): what Wireshark and tcpdump -r read.

const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;
/** Larger than any frame. */
export const PCAP_SNAP_LENGTH = 0x40000;
const RECORD_HEADER_BYTES = 16;

/** The 24 bytes that a file begins with. */
export function pcapFileHeader(): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC_NANOSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, PCAP_SNAP_LENGTH, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return bytes;
}

/**
 * One frame with its header.
 * @param epochMs milliseconds since 1970, with a fraction
 */
export function pcapRecord(frame: Uint8Array, epochMs: number): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + frame.length);
  const view = new DataView(bytes.buffer);
  const seconds = Math.floor(epochMs / 1000);
  view.setUint32(0, seconds, true);
  view.setUint32(4, Math.min(999_999_999, Math.floor((epochMs - seconds * 1000) * 1e6)), true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, frame.length, true);
  bytes.set(frame, RECORD_HEADER_BYTES);
  return bytes;
}
