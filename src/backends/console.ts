// The console backend: domain 0's side of the console ring (public/io/console.h). Runs on the I/O thread.
import type { HostAddress } from '../abi/types.ts';
import { XENCONS } from '../abi/xen/console.ts';
import { HVM_PARAM } from '../abi/xen/hvm.ts';
import type { XenDomain } from '../xen/domain.ts';
import type { BackendChannel, BackendChannels } from '../xen/events/backend-channels.ts';

export interface XenConsoleOptions {
  readonly domain: XenDomain;
  readonly channels: BackendChannels;
  /** What the guest printed. The bytes are the callee's to keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Input kept for a guest that does not read, in bytes; what is beyond is dropped. Default 64 KiB. */
  readonly inputLimit?: number;
}

/** The domain's primary console. Construct it after `domain.offerRing('console')`. */
export class XenConsole {
  readonly #domain: XenDomain;
  readonly #at: HostAddress;
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #inputLimit: number;
  readonly #channel: BackendChannel;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #ringErrors = 0;

  /** @throws Error when the guest's console port is not there to bind. */
  constructor(options: XenConsoleOptions) {
    const { domain, channels } = options;
    this.#domain = domain;
    this.#at = (domain.at + domain.plan.console) as HostAddress;
    this.#onOutput = options.onOutput;
    this.#inputLimit = options.inputLimit ?? 65536;
    const port = Number(domain.param(HVM_PARAM.CONSOLE_EVTCHN));
    const channel = channels.bind(port, () => this.#service());
    if (typeof channel === 'number') throw new Error(`the console's event channel ${port} cannot be bound: ${channel}`);
    this.#channel = channel;
  }

  /** Input for the guest. Returns how many bytes were taken: less than all when the guest does not read. */
  write(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.#inputLimit - this.#queued);
    if (taken <= 0) return 0;
    this.#queue.push(bytes.slice(0, taken));
    this.#queued += taken;
    if (this.#fill()) this.#channel.notify();
    return taken;
  }

  /** Takes back the input that has not reached the ring yet. */
  takeInput(): readonly Uint8Array[] {
    const queue = this.#queue;
    this.#queue = [];
    this.#queued = 0;
    return queue;
  }

  /** Input that waits for room in the ring. */
  get pendingInput(): number {
    return this.#queued;
  }

  /** How often a ring's indices were impossible (more bytes than the ring holds); such a ring is left alone until they are possible again. */
  get ringErrors(): number {
    return this.#ringErrors;
  }

  /** Takes what the guest printed although it sent no event: for a guest that crashed. */
  drain(): void {
    this.#service();
  }

  close(): void {
    this.#channel.close();
  }

  #service(): void {
    // Not set while the constructor binds; the first real event finds what was there.
    const consumed = this.#consume();
    const filled = this.#fill();
    if (consumed || filled) this.#channel?.notify();
  }

  #consume(): boolean {
    const { memory } = this.#domain;
    const cons = this.#index(XENCONS.out_cons);
    const prod = this.#index(XENCONS.out_prod);
    const count = (prod - cons) >>> 0;
    if (count === 0 || !this.#plausible(count, XENCONS.out_size)) return false;
    const bytes = new Uint8Array(count);
    const start = cons & (XENCONS.out_size - 1);
    const first = Math.min(count, XENCONS.out_size - start);
    const ring = this.#at + XENCONS.out;
    bytes.set(memory.u8.subarray(ring + start, ring + start + first));
    bytes.set(memory.u8.subarray(ring, ring + count - first), first);
    this.#setIndex(XENCONS.out_cons, prod);
    this.#onOutput(bytes);
    return true;
  }

  #fill(): boolean {
    const { memory } = this.#domain;
    let prod = this.#index(XENCONS.in_prod);
    const used = (prod - this.#index(XENCONS.in_cons)) >>> 0;
    if (this.#queued === 0 || !this.#plausible(used, XENCONS.in_size)) return false;
    let room = XENCONS.in_size - used;
    if (room === 0) return false;
    while (room > 0) {
      const next = this.#queue[0];
      if (next === undefined) break;
      const at = prod & (XENCONS.in_size - 1);
      const count = Math.min(next.length, room, XENCONS.in_size - at);
      memory.u8.set(next.subarray(0, count), this.#at + XENCONS.in + at);
      if (count === next.length) this.#queue.shift();
      else this.#queue[0] = next.subarray(count);
      prod = (prod + count) >>> 0;
      room -= count;
      this.#queued -= count;
    }
    this.#setIndex(XENCONS.in_prod, prod);
    return true;
  }

  #plausible(used: number, size: number): boolean {
    if (used <= size) return true;
    this.#ringErrors++;
    return false;
  }

  #index(offset: number): number {
    return Atomics.load(this.#domain.memory.u32, (this.#at + offset) >>> 2);
  }

  #setIndex(offset: number, value: number): void {
    Atomics.store(this.#domain.memory.u32, (this.#at + offset) >>> 2, value);
  }
}
