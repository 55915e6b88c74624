// The domain's primary console: its page is the platform's, its port the toolstack's, and there is no handshake. Further ones are
// devices: console-backend.ts.
import type { HostAddress } from '../../abi/types.ts';
import { HVM_PARAM } from '../../abi/xen/hvm.ts';
import type { IoPace } from '../../io/io-pace.ts';
import type { XenDomain } from '../../xen/domain.ts';
import type { BackendChannels } from '../../xen/events/backend-channels.ts';
import { ByteQueue } from './byte-queue.ts';
import { ConsoleRing } from './console-ring.ts';
import { INPUT_LIMIT, RingConsole } from './ring-console.ts';

export interface XenConsoleOptions {
  readonly domain: XenDomain;
  readonly channels: BackendChannels;
  /** What the guest printed. The bytes are the callee's to keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Input kept for a guest that does not read, in bytes; what is beyond is not taken. Default 64 KiB. */
  readonly inputLimit?: number;
  readonly pace?: IoPace;
}

/** Construct it after `domain.offerRing('console')`. */
export class XenConsole {
  readonly #ring: ConsoleRing;
  readonly #input: ByteQueue;
  readonly #console: RingConsole;

  /** @throws Error when the guest's console port is not there to bind. */
  constructor({ domain, channels, onOutput, inputLimit = INPUT_LIMIT, pace }: XenConsoleOptions) {
    this.#ring = new ConsoleRing(domain.memory, (domain.at + domain.plan.console) as HostAddress);
    this.#input = new ByteQueue(inputLimit);
    const port = Number(domain.param(HVM_PARAM.CONSOLE_EVTCHN));
    this.#console = new RingConsole({
      ring: this.#ring,
      input: this.#input,
      bind: (onEvent) => channels.bind(port, onEvent),
      onOutput,
      pace,
    });
    this.#console.service();
  }

  /** Input for the guest. Returns how many bytes were taken: less than all when the guest does not read. */
  write(bytes: Uint8Array): number {
    const taken = this.#input.add(bytes);
    if (taken > 0) this.#console.fill();
    return taken;
  }

  /** Takes back the input that has not reached the ring yet. */
  takeInput(): readonly Uint8Array[] {
    return this.#input.length === 0 ? [] : [this.#input.takeAll()];
  }

  /** Input that waits for room in the ring. */
  get pendingInput(): number {
    return this.#input.length;
  }

  /** How often a ring's indices were impossible (more bytes than the ring holds). */
  get ringErrors(): number {
    return this.#ring.errors;
  }

  /** Takes what the guest printed although it sent no event: for a guest that crashed. */
  drain(): void {
    this.#console.service();
  }

  close(): void {
    this.#console.close();
  }
}
