// DHCP messages (RFC 2131, section 2) and their options (RFC 2132).
import { put16, put32, u16, u32 } from './big-endian.ts';
import type { IpAddress } from './ip-address.ts';
import type { MacAddress } from './mac-address.ts';

export const DHCP_PORT = { server: 67, client: 68 } as const;
export const DHCP = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;
export const DHCP_OPTION = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostname: 12,
  domain: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseSeconds: 51,
  messageType: 53,
  server: 54,
  parameterList: 55,
  message: 56,
  renewSeconds: 58,
  rebindSeconds: 59,
  clientId: 61,
  end: 255,
} as const;
const AT = {
  op: 0,
  htype: 1,
  hlen: 2,
  xid: 4,
  flags: 10,
  ciaddr: 12,
  yiaddr: 16,
  siaddr: 20,
  giaddr: 24,
  chaddr: 28,
  cookie: 236,
} as const;
const OPTIONS = 240;
const COOKIE = 0x63825363;
/** A BOOTP message is at least this long (RFC 1542, section 2.1). */
const MIN_BYTES = 300;

export interface DhcpMessage {
  readonly type: number;
  readonly xid: number;
  /** The client cannot take unicast yet: the flags' highest bit. */
  readonly broadcast: boolean;
  readonly clientAddress: IpAddress;
  readonly mac: MacAddress;
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** A client's message; undefined for anything else or anything malformed. Options of one code are joined (RFC 3396). */
export function parseDhcp(bytes: Uint8Array): DhcpMessage | undefined {
  if (bytes.length < OPTIONS || bytes[AT.op] !== 1 || bytes[AT.htype] !== 1 || bytes[AT.hlen] !== 6) return undefined;
  if (u32(bytes, AT.cookie) !== COOKIE) return undefined;
  const options = new Map<number, Uint8Array>();
  for (let at = OPTIONS; at < bytes.length; ) {
    const code = bytes[at] as number;
    if (code === DHCP_OPTION.end) break;
    if (code === DHCP_OPTION.pad) {
      at++;
      continue;
    }
    const length = bytes[at + 1];
    if (length === undefined || at + 2 + length > bytes.length) return undefined;
    const value = bytes.slice(at + 2, at + 2 + length);
    const before = options.get(code);
    options.set(code, before === undefined ? value : Uint8Array.of(...before, ...value));
    at += 2 + length;
  }
  const type = options.get(DHCP_OPTION.messageType);
  if (type?.length !== 1) return undefined;
  return {
    type: type[0] as number,
    xid: u32(bytes, AT.xid),
    broadcast: (u16(bytes, AT.flags) & 0x8000) !== 0,
    clientAddress: bytes.slice(AT.ciaddr, AT.ciaddr + 4),
    mac: bytes.slice(AT.chaddr, AT.chaddr + 6),
    options,
  };
}

/** A server's reply to `request`. `yourAddress` is left out of a NAK and of the answer to an INFORM. */
export function dhcpReply(
  request: DhcpMessage,
  server: IpAddress,
  yourAddress: IpAddress | undefined,
  options: readonly (readonly [number, Uint8Array])[],
): Uint8Array {
  const length = options.reduce((sum, [, value]) => sum + 2 + value.length, OPTIONS + 1);
  const bytes = new Uint8Array(Math.max(MIN_BYTES, length));
  bytes[AT.op] = 2;
  bytes[AT.htype] = 1;
  bytes[AT.hlen] = 6;
  put32(bytes, AT.xid, request.xid);
  put16(bytes, AT.flags, request.broadcast ? 0x8000 : 0);
  bytes.set(request.clientAddress, AT.ciaddr);
  if (yourAddress !== undefined) bytes.set(yourAddress, AT.yiaddr);
  bytes.set(server, AT.siaddr);
  bytes.set(request.mac, AT.chaddr);
  put32(bytes, AT.cookie, COOKIE);
  let at = OPTIONS;
  for (const [code, value] of options) {
    bytes[at] = code;
    bytes[at + 1] = value.length;
    bytes.set(value, at + 2);
    at += 2 + value.length;
  }
  bytes[at] = DHCP_OPTION.end;
  return bytes;
}
