// A server of 9P2000.L for one client: messages in, messages out, whatever carries them.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { FileTree } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import { attributeHandlers } from './attribute-handlers.ts';
import { entryHandlers } from './entry-handlers.ts';
import { FidTable } from './fid-table.ts';
import { fileHandlers } from './file-handlers.ts';
import { decode, encode, P9, RLERROR, VERSION } from './messages.ts';
import type { Handler, Session } from './session.ts';
import { walkHandlers } from './walk-handlers.ts';

export interface P9ServerOptions {
  /** Bytes of the longest message that the transport carries: the most that msize can be. */
  readonly maxMessageBytes: number;
  readonly readOnly?: boolean;
  /** Default 65536. */
  readonly maxFids?: number;
  /** The tree failed at something for a reason of the host's; the client is told EIO. */
  readonly onFault?: (error: unknown) => void;
}

/** Below it a client is refused: P9_MIN_MSIZE of QEMU's server. */
const MIN_MESSAGE_BYTES = 4096;
const DEFAULT_MAX_FIDS = 65_536;

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  ...walkHandlers,
  ...fileHandlers,
  ...entryHandlers,
  ...attributeHandlers,
]);

export class P9Server {
  readonly #tree: FileTree;
  readonly #options: P9ServerOptions;
  #session: Session;
  /** By tag. */
  readonly #underWay = new Map<number, Promise<Uint8Array>>();
  /** Those of them that work on the tree. They wait for no other, so that all who wait for them come to an end. */
  readonly #work = new Map<number, Promise<Uint8Array>>();

  constructor(tree: FileTree, options: P9ServerOptions) {
    this.#tree = tree;
    this.#options = options;
    this.#session = this.#newSession(options.maxMessageBytes);
  }

  get fids(): number {
    return this.#session.fids.size;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** msize, or before it is agreed upon what it can be. */
  get messageBytes(): number {
    return this.#session.messageBytes;
  }

  /**
   * Answers a message, of which at least the header is there. It must not change any more. Never rejects, and resolves however
   * many others are under way.
   */
  serve(message: Uint8Array): Promise<Uint8Array> {
    const type = message[4] as number;
    const tag = (message[5] as number) | ((message[6] as number) << 8);
    if (this.#underWay.has(tag)) return Promise.resolve(this.#error(tag, LinuxErrno.EINVAL));
    const answer = this.#answer(type, tag, message);
    this.#underWay.set(tag, answer);
    if (type !== P9.version.type && type !== P9.flush.type) this.#work.set(tag, answer);
    return answer;
  }

  /** Ends the session: resolves when nothing is under way or open any more. */
  async close(): Promise<void> {
    await Promise.all(this.#work.values());
    await this.#end(this.#session);
  }

  async #answer(type: number, tag: number, message: Uint8Array): Promise<Uint8Array> {
    // Whatever it does, it is known to be under way before.
    await undefined;
    try {
      if (message.length > this.#session.messageBytes) return this.#error(tag, LinuxErrno.EMSGSIZE);
      if (type === P9.version.type) return await this.#version(tag, message);
      if (type === P9.flush.type) return await this.#flush(tag, message);
      const handle = HANDLERS.get(type);
      if (handle === undefined) return this.#error(tag, LinuxErrno.EOPNOTSUPP);
      const answer = await handle(this.#session, message, tag);
      return answer.length <= this.#session.messageBytes ? answer : this.#error(tag, LinuxErrno.EMSGSIZE);
    } catch (error) {
      if (error instanceof FileTreeError) return this.#error(tag, error.errno);
      this.#options.onFault?.(error);
      return this.#error(tag, LinuxErrno.EIO);
    } finally {
      this.#underWay.delete(tag);
      this.#work.delete(tag);
    }
  }

  /** Begins a new session: version(5). What was under way is over before. */
  async #version(tag: number, message: Uint8Array): Promise<Uint8Array> {
    const request = decode(P9.version.request, message);
    if (request === undefined) return this.#error(tag, LinuxErrno.EINVAL);
    const { msize, version } = request;
    if (msize < MIN_MESSAGE_BYTES) return this.#error(tag, LinuxErrno.EMSGSIZE);
    const messageBytes = Math.min(msize, this.#options.maxMessageBytes);
    const before = this.#session;
    this.#session = this.#newSession(messageBytes);
    await Promise.all(this.#work.values());
    await this.#end(before);
    const known = version === VERSION || version.startsWith(`${VERSION}.`);
    return encode(P9.version.type + 1, tag, P9.version.answer, { msize: messageBytes, version: known ? VERSION : 'unknown' });
  }

  /** Nothing is given up: the answer to the flush comes behind the answer it asks for, which flush(5) allows. */
  async #flush(tag: number, message: Uint8Array): Promise<Uint8Array> {
    const request = decode(P9.flush.request, message);
    if (request === undefined) return this.#error(tag, LinuxErrno.EINVAL);
    await this.#work.get(request.oldtag);
    return encode(P9.flush.type + 1, tag, P9.flush.answer, {});
  }

  async #end(session: Session): Promise<void> {
    try {
      await session.fids.clunkAll();
    } catch (error) {
      this.#options.onFault?.(error);
    }
  }

  #newSession(messageBytes: number): Session {
    const { maxFids = DEFAULT_MAX_FIDS, readOnly = false } = this.#options;
    const tree = this.#tree;
    return { tree, fids: new FidTable(maxFids), messageBytes, readOnly: readOnly || tree.readOnly };
  }

  #error(tag: number, errno: number): Uint8Array {
    return encode(RLERROR.type, tag, RLERROR.fields, { errno });
  }
}
