// IP addresses as bytes, 4 or 16, as they stand in packets; text only towards people and the host's sockets.
import { u16 } from './big-endian.ts';

export type IpAddress = Uint8Array;

export const sameAddress = (a: IpAddress, b: IpAddress): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Whether the first `bits` bits of both are the same, and the family is. */
export function inPrefix(address: IpAddress, prefix: IpAddress, bits: number): boolean {
  if (address.length !== prefix.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== prefix[i]) return false;
  const mask = 0xff00 >> (bits & 7);
  return (bits & 7) === 0 || (((address[whole] as number) ^ (prefix[whole] as number)) & mask & 0xff) === 0;
}

/** Undefined unless `text` is exactly an IPv4 address in dotted form or an IPv6 address (RFC 4291, section 2.2), without a zone. */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const parts = text.split('.').map(Number);
  return parts.every((part) => part <= 255) ? Uint8Array.from(parts) : undefined;
}

function parseIpv6(text: string): IpAddress | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let words = text;
  if (dotted !== null) {
    const tail = parseIpv4(dotted[2] as string);
    if (tail === undefined) return undefined;
    words = `${dotted[1]}${u16(tail, 0).toString(16)}:${u16(tail, 2).toString(16)}`;
  }
  const halves = words.split('::');
  if (halves.length > 2) return undefined;
  const lists = halves.map((half) => (half === '' ? [] : half.split(':')));
  const given = lists.flat();
  if (!given.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return undefined;
  if (halves.length === 1 ? given.length !== 8 : given.length > 7) return undefined;
  const head = lists[0] ?? [];
  const tail = lists[1] ?? [];
  const all = halves.length === 1 ? given : [...head, ...new Array<string>(8 - given.length).fill('0'), ...tail];
  const bytes = new Uint8Array(16);
  all.forEach((word, i) => {
    const value = Number.parseInt(word, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value;
  });
  return bytes;
}

/** IPv6 in the form of RFC 5952: lower case, the longest run of two or more zero words left out. */
export function formatIp(address: IpAddress): string {
  if (address.length === 4) return address.join('.');
  const words = Array.from({ length: 8 }, (_, i) => u16(address, 2 * i));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && words[end] === 0) end++;
    if (end - i > bestLength) [best, bestLength] = [i, end - i];
  }
  const text = (part: number[]) => part.map((word) => word.toString(16)).join(':');
  return best < 0 ? text(words) : `${text(words.slice(0, best))}::${text(words.slice(best + bestLength))}`;
}
