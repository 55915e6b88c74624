// What went through the disks and the network cards of a domain, out of the inspection tree.
import { inspectJson } from '../util/inspect/inspect-json.ts';
import { inspectAt } from '../util/inspect/inspect-path.ts';
import { listDisks, listVifs } from './device-listing.ts';
import type { MonitorTarget } from './monitor-target.ts';

/** Requests, and sectors of 512 bytes, since the device was made or reset. */
export interface DiskStatistics {
  readonly vdev: string;
  readonly devid: number;
  /** Requests that had to wait for what they need. */
  readonly 'oo-requests': number;
  readonly 'read-requests': number;
  readonly 'write-requests': number;
  readonly 'read-sectors': number;
  readonly 'write-sectors': number;
  readonly errors: number;
}

/** As the guest counts: tx is what it sent. */
export interface VifStatistics {
  readonly devid: number;
  readonly mac: string;
  readonly 'rx-bytes': number;
  readonly 'rx-packets': number;
  readonly 'rx-errors': number;
  readonly 'rx-dropped': number;
  readonly 'tx-bytes': number;
  readonly 'tx-packets': number;
  readonly 'tx-errors': number;
  readonly 'tx-dropped': number;
}

export interface DeviceStatistics {
  readonly disks: readonly DiskStatistics[];
  readonly vifs: readonly VifStatistics[];
}

type Counters = (name: string) => number;

function countersOf(target: MonitorTarget, device: string): Counters {
  let counters: Readonly<Record<string, unknown>> = {};
  try {
    counters = inspectJson(inspectAt(target.inspect(), `/devices/${device}/device/counters`)) as Record<string, unknown>;
  } catch {
    // It was detached meanwhile, or its driver counts nothing.
  }
  return (name) => {
    const value = Number(counters[name] ?? 0);
    return Number.isFinite(value) ? value : 0;
  };
}

export function deviceStatistics(target: MonitorTarget): DeviceStatistics {
  return {
    disks: listDisks(target).map(({ vdev, devid }) => {
      const count = countersOf(target, `vbd-${devid}`);
      return {
        vdev,
        devid,
        // Every request here has what it needs from the start.
        'oo-requests': 0,
        'read-requests': count('readRequests'),
        'write-requests': count('writeRequests'),
        'read-sectors': count('readSectors'),
        'write-sectors': count('writeSectors'),
        errors: count('errors'),
      };
    }),
    vifs: listVifs(target).map(({ devid, mac }) => {
      const count = countersOf(target, `vif-${devid}`);
      return {
        devid,
        mac,
        'rx-bytes': count('rxBytes'),
        'rx-packets': count('rxFrames'),
        'rx-errors': count('rxErrors'),
        'rx-dropped': count('rxDropped'),
        'tx-bytes': count('txBytes'),
        'tx-packets': count('txFrames'),
        'tx-errors': count('txErrors'),
        'tx-dropped': count('txDropped'),
      };
    }),
  };
}
