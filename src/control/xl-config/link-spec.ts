// Where a network card leads to: link= of a vif.
import { type ConfigPosition, XlConfigError } from './config-error.ts';

export type LinkAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** Where a network card leads to. */
export type LinkSpec =
  /** A network in user mode of the card's own: DHCP, DNS, a way out, and forwarded ports as the way in. */
  | { readonly kind: 'user' }
  /** A switch of this name that all domains of the user on this host share. */
  | { readonly kind: 'switch'; readonly name: string; readonly directory?: string }
  /** A tap device of the host's. */
  | { readonly kind: 'tap'; readonly ifname: string }
  /** A cable to one other process, as QEMU's "-netdev stream" is. */
  | { readonly kind: 'socket'; readonly role: 'listen' | 'connect'; readonly address: LinkAddress };

const KINDS = 'use user, switch:NAME, tap:IFNAME, socket:listen=ADDRESS or socket:connect=ADDRESS';
/** Linux: IFNAMSIZ with its NUL is 16, and a name has no slash and no blank. */
const IFNAME = /^[^\s/]{1,15}$/;
/** Part of a socket's path, which is short. */
export const SWITCH_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/;

/** @throws XlConfigError */
export function parseLink(text: string, position: ConfigPosition): LinkSpec {
  const colon = text.indexOf(':');
  const [kind, rest] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  switch (kind) {
    case 'user':
      if (colon < 0) return { kind };
      break;
    case 'switch':
      if (SWITCH_NAME.test(rest)) return { kind, name: rest };
      throw new XlConfigError(
        position,
        `vif: '${rest}' is no name for a switch`,
        'write link=switch:NAME, up to 32 letters, digits, dots and dashes',
      );
    case 'tap':
      if (IFNAME.test(rest)) return { kind, ifname: rest };
      throw new XlConfigError(
        position,
        `vif: '${rest}' is no name for a tap device`,
        'write link=tap:IFNAME, such as link=tap:tap0',
      );
    case 'socket':
      return parseSocket(rest, position);
  }
  throw new XlConfigError(position, `vif: there is no link '${text}'`, KINDS);
}

/** A Unix socket's path has a slash; else it is [HOST]:PORT, and the host is the loopback unless given. */
function parseSocket(text: string, position: ConfigPosition): LinkSpec {
  const [, role, address = ''] = /^(listen|connect)=(.*)$/.exec(text) ?? [];
  const wrong = (problem: string): XlConfigError =>
    new XlConfigError(
      position,
      `vif: ${problem}`,
      'write link=socket:listen=ADDRESS or link=socket:connect=ADDRESS, with a path or [HOST]:PORT as the address',
    );
  if (role !== 'listen' && role !== 'connect') throw wrong(`'${text}' is no socket link`);
  if (address.includes('/')) return { kind: 'socket', role, address: { path: address } };
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:]*)):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 0xffff) throw wrong(`'${address}' is no address`);
  return { kind: 'socket', role, address: { host: (bracketed ?? plain) || '127.0.0.1', port } };
}

/** As it is written. */
export function linkText(link: LinkSpec): string {
  if (link.kind === 'user') return 'user';
  if (link.kind === 'switch') return `switch:${link.name}`;
  if (link.kind === 'tap') return `tap:${link.ifname}`;
  const { address } = link;
  const host = 'host' in address ? (address.host.includes(':') ? `[${address.host}]` : address.host) : '';
  return `socket:${link.role}=${'path' in address ? address.path : `${host}:${address.port}`}`;
}
