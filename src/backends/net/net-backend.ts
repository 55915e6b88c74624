// The driver of one network card: what it offers, and what its owner may see of it while the guest runs.
import type { FrameSink } from '../../io/frame-sink.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from '../xenbus/backend-driver.ts';
import type { Refusal } from '../xenbus/refusal.ts';
import { NetConnection } from './net-connection.ts';
import { type NetCounters, newCounters } from './net-counters.ts';

export interface NetBackendOptions {
  /** What the card is plugged into. The backend does not close it. */
  readonly sink: FrameSink;
  /** Default 4. */
  readonly maxQueues?: number;
  /** Largest IP packet in bytes. Default: the sink's. */
  readonly mtu?: number | undefined;
}

export class NetBackend implements BackendDriver {
  readonly type = 'vif';
  readonly frontendType = 'vif';
  readonly #sink: FrameSink;
  readonly #maxQueues: number;
  readonly #mtu: number | undefined;
  readonly #counters = newCounters();
  #connection: NetConnection | undefined;

  constructor({ sink, maxQueues = 4, mtu }: NetBackendOptions) {
    this.#sink = sink;
    this.#maxQueues = maxQueues;
    this.#mtu = mtu;
  }

  get mtu(): number {
    return this.#mtu ?? this.#sink.mtu;
  }

  get counters(): Readonly<NetCounters> {
    return this.#counters;
  }

  /** The connected frontend, for inspection. */
  get connection(): NetConnection | undefined {
    return this.#connection;
  }

  /**
   * Large segments and partial checksums are offered whatever the network takes: what it does not, is cut and completed here,
   * which costs less than having the guest do it.
   */
  offer(): StoreKeys {
    return {
      'feature-sg': 1,
      'feature-gso-tcpv4': 1,
      'feature-gso-tcpv6': 1,
      'feature-ipv6-csum-offload': 1,
      'feature-rx-copy': 1,
      'feature-rx-flip': 0,
      'feature-multicast-control': 1,
      'feature-dynamic-multicast-control': 1,
      'feature-split-event-channels': 1,
      'multi-queue-max-queues': this.#maxQueues,
      'feature-ctrl-ring': 0,
    };
  }

  connect(device: BackendDevice): BackendConnection | Refusal {
    const connection = NetConnection.connect({
      device,
      sink: this.#sink,
      counters: this.#counters,
      maxQueues: this.#maxQueues,
      mtu: this.mtu,
    });
    if (!(connection instanceof NetConnection)) return connection;
    this.#connection = connection;
    return {
      close: () => {
        connection.close();
        this.#connection = undefined;
      },
    };
  }

  inspect(): InspectTree {
    return { mtu: this.mtu, counters: { ...this.#counters } };
  }
}
