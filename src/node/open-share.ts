// A folder of this host as a device for a guest.
import { isShareTag, shareDevice } from '../backends/9pfs/share-device.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import { SharedFolder, type SharedFolderOptions } from './shared-folder.ts';
import { SharedFolderError } from './shared-folder-error.ts';

/** A directory of the host that a guest sees. */
export interface ShareConfig extends SharedFolderOptions {
  /** What the guest mounts it by: `mount -t 9p -o trans=xen,version=9p2000.L <tag> /mnt`. */
  readonly tag: string;
  /** The folder. */
  readonly path: string;
  /** The device's number. Default: the lowest that is free. */
  readonly id?: number;
}

/** Opens a directory of the host for a guest. @throws SharedFolderError */
export async function openShare(config: ShareConfig): Promise<PvDevice> {
  const { tag, path, id, ...options } = config;
  if (!isShareTag(tag))
    throw new SharedFolderError(
      'tag',
      `${path}: ${JSON.stringify(tag)} is no tag that a guest can mount`,
      'use letters and digits',
    );
  const tree = await SharedFolder.open(path, options);
  return shareDevice({ tag, tree, path, ...(id !== undefined && { id }) });
}
