// The platform of a domain as the I/O side sees it: Xen's shared state, and the backends that live in domain 0.
import { XenConsole } from '../backends/console.ts';
import { render, type Sink } from '../trace/points.ts';
import { XenDomain } from '../xen/domain.ts';
import { BackendChannels } from '../xen/events/backend-channels.ts';
import { kickVcpu } from './kick.ts';
import type { MachineImage } from './machine-image.ts';
import type { TraceLine } from './trace-batch.ts';
import { enableTracepoints } from './tracepoints.ts';

export interface PlatformSideOptions {
  /** Loaded. */
  readonly image: MachineImage;
  /** Guest time. */
  readonly nowNs: () => number;
  /** What the guest prints on its console. */
  readonly onOutput: (bytes: Uint8Array) => void;
  readonly onTrace?: (line: TraceLine) => void;
}

export class PlatformSide {
  readonly xen: XenDomain;
  readonly channels: BackendChannels;
  readonly #options: PlatformSideOptions;
  #console: XenConsole;

  constructor(options: PlatformSideOptions) {
    const { image, nowNs, onTrace } = options;
    this.#options = options;
    const sink: Sink = (name, format, args) => onTrace?.({ atNs: nowNs(), name, text: render(format, args) });
    this.xen = new XenDomain({
      memory: image.memory,
      region: image.plan.xen,
      kick: (id) => kickVcpu(image.memory, image.plan, id),
      wakeBackends: () => queueMicrotask(() => this.channels.dispatch()),
      trace: sink,
    });
    enableTracepoints(this.xen.trace, 'xen', image.config.trace ?? []);
    this.channels = new BackendChannels(this.xen);
    this.xen.offerRing('console');
    this.#console = this.#connectConsole();
  }

  get console(): XenConsole {
    return this.#console;
  }

  /** After a soft reset or a restore: the platform's state as for a new guest in the same memory. No vCPU runs. */
  renew(): void {
    this.#console.drain();
    this.#console.close();
    this.xen.events.reset();
    this.xen.offerRing('console');
    this.#console = this.#connectConsole();
  }

  /** Guest time stood still for so many nanoseconds: the wallclock's base moves by as much. */
  moveWallclock(ns: number): void {
    void ns;
  }

  close(): void {
    this.#console.close();
  }

  #connectConsole(): XenConsole {
    return new XenConsole({ domain: this.xen, channels: this.channels, onOutput: this.#options.onOutput });
  }
}
