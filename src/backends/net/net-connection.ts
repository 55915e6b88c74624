// A connected network frontend: the card that is plugged into the network. Its rings are found by what the frontend wrote into
// its directory (connect_data_rings of Linux's netback).
import { PAGE_SIZE } from '../../abi/types.ts';
import { EINVAL, EOPNOTSUPP } from '../../abi/xen/errno.ts';
import { NetifRxRequest, NetifTxRequest } from '../../abi/xen/netif.ts';
import {
  ETHERNET_HEADER_BYTES,
  type Frame,
  type FrameOffloads,
  type FrameReceiver,
  type FrameSink,
  GSO,
} from '../../io/frame-sink.ts';
import { u16 } from '../../net/big-endian.ts';
import { ETHERNET, ETHERTYPE } from '../../net/ethernet.ts';
import { completeChecksum } from '../../net/prepare-frame.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import { BackRing } from '../ring.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection } from '../xenbus/backend-driver.ts';
import type { FrontendKeys } from '../xenbus/frontend-keys.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { flowHash } from './flow-hash.ts';
import { MulticastFilter } from './multicast-filter.ts';
import type { NetCounters } from './net-counters.ts';
import { RxQueue } from './rx-queue.ts';
import { TxQueue } from './tx-queue.ts';

/** A tag that no MTU counts. */
const VLAN_TAG_BYTES = 4;

export interface NetConnectionOptions {
  readonly device: BackendDevice;
  readonly sink: FrameSink;
  readonly counters: NetCounters;
  readonly maxQueues: number;
  readonly mtu: number;
}

interface QueuePair {
  readonly tx: TxQueue;
  readonly rx: RxQueue;
  readonly txRing: BackRing;
  readonly rxRing: BackRing;
  readonly channels: BackendChannel[];
}

export class NetConnection implements BackendConnection, FrameReceiver {
  readonly offloads: FrameOffloads;
  readonly #options: NetConnectionOptions;
  readonly #queues: QueuePair[] = [];
  readonly #multicast = new MulticastFilter();
  readonly #multicastWatch: Disposable;
  /** The largest frame without GSO. */
  readonly #plainBytes: number;
  /** The queue that is served first when the network has room, so that none has it all. */
  #turn = 0;

  private constructor(options: NetConnectionOptions) {
    const { device, mtu } = options;
    const { frontend } = device;
    this.#options = options;
    const sg = frontend.flag('feature-sg');
    const checksumIpv4 = !frontend.flag('feature-no-csum-offload');
    const checksumIpv6 = frontend.flag('feature-ipv6-csum-offload');
    const gsoIpv4 = sg && checksumIpv4 && frontend.flag('feature-gso-tcpv4');
    const gsoIpv6 = sg && checksumIpv6 && frontend.flag('feature-gso-tcpv6');
    const plain = ETHERNET_HEADER_BYTES + mtu;
    this.#plainBytes = Math.min(plain + VLAN_TAG_BYTES, sg ? plain + VLAN_TAG_BYTES : PAGE_SIZE);
    const maxFrameBytes = gsoIpv4 || gsoIpv6 ? ETHERNET_HEADER_BYTES + 0xffff : Math.min(plain, this.#plainBytes);
    this.offloads = { checksumIpv4, checksumIpv6, gsoIpv4, gsoIpv6, maxFrameBytes };
    this.#readMulticast();
    this.#multicastWatch = device.watchFrontend('request-multicast-control', () => this.#readMulticast());
  }

  static connect(options: NetConnectionOptions): NetConnection | Refusal {
    const { device, maxQueues } = options;
    const { frontend } = device;
    if (!frontend.flag('request-rx-copy'))
      return new Refusal(EOPNOTSUPP, `${frontend.path}/request-rx-copy is not set, and pages are not flipped`);
    const count = frontend.number('multi-queue-num-queues', { fallback: 1 });
    if (count instanceof Refusal) return count;
    if (count < 1 || count > maxQueues)
      return new Refusal(EINVAL, `guest requested ${count} queues, exceeding the maximum of ${maxQueues}`);
    const connection = new NetConnection(options);
    const refusal = connection.#start(count);
    if (refusal === undefined) return connection;
    connection.close();
    return refusal;
  }

  get queues(): number {
    return this.#queues.length;
  }

  /** What multicast frames the guest gets. */
  get multicast(): 'all' | readonly Uint8Array[] {
    return this.#multicast.addresses;
  }

  receive(frame: Frame): boolean {
    const { counters } = this.#options;
    const { bytes } = frame;
    if (!this.#fits(frame) || !this.#multicast.passes(bytes)) {
      counters.rxDropped++;
      return true;
    }
    const index = this.#queues.length === 1 ? 0 : flowHash(bytes) % this.#queues.length;
    const queue = this.#queues[index];
    return queue === undefined || queue.rx.receive(this.#understood(frame));
  }

  writable(): void {
    const count = this.#queues.length;
    const first = this.#turn++;
    for (let i = 0; i < count; i++) this.#queues[(first + i) % count]?.tx.writable();
  }

  linkChanged(up: boolean): void {
    if (up) return this.writable();
    for (const { tx } of this.#queues) tx.drop();
  }

  /** At once: no frame is on its way, as each is copied when it comes. */
  close(): void {
    this.#multicastWatch[Symbol.dispose]();
    this.#options.sink.attach(undefined);
    for (const { tx, rx, txRing, rxRing, channels } of this.#queues.splice(0)) {
      tx.close();
      rx.close();
      for (const channel of channels) channel.close();
      txRing.unmap();
      rxRing.unmap();
    }
  }

  #start(count: number): Refusal | undefined {
    const { device, sink } = this.#options;
    const sources = Array.from({ length: count }, (_, i) =>
      count === 1 ? device.frontend : device.frontend.below(`queue-${i}`),
    );
    for (const from of sources) {
      const refusal = this.#map(from);
      if (refusal !== undefined) return refusal;
    }
    // Frames may come from here on, and go from the first channel on.
    sink.attach(this);
    this.#tellFilter();
    for (const [i, from] of sources.entries()) {
      const refusal = this.#bind(this.#queues[i] as QueuePair, from);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #map(from: FrontendKeys): Refusal | undefined {
    const { device, sink, counters } = this.#options;
    const txRef = from.number('tx-ring-ref');
    if (txRef instanceof Refusal) return txRef;
    const rxRef = from.number('rx-ring-ref');
    if (rxRef instanceof Refusal) return rxRef;
    const txRing = BackRing.map(device, [txRef], NetifTxRequest.sizeof);
    if (txRing instanceof Refusal) return txRing;
    const rxRing = BackRing.map(device, [rxRef], NetifRxRequest.sizeof);
    if (rxRing instanceof Refusal) {
      txRing.unmap();
      return rxRing;
    }
    const onMulticast = () => this.#tellFilter();
    const tx = new TxQueue({ device, sink, ring: txRing, counters, multicast: this.#multicast, onMulticast });
    const notifies = device.frontend.flag('feature-rx-notify');
    const rx = new RxQueue({ device, ring: rxRing, counters, notifies, onRoom: () => sink.resume() });
    this.#queues.push({ tx, rx, txRing, rxRing, channels: [] });
    return undefined;
  }

  /** Two channels if the frontend has them, else one for both rings. */
  #bind(queue: QueuePair, from: FrontendKeys): Refusal | undefined {
    const { tx, rx } = queue;
    const split = from.text('event-channel-tx') !== undefined && from.text('event-channel-rx') !== undefined;
    const both = () => {
      tx.service();
      rx.look();
    };
    const ends = split
      ? ([
          ['event-channel-tx', () => tx.service(), [tx]],
          ['event-channel-rx', () => rx.look(), [rx]],
        ] as const)
      : ([['event-channel', both, [tx, rx]]] as const);
    for (const [key, listener, rings] of ends) {
      const port = from.number(key);
      if (port instanceof Refusal) return port;
      const channel = this.#options.device.channels.bind(port, listener);
      if (typeof channel === 'number') return new Refusal(-channel, `binding ${key} ${port}`);
      queue.channels.push(channel);
      for (const ring of rings) {
        ring.notify = channel.notify;
        // What was answered while the channel was not known yet.
        ring.push();
      }
    }
    return undefined;
  }

  #fits({ bytes, gsoType }: Frame): boolean {
    const { length } = bytes;
    if (length < ETHERNET_HEADER_BYTES) return false;
    if (gsoType === GSO.none) return length <= this.#plainBytes;
    const { gsoIpv4, gsoIpv6, maxFrameBytes } = this.offloads;
    return length <= maxFrameBytes && (gsoType === GSO.tcpv4 ? gsoIpv4 : gsoIpv6);
  }

  /** A frame without an offload that the frontend does not know: the network may have had it before this card was there. */
  #understood(frame: Frame): Frame {
    if (frame.checksumStart === 0 || frame.gsoType !== GSO.none) return frame;
    const type = u16(frame.bytes, ETHERNET.type);
    const { checksumIpv4, checksumIpv6 } = this.offloads;
    const known = type === ETHERTYPE.ipv4 ? checksumIpv4 : type === ETHERTYPE.ipv6 && checksumIpv6;
    return known ? frame : completeChecksum(frame);
  }

  #readMulticast(): void {
    const enabled = this.#options.device.frontend.flag('request-multicast-control');
    if (enabled === this.#multicast.enabled) return;
    this.#multicast.enabled = enabled;
    if (this.#queues.length > 0) this.#tellFilter();
  }

  #tellFilter(): void {
    this.#options.sink.setFilter({ promiscuous: false, multicast: this.#multicast.addresses });
  }
}
