// Gives a guest a network card, with the nodes that libxl writes for one (libxl__set_xenstore_nic of Xen 4.20).
import { formatMac, isGroupMac, type MacAddress, parseMac } from '../../net/mac-address.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { NetBackend, type NetBackendOptions } from './net-backend.ts';

export interface VifOptions extends NetBackendOptions {
  /** The card's number. Default: the lowest that is free. */
  readonly id?: number | undefined;
  /** Default: a random one of Xen's. */
  readonly mac?: string | undefined;
  /** 32 random bits. Default: the platform's. */
  readonly random?: () => number;
  /** As in a domain's configuration, for those who read the nodes. */
  readonly bridge?: string | undefined;
  readonly script?: string | undefined;
  readonly vifname?: string | undefined;
  readonly ip?: string | undefined;
}

export interface AttachedVif {
  readonly device: BackendDevice;
  readonly backend: NetBackend;
  readonly mac: string;
}

/** LIBXL_DEVICE_NIC_MTU_DEFAULT: not written for the backend. */
const DEFAULT_MTU = 1500;

/** @throws RangeError when `mac` is no address of a card; Error when there is one with that number. */
export function attachVif(bus: BackendBus, options: VifOptions): AttachedVif {
  const { script, vifname, ip, bridge = 'xenbr0', random = platformRandom } = options;
  const address = options.mac === undefined ? randomMac(random) : parseMac(options.mac);
  if (address === undefined || isGroupMac(address, 0)) throw new RangeError(`${options.mac} is no address of a network card`);
  const mac = formatMac(address);
  let id = options.id ?? 0;
  if (options.id === undefined) while (bus.device('vif', id) !== undefined) id++;
  const backend = new NetBackend(options);
  const { mtu } = backend;
  const device = bus.attach(backend, {
    id,
    frontend: { handle: id, mac, mtu, trusted: 1 },
    backend: {
      ...(script !== undefined && { script }),
      ...(vifname !== undefined && { vifname }),
      mac,
      ...(ip !== undefined && { ip }),
      ...(mtu !== DEFAULT_MTU && { mtu }),
      bridge,
      handle: id,
      type: 'vif',
      'hotplug-status': '',
    },
  });
  return { device, backend, mac };
}

/** In the range of the Xen project, 00:16:3e; libxl leaves the fourth byte's highest bit clear. */
export function randomMac(random: () => number): MacAddress {
  const bits = random();
  return Uint8Array.of(0x00, 0x16, 0x3e, (bits >>> 16) & 0x7f, (bits >>> 8) & 0xff, bits & 0xff);
}

export const platformRandom = (): number => crypto.getRandomValues(new Uint32Array(1))[0] as number;
