// The driver of one share.
import { XEN_9PFS_MAX_RING_ORDER, XEN_9PFS_VERSION } from '../../abi/xen/9pfs.ts';
import type { FileTree } from '../../io/file-tree.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { ShareConnection } from './share-connection.ts';

/** As QEMU and xen-9pfsd offer it; Linux wants at least 2. */
const MAX_RINGS = 8;

export class ShareBackend implements BackendDriver {
  readonly type = '9pfs';
  readonly frontendType = '9pfs';
  readonly #tree: FileTree;
  readonly #readOnly: boolean;
  #connection: ShareConnection | undefined;

  constructor(tree: FileTree, options: { readonly readOnly?: boolean } = {}) {
    this.#tree = tree;
    this.#readOnly = options.readOnly === true || tree.readOnly;
  }

  offer(): StoreKeys {
    return { versions: XEN_9PFS_VERSION, 'max-rings': MAX_RINGS, 'max-ring-page-order': XEN_9PFS_MAX_RING_ORDER };
  }

  async connect(device: BackendDevice): Promise<BackendConnection | Refusal> {
    const options = { tree: this.#tree, readOnly: this.#readOnly, maxRings: MAX_RINGS };
    const connection = await ShareConnection.connect(device, options);
    if (connection instanceof Refusal) return connection;
    this.#connection = connection;
    return {
      close: async () => {
        await connection.close();
        this.#connection = undefined;
      },
    };
  }

  inspect(): InspectTree {
    return { read_only: this.#readOnly, ...this.#connection?.inspect() };
  }
}
