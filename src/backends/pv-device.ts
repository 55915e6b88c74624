// A PV device as its owner sees it: something that can be given to a guest, and given anew to the one after a reset.
import type { BackendBus } from './xenbus/backend-bus.ts';
import type { BackendDevice } from './xenbus/backend-device.ts';

export interface PvDevice {
  /** Of the frontend, as in the guest's `device/<type>`: vbd, vif, console, 9pfs, vkbd, vfb. */
  readonly type: string;
  /** Which of its type, as a person says it: xvda, 0, share. */
  readonly name: string;
  /**
   * Gives it to the guest of this bus. Called once for each bus, never for two at a time: what must survive a reset of the
   * machine is the device's, the rest its driver's. @throws RangeError when it cannot be given, Error when its number is taken
   */
  attach(bus: BackendBus): BackendDevice;
  /** No guest has it any more: closes what is behind it on the host. Called once. */
  close(): Promise<void>;
}
