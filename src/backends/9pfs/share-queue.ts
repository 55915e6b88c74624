// One ring of a share: takes messages, has several served at a time, and answers in the order they are done. An answer waits
// until all of it fits, because Linux reads the whole of a message once it sees its header.
import { XEN_9PFS_HEADER_BYTES } from '../../abi/xen/9pfs.ts';
import { EIO } from '../../abi/xen/errno.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { Refusal } from '../xenbus/refusal.ts';
import type { DataRing } from './data-ring.ts';
import type { P9Server } from './protocol/server.ts';

/** Messages taken before something else has its turn. */
const TURN = 128;

export interface ShareQueueOptions {
  readonly device: BackendDevice;
  readonly server: P9Server;
  readonly ring: DataRing;
  /** No message is longer. */
  readonly maxMessageBytes: number;
  /** Messages that are served, or whose answers wait for room, at a time. */
  readonly mostUnderWay: number;
}

export class ShareQueue {
  readonly #options: ShareQueueOptions;
  #channel: BackendChannel | undefined;
  /** What has come of a message so far: its header, and then all of it. */
  #message = new Uint8Array(XEN_9PFS_HEADER_BYTES);
  #have = 0;
  #underWay = 0;
  #answers: Uint8Array[] = [];
  #turn = TURN;
  #scheduled = false;
  #later: Disposable | undefined;
  /** Nothing is taken from the ring any more. */
  #stopped = false;
  /** The ring is not ours any more, or broken. */
  #mute = false;

  constructor(options: ShareQueueOptions) {
    this.#options = options;
  }

  /** Begins with a bound channel. Returns 0 or a negated errno. */
  start(port: number): number {
    const channel = this.#options.device.channels.bind(port, () => this.#service());
    if (typeof channel === 'number') return channel;
    this.#channel = channel;
    // For what was taken while the channel was not known yet.
    channel.notify();
    return 0;
  }

  inspect(): InspectTree {
    return {
      half_bytes: this.#options.ring.halfBytes,
      under_way: this.#underWay,
      answers_waiting: this.#answers.length,
      stopped: this.#stopped,
    };
  }

  /** Takes nothing from now on. */
  stop(): void {
    this.#stopped = true;
    this.#later?.[Symbol.dispose]();
  }

  /** Nothing is served any more: gives everything back. */
  close(): void {
    this.#answer();
    this.#mute = true;
    this.#channel?.close();
    this.#options.ring.unmap();
  }

  #service(): void {
    this.#turn = TURN;
    this.#look();
  }

  /** Answers what can be answered, and takes what may be taken. */
  #look(): void {
    const answered = this.#answer();
    const taken = this.#take();
    // A frontend may wait for room. While something is served, its answer tells; otherwise this does.
    if (answered || (taken && this.#underWay === 0)) this.#channel?.notify();
  }

  /** Whether anything was put on the ring. */
  #answer(): boolean {
    const { ring } = this.#options;
    let any = false;
    while (!this.#mute) {
      const answer = this.#answers[0];
      if (answer === undefined) break;
      const { room } = ring;
      if (room < 0) this.#broken('more answers were read than there are');
      if (room < answer.length) break;
      ring.put(answer);
      this.#answers.shift();
      this.#underWay--;
      any = true;
    }
    return any;
  }

  /** Whether anything was taken off the ring. */
  #take(): boolean {
    const { ring, maxMessageBytes, mostUnderWay } = this.#options;
    let any = false;
    while (!this.#stopped && this.#underWay < mostUnderWay) {
      const { readable } = ring;
      if (readable < 0) this.#broken('there are more requests than the ring can hold');
      if (readable <= 0) break;
      if (this.#turn === 0) {
        this.#later ??= this.#options.device.pace.after(0, () => this.#resume());
        break;
      }
      const part = this.#message.subarray(this.#have, this.#have + readable);
      ring.take(part);
      any = true;
      this.#have += part.length;
      if (this.#have < this.#message.length) continue;
      if (this.#message.length === XEN_9PFS_HEADER_BYTES) {
        const size = new DataView(this.#message.buffer).getUint32(0, true);
        if (size < XEN_9PFS_HEADER_BYTES || size > maxMessageBytes) {
          this.#broken(`a message of ${size} bytes`);
          break;
        }
        if (size > XEN_9PFS_HEADER_BYTES) {
          const message = new Uint8Array(size);
          message.set(this.#message);
          this.#message = message;
          continue;
        }
      }
      this.#serve(this.#message);
      this.#message = new Uint8Array(XEN_9PFS_HEADER_BYTES);
      this.#have = 0;
    }
    return any;
  }

  #serve(message: Uint8Array): void {
    this.#underWay++;
    this.#turn--;
    // It never rejects.
    const { device, server } = this.#options;
    void device.pace.during(server.serve(message)).then((answer) => {
      this.#answers.push(answer);
      this.#schedule();
    });
  }

  /** Several may be done before anything else runs: they are answered, and the frontend told, once. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#look();
    });
  }

  #resume(): void {
    this.#later = undefined;
    this.#service();
  }

  #broken(reason: string): void {
    if (this.#mute) return;
    this.#stopped = true;
    this.#mute = true;
    this.#options.device.refuse(new Refusal(EIO, reason));
  }
}
