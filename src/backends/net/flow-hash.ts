// Which queue a frame for the guest takes: frames of one connection the same one, so that they stay in order.
import { u16, u32 } from '../../net/big-endian.ts';
import { ETHERNET, ETHERTYPE } from '../../net/ethernet.ts';
import { IP_PROTOCOL } from '../../net/ip-packet.ts';

/** An odd constant close to 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4). */
const MULTIPLIER = 0x9e37_79b1;

/** 32 bits; the same for every frame that is not IP. Fragments hash without ports, as only the first has them. */
export function flowHash(bytes: Uint8Array): number {
  if (bytes.length < ETHERNET.payload + 20) return 0;
  const ip = ETHERNET.payload;
  const type = u16(bytes, ETHERNET.type);
  if (type === ETHERTYPE.ipv4) {
    const protocol = bytes[ip + 9] as number;
    const whole = (u16(bytes, ip + 6) & 0x3fff) === 0;
    const ports = whole ? portsAt(bytes, ip + ((bytes[ip] as number) & 0xf) * 4, protocol) : 0;
    return mix(mix(mix(protocol, u32(bytes, ip + 12)), u32(bytes, ip + 16)), ports);
  }
  if (type !== ETHERTYPE.ipv6 || bytes.length < ip + 40) return 0;
  const next = bytes[ip + 6] as number;
  let hash = next;
  for (let at = ip + 8; at < ip + 40; at += 4) hash = mix(hash, u32(bytes, at));
  return mix(hash, portsAt(bytes, ip + 40, next));
}

function portsAt(bytes: Uint8Array, at: number, protocol: number): number {
  const has = protocol === IP_PROTOCOL.tcp || protocol === IP_PROTOCOL.udp;
  return has && at + 4 <= bytes.length ? u32(bytes, at) : 0;
}

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, MULTIPLIER);
  return (product ^ (product >>> 15)) >>> 0;
}
