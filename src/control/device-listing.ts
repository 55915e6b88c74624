// The PV devices of a domain as its XenStore has them: the backends' directories, which the guest cannot change.
import type { MonitorTarget } from './monitor-target.ts';

/** What xl's block-list and network-list show of a device, and what it is called. Null: the guest has not said it. */
export interface ListedDevice {
  readonly devid: number;
  readonly 'backend-id': number;
  /** The guest's domid: xl's "handle". */
  readonly 'frontend-id': number;
  /** Of the frontend: a XenbusState. */
  readonly state: number;
  readonly 'event-channel': number | null;
  readonly backend: string;
  readonly frontend: string;
}

export interface ListedDisk extends ListedDevice {
  /** Such as xvda. */
  readonly vdev: string;
  /** What it is kept in; empty for a drive without a disc. */
  readonly target: string;
  readonly mode: 'r' | 'w';
  readonly cdrom: boolean;
  readonly 'ring-ref': number | null;
}

export interface ListedVif extends ListedDevice {
  readonly mac: string;
  readonly 'tx-ring-ref': number | null;
  readonly 'rx-ring-ref': number | null;
}

const BACKEND_ID = 0;

type Read = (node: string) => string | undefined;

function devices<T extends ListedDevice>(
  { id, xenstore }: MonitorTarget,
  type: 'vbd' | 'vif',
  more: (backend: Read, number: (...nodes: readonly string[]) => number | null) => Omit<T, keyof ListedDevice>,
): readonly T[] {
  const home = `/local/domain/${BACKEND_ID}/backend/${type}/${id}`;
  const ids = (xenstore.list(home) ?? []).filter((name) => /^\d+$/.test(name)).map(Number);
  return ids
    .sort((a, b) => a - b)
    .map((devid) => {
      const backend = `${home}/${devid}`;
      const frontend = `/local/domain/${id}/device/${type}/${devid}`;
      // The first of the nodes that has a number: a frontend with several queues has them in directories of their own.
      const number = (...nodes: readonly string[]): number | null => {
        for (const node of nodes) {
          const text = xenstore.read(`${frontend}/${node}`);
          if (text !== undefined && /^\d{1,10}$/.test(text)) return Number(text);
        }
        return null;
      };
      const common: ListedDevice = {
        devid,
        'backend-id': BACKEND_ID,
        'frontend-id': id,
        state: number('state') ?? 0,
        'event-channel': number('event-channel', 'event-channel-tx', 'queue-0/event-channel', 'queue-0/event-channel-tx'),
        backend,
        frontend,
      };
      return { ...more((node) => xenstore.read(`${backend}/${node}`), number), ...common } as T;
    });
}

/** In the order of their numbers. */
export const listDisks = (target: MonitorTarget): readonly ListedDisk[] =>
  devices<ListedDisk>(target, 'vbd', (backend, number) => ({
    vdev: backend('dev') ?? '',
    target: backend('params') ?? '',
    mode: backend('mode') === 'w' ? 'w' : 'r',
    cdrom: backend('device-type') === 'cdrom',
    'ring-ref': number('ring-ref', 'ring-ref0', 'queue-0/ring-ref', 'queue-0/ring-ref0'),
  }));

/** In the order of their numbers. */
export const listVifs = (target: MonitorTarget): readonly ListedVif[] =>
  devices<ListedVif>(target, 'vif', (backend, number) => ({
    mac: backend('mac') ?? '',
    'tx-ring-ref': number('tx-ring-ref', 'queue-0/tx-ring-ref'),
    'rx-ring-ref': number('rx-ring-ref', 'queue-0/rx-ring-ref'),
  }));
