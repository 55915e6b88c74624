// The Internet checksum (RFC 1071): one's complement of the one's complement sum of 16-bit words.
import { put16, u16 } from './big-endian.ts';

/** Adds the bytes from `from` to `to` to a running sum; an odd last byte is padded with zero. The result needs `fold`. */
export function addSum(bytes: Uint8Array, from: number, to: number, start = 0): number {
  let sum = start;
  let at = from;
  // Sums stay exact: 64 KiB of words add less than 2^32 to what has been folded before.
  for (const end = to - 7; at < end; at += 8) {
    sum +=
      (((bytes[at] as number) + (bytes[at + 2] as number) + (bytes[at + 4] as number) + (bytes[at + 6] as number)) << 8) +
      (bytes[at + 1] as number) +
      (bytes[at + 3] as number) +
      (bytes[at + 5] as number) +
      (bytes[at + 7] as number);
  }
  for (; at + 1 < to; at += 2) sum += u16(bytes, at);
  return at < to ? sum + ((bytes[at] as number) << 8) : sum;
}

/** A running sum in 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return folded;
}

/** What belongs into a checksum field for a running sum. */
export const complement = (sum: number): number => ~fold(sum) & 0xffff;

/**
 * The pseudo header's sum: addresses, protocol, length (RFC 9293, section 3.1; RFC 8200, section 8.1).
 * @param addressesAt where the source address stands, the destination after it
 * @param addressBytes 4 or 16
 * @param length of the transport header and payload
 */
export function pseudoSum(
  bytes: Uint8Array,
  addressesAt: number,
  addressBytes: number,
  protocol: number,
  length: number,
): number {
  return addSum(bytes, addressesAt, addressesAt + 2 * addressBytes, protocol + length);
}

/** Fills in the checksum at `field` over `from`..`to`; `pseudo` is a running sum. UDP's 0 becomes 0xffff (RFC 768). */
export function putChecksum(bytes: Uint8Array, field: number, from: number, to: number, pseudo = 0, zeroIsNone = false): void {
  put16(bytes, field, 0);
  const sum = complement(addSum(bytes, from, to, pseudo));
  put16(bytes, field, zeroIsNone && sum === 0 ? 0xffff : sum);
}

/** Whether the bytes, their checksum field included, sum up. */
export const checksumHolds = (bytes: Uint8Array, from: number, to: number, pseudo = 0): boolean =>
  fold(addSum(bytes, from, to, pseudo)) === 0xffff;
