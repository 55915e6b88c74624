// A network interface as xl-network-configuration(5) writes it.
import { type ConfigPosition, XlConfigError } from './config-error.ts';
import { readDevice } from './device-words.ts';
import { type LinkSpec, parseLink } from './link-spec.ts';
import type { PlacedString } from './setting-reader.ts';

export interface VifSpec {
  /** Its index in the list, unless devid= says otherwise. */
  readonly devid: number;
  /** Six bytes in hexadecimal with colons, lower case; undefined: to be chosen. */
  readonly mac?: string;
  readonly bridge?: string;
  readonly type: 'vif' | 'ioemu';
  /** Whether an HVM guest is given an emulated card in the same place: unless the type is said to be vif. */
  readonly emulated: boolean;
  readonly model?: string;
  readonly vifname?: string;
  readonly script?: string;
  readonly ip?: string;
  readonly backend?: string;
  readonly gatewaydev?: string;
  readonly vlan?: string;
  readonly mtu?: number;
  readonly rate?: VifRate;
  readonly trusted: boolean;
  /** What dom1 adds: where the interface leads to, ports of the host that lead to it, and a capture file. */
  readonly link?: LinkSpec;
  readonly hostfwd: readonly string[];
  readonly pcap?: string;
  readonly position: ConfigPosition;
}

/** Bytes that may be sent in each interval. */
export interface VifRate {
  readonly bytesPerSecond: number;
  readonly intervalUs: number;
}

const STRINGS = [
  'mac',
  'bridge',
  'type',
  'model',
  'vifname',
  'script',
  'ip',
  'backend',
  'gatewaydev',
  'netdev',
  'vlan',
  'rate',
  'link',
  'pcap',
  'accel',
];

/** @throws XlConfigError */
export function parseVifSpec(spec: PlacedString, index: number): VifSpec {
  const values = readDevice(spec, {
    device: 'vif',
    strings: STRINGS,
    many: ['hostfwd'],
    integers: ['devid', 'mtu'],
    flags: { trusted: ['trusted', true], untrusted: ['trusted', false] },
  });
  const at = (key: string): ConfigPosition => values.positions.get(key) ?? spec.position;
  const text = (key: string): string | undefined => values.strings.get(key) || undefined;
  const type = text('type') ?? 'vif';
  if (type !== 'vif' && type !== 'ioemu') throw new XlConfigError(at('type'), `vif: '${type}' is no type`, 'use vif or ioemu');
  const mac = text('mac')?.toLowerCase();
  if (mac !== undefined && !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac))
    throw new XlConfigError(
      at('mac'),
      `vif: '${mac}' is no MAC address`,
      'write six pairs of digits with colons, such as 00:16:3e:00:00:01',
    );
  if (mac !== undefined && (Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0)
    throw new XlConfigError(at('mac'), `vif: ${mac} is a multicast address`, 'its second digit must be even');
  const mtu = values.integers.get('mtu');
  if (mtu !== undefined && (mtu < 68 || mtu > 65535))
    throw new XlConfigError(at('mtu'), `vif: mtu cannot be ${mtu}`, 'give 68 to 65535');
  const linkWord = text('link');
  const link = linkWord === undefined ? undefined : parseLink(linkWord, at('link'));
  if (link !== undefined && link.kind !== 'user' && values.many.has('hostfwd'))
    throw new XlConfigError(
      at('hostfwd'),
      `vif: link=${linkWord} has no ports to forward`,
      'hostfwd needs link=user; leave one of them out',
    );
  const rate = text('rate');
  const gatewaydev = text('gatewaydev') ?? text('netdev');
  const optional = Object.fromEntries(
    ['bridge', 'model', 'vifname', 'script', 'ip', 'backend', 'vlan', 'pcap'].flatMap((key) =>
      text(key) === undefined ? [] : [[key, text(key)]],
    ),
  ) as Partial<VifSpec>;
  return {
    ...optional,
    devid: values.integers.get('devid') ?? index,
    type,
    emulated: text('type') !== 'vif',
    ...(mac !== undefined && { mac }),
    ...(gatewaydev !== undefined && { gatewaydev }),
    ...(mtu !== undefined && { mtu }),
    ...(link !== undefined && { link }),
    ...(rate !== undefined && { rate: parseRate(rate, at('rate')) }),
    trusted: values.booleans.get('trusted') ?? true,
    hostfwd: values.many.get('hostfwd') ?? [],
    position: spec.position,
  };
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, K: 1000, M: 1_000_000, G: 1_000_000_000 };
const INTERVAL_US: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };
const DEFAULT_INTERVAL_US = 50_000;

/** RATE/s[@INTERVAL]: bytes with B, bits with b. @throws XlConfigError */
function parseRate(text: string, position: ConfigPosition): VifRate {
  const [, amount, unit = '', kind, interval, intervalUnit] =
    /^(\d{1,9})([KMG]?)([Bb])\/s(?:@(\d{1,9})(us|ms|s))?$/.exec(text) ?? [];
  const bytesPerSecond = Math.floor(Number(amount) * (UNIT_BYTES[unit] as number) * (kind === 'b' ? 1 / 8 : 1));
  const intervalUs =
    interval === undefined ? DEFAULT_INTERVAL_US : Number(interval) * (INTERVAL_US[intervalUnit as string] as number);
  if (!(bytesPerSecond > 0 && intervalUs > 0))
    throw new XlConfigError(position, `vif: '${text}' is no rate`, 'write it as 10Mb/s, 250KB/s or 1MB/s@20ms');
  return { bytesPerSecond, intervalUs };
}
