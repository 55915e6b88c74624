// Which frames a RTL8139 takes: receive configuration and the multicast hash table (RTL8139C datasheet, 5.7 and 5.8).
import { RX_CONFIG, RX_HEADER } from './registers.ts';

/** Bits of the status in front of the frame, or undefined when the card does not want it. */
export function filterFrame(frame: Uint8Array, config: number, mac: Uint8Array, hash: Uint8Array): number | undefined {
  const group = ((frame[0] as number) & 1) !== 0;
  const all = (config & RX_CONFIG.promiscuous) !== 0;
  if (!group) {
    const own = mac.every((byte, i) => frame[i] === byte);
    if (own && (all || config & RX_CONFIG.own)) return RX_HEADER.own;
    return all ? 0 : undefined;
  }
  if (frame.subarray(0, 6).every((byte) => byte === 0xff))
    return all || config & RX_CONFIG.broadcast ? RX_HEADER.broadcast : undefined;
  if (all) return RX_HEADER.multicast;
  const bit = crc32(frame.subarray(0, 6)) >>> 26;
  const wanted = (((hash[bit >> 3] as number) >> (bit & 7)) & 1) !== 0;
  return config & RX_CONFIG.multicast && wanted ? RX_HEADER.multicast : undefined;
}

/** Ethernet's, most significant bit first, as the hash is made of it. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) {
      const feedback = ((crc >>> 31) ^ rest) & 1;
      crc = (crc << 1) ^ (feedback ? 0x04c1_1db7 : 0);
      rest >>= 1;
    }
  }
  return crc >>> 0;
}
