// What a kind of device implements. One driver object serves one device.
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { StoreValue } from '../../xen/store/store-view.ts';
import type { BackendDevice } from './backend-device.ts';
import type { Refusal } from './refusal.ts';

export type StoreKeys = { readonly [name: string]: StoreValue };

export interface BackendDriver {
  /** The directory below `backend/`: vbd, vif, … */
  readonly type: string;
  /** The directory below the guest's `device/`. Mostly the same. */
  readonly frontendType: string;
  /** Nodes of the backend that a frontend reads before it connects. Asked each time the device is offered, before InitWait. */
  offer(device: BackendDevice): StoreKeys;
  /**
   * The frontend is ready: read its keys (`device.frontend`), map its rings, bind its channels. Whatever is wrong with them is
   * a Refusal, and nothing stays mapped or bound then.
   */
  connect(device: BackendDevice): BackendConnection | Refusal | Promise<BackendConnection | Refusal>;
  /** The device is gone, for good: stops listening to what is behind it. */
  dispose?(): void;
  /** What a person is shown of it. */
  inspect?(): InspectTree;
}

/** A connected frontend. */
export interface BackendConnection {
  /** Nodes of the backend to write before state Connected. */
  readonly keys?: StoreKeys;
  /**
   * Lets go: no request begins after the call, and when it resolves those under way are over, every grant is unmapped and
   * every channel closed. Called once.
   */
  close(): Promise<void> | void;
}
