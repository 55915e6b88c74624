// Ports of the host that lead to the guest, in QEMU's notation: "tcp:127.0.0.1:2222-10.0.2.15:22" (qemu(1), hostfwd).
import type { Endpoint } from '../../io/host-sockets.ts';
import { formatIp, type IpAddress, parseIp } from '../ip-address.ts';

export interface Forward {
  readonly protocol: 'tcp' | 'udp';
  readonly host: Endpoint;
  readonly guest: { readonly address: IpAddress; readonly port: number };
}

const FORWARD = /^(?:hostfwd=)?(?:(tcp|udp):|:)?(\[[^\]]*\]|[^:-]*):(\d+)-(\[[^\]]*\]|[^:]*):(\d+)$/;

/**
 * Without a protocol it is TCP; an empty host address means all of the host's, an empty guest address `defaultGuest`. An IPv6
 * address stands in brackets. Answers what is wrong as text.
 */
export function parseForward(text: string, defaultGuest: IpAddress | undefined): Forward | string {
  const match = FORWARD.exec(text);
  if (match === null) return `'${text}' is not [tcp|udp]:[host address]:port-[guest address]:port`;
  const [, protocol, hostText, hostPort, guestText, guestPort] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const host = parseAddress(hostText === '' ? '0.0.0.0' : hostText);
  const guest = guestText === '' ? defaultGuest : parseAddress(guestText);
  if (host === undefined) return `'${text}': '${hostText}' is not an address`;
  if (guest === undefined) return `'${text}': '${guestText}' is not an address`;
  if (Number(hostPort) > 0xffff || Number(guestPort) > 0xffff || Number(guestPort) === 0) return `'${text}': a port is 1..65535`;
  return {
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    host: { address: formatIp(host), port: Number(hostPort) },
    guest: { address: guest, port: Number(guestPort) },
  };
}

const parseAddress = (text: string): IpAddress | undefined => parseIp(text.replace(/^\[(.*)\]$/, '$1'));
