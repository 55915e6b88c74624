// The header in front of each frame of a Linux tap device with IFF_VNET_HDR: struct virtio_net_hdr of the legacy form, in the
// host's byte order, little-endian wherever we run (virtio 1.2, section 5.1.6; linux/virtio_net.h).
import { ETHERNET_HEADER_BYTES, type Frame, GSO } from '../io/frame-sink.ts';

export const VNET_HEADER_BYTES = 10;
const FLAG = { needsChecksum: 1, dataValid: 2 } as const;
const TYPE = { none: 0, tcpv4: 1, tcpv6: 4 } as const;

const putLe16 = (bytes: Uint8Array, at: number, value: number) => {
  bytes[at] = value;
  bytes[at + 1] = value >> 8;
};
const le16 = (bytes: Uint8Array, at: number) => (bytes[at] as number) | ((bytes[at + 1] as number) << 8);

export function writeVnetHeader(bytes: Uint8Array, frame: Frame): void {
  const partial = frame.checksumStart !== 0;
  bytes[0] = partial ? FLAG.needsChecksum : frame.checksumValid ? FLAG.dataValid : 0;
  bytes[1] = frame.gsoType === GSO.tcpv4 ? TYPE.tcpv4 : frame.gsoType === GSO.tcpv6 ? TYPE.tcpv6 : TYPE.none;
  const tcp = frame.checksumStart + 12;
  const headers = frame.gsoType === GSO.none ? 0 : frame.checksumStart + ((frame.bytes[tcp] ?? 0) >> 4) * 4;
  putLe16(bytes, 2, headers);
  putLe16(bytes, 4, frame.gsoSize);
  putLe16(bytes, 6, frame.checksumStart);
  putLe16(bytes, 8, frame.checksumOffset);
}

/** The frame behind a header. Offsets that the frame is too short for are taken as none. */
export function readVnetHeader(buffer: Uint8Array): Frame {
  const bytes = buffer.subarray(VNET_HEADER_BYTES);
  const flags = buffer[0] as number;
  const start = le16(buffer, 6);
  const offset = le16(buffer, 8);
  const partial = (flags & FLAG.needsChecksum) !== 0 && start >= ETHERNET_HEADER_BYTES && start + offset + 2 <= bytes.length;
  const type = (buffer[1] as number) & 0x7f; // without VIRTIO_NET_HDR_GSO_ECN
  const gsoType = !partial ? GSO.none : type === TYPE.tcpv4 ? GSO.tcpv4 : type === TYPE.tcpv6 ? GSO.tcpv6 : GSO.none;
  return {
    bytes,
    checksumStart: partial ? start : 0,
    checksumOffset: partial ? offset : 0,
    checksumValid: (flags & (FLAG.needsChecksum | FLAG.dataValid)) !== 0,
    gsoType,
    gsoSize: gsoType === GSO.none ? 0 : le16(buffer, 4),
  };
}
