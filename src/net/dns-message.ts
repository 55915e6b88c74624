// As much of DNS as a relay needs (RFC 1035, section 4.1.1).
import { put16, u16 } from './big-endian.ts';

export const DNS_PORT = 53;
const HEADER_BYTES = 12;
const SERVFAIL = 2;

/** Whether it is a query: a header with QR clear and a question. */
export const isDnsQuery = (message: Uint8Array): boolean =>
  message.length > HEADER_BYTES && ((message[2] as number) & 0x80) === 0 && u16(message, 4) > 0;

/** "Server failure" to a query: its header and first question, nothing more. */
export function serverFailure(query: Uint8Array): Uint8Array {
  let end = HEADER_BYTES;
  while (end < query.length && query[end] !== 0) end += 1 + (query[end] as number);
  const whole = end + 5 <= query.length;
  const reply = query.slice(0, whole ? end + 5 : HEADER_BYTES);
  reply[2] = 0x80 | ((query[2] as number) & 0x79);
  reply[3] = 0x80 | SERVFAIL;
  put16(reply, 4, whole ? 1 : 0);
  reply.fill(0, 6, HEADER_BYTES);
  return reply;
}
