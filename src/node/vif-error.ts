// Why a network card could not be plugged in, as a person is told.
import { type LinkSpec, linkText } from '../control/xl-config/link-spec.ts';
import { NetworkOptionError } from '../net/user/network-plan.ts';
import { ControlConnectionError } from './control-error.ts';
import { TapError } from './tap.ts';

/** `message` is one line: the place in the configuration, if there is one, the reason and the next step. */
export class VifError extends Error {
  override readonly name = 'VifError';
  readonly hint: string;

  constructor(place: string | undefined, problem: string, hint: string, options?: ErrorOptions) {
    super(`${place === undefined ? '' : `${place}: `}vif: ${problem}; ${hint}`.replaceAll(/\s*[\r\n]\s*/g, ' '), options);
    this.hint = hint;
  }
}

/** What became of a link, with its place. Options that a program got wrong stay what they are. */
export function vifFailure(error: unknown, link: LinkSpec, place: string | undefined): unknown {
  if (error instanceof NetworkOptionError) {
    return place === undefined
      ? error
      : new VifError(place, error.message, 'see link=, hostfwd= and mtu= in README.md', { cause: error });
  }
  if (error instanceof TapError && link.kind === 'tap')
    return new VifError(place, `link=${linkText(link)}: ${error.message.replace(/;.*/, '')}`, tapHint(error.code, link.ifname), {
      cause: error,
    });
  if (error instanceof ControlConnectionError) return new VifError(place, `link=${linkText(link)}: ${error.message}`, error.hint);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const what = link.kind === 'user' ? 'hostfwd' : `link=${linkText(link)}`;
  return new VifError(place, `${what}: ${message}`, HINTS[code] ?? 'check the address', { cause: error });
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'something listens there already: end it, or choose another address',
  EADDRNOTAVAIL: 'this host has no such address: choose another',
  EACCES: 'ports below 1024 and other users’ directories need privileges: choose another address',
  ECONNREFUSED: 'start the side with link=socket:listen=… first',
  ENOENT: 'start the side with link=socket:listen=… first, and check the path',
  ENOTFOUND: 'check the name of the host',
};

function tapHint(code: string, ifname: string): string {
  const make = `as root: ip tuntap add dev ${ifname} mode tap user $USER && ip link set ${ifname} up`;
  switch (code) {
    case 'ENODEV':
      return `make it, ${make}`;
    case 'EPERM':
      return `it belongs to somebody else, or is not kept; ${make}`;
    case 'EACCES':
      return 'have an administrator let you open /dev/net/tun, or use link=user';
    case 'EBUSY':
      return 'another program uses it: end that, or choose another';
    case 'EINVAL':
      return 'it is no tap device: choose another';
    case 'ENOENT':
      return 'as root: modprobe tun';
    default:
      return 'use link=user';
  }
}
