// A share as a domain has it: over resets of the machine the same folder, each time a driver of its own.
import type { FileTree } from '../../io/file-tree.ts';
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { ShareBackend } from './share-backend.ts';

/** How a directory is shared with the guest. */
export interface ShareOptions {
  /** What the guest mounts it by: 1 to 255 printable characters of ASCII, without space, comma and slash. */
  readonly tag: string;
  readonly tree: FileTree;
  /** The device's number. Default: the lowest that is free. */
  readonly id?: number;
  /** Where the folder is, for people. */
  readonly path?: string;
  /** Default: as the tree is. */
  readonly readOnly?: boolean;
}

/** Whether a guest's mount(8) can name it. */
export const isShareTag = (tag: string): boolean => /^[!-+\-.0-~]{1,255}$/.test(tag);

/** The folder is closed with the device. @throws RangeError for a tag that cannot be mounted */
export function shareDevice(options: ShareOptions): PvDevice {
  const { tag, tree, path = '', readOnly = false } = options;
  if (!isShareTag(tag)) throw new RangeError(`${JSON.stringify(tag)} is no tag that a guest can mount`);
  return {
    type: '9pfs',
    name: tag,
    // The nodes of libxl_9pfs.c.
    attach: (bus: BackendBus): BackendDevice =>
      bus.attach(new ShareBackend(tree, { readOnly }), {
        id: options.id ?? freeId(bus),
        frontend: { tag },
        backend: { path, security_model: 'none' },
      }),
    close: () => tree.close(),
  };
}

function freeId(bus: BackendBus): number {
  for (let id = 0; ; id++) if (bus.device('9pfs', id) === undefined) return id;
}
