// What the process that runs a domain does about its PV devices: files and networks are opened there.
import type { DiskSpec } from './xl-config/disk-spec.ts';
import type { VifSpec } from './xl-config/vif-spec.ts';

export interface AttachRequest {
  /** What relative paths are relative to: an absolute path. Without one they are refused. */
  readonly directory?: string;
  /** Milliseconds that the guest has to take the device; undefined: it is offered, and nobody waits. */
  readonly timeout?: number;
}

export interface DetachRequest {
  /** Milliseconds that the guest has to let go. */
  readonly timeout: number;
  /** Whether the device goes after that time in any case. */
  readonly force: boolean;
}

/** Errors are one line: the device, the reason, the next step. */
export interface DevicePort {
  /** Nothing is left of a disk that cannot be attached. */
  attachDisk(disk: DiskSpec, request: AttachRequest): Promise<void>;
  attachVif(vif: VifSpec, request: AttachRequest): Promise<void>;
  /** False when the guest did not let go in time, and was not forced to. */
  detach(type: 'vbd' | 'vif', id: number, request: DetachRequest): Promise<boolean>;
  /** Puts a disc into a drive, or takes it out: the specification of a drive without a target. */
  changeMedium(drive: DiskSpec, request: Pick<AttachRequest, 'directory'>): Promise<void>;
}
