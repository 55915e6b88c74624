// The platform of a domain as the I/O side sees it: Xen's shared state, and what lives in domain 0: XenStore and the backends.
import { HVM_PARAM, SPECIAL_PAGES } from '../abi/xen/hvm.ts';
import { XenConsole } from '../backends/console/primary-console.ts';
import { BackendBus } from '../backends/xenbus/backend-bus.ts';
import type { BackendEvent } from '../backends/xenbus/backend-event.ts';
import type { IoPace } from '../io/io-pace.ts';
import { render, type Sink } from '../trace/points.ts';
import { XenDomain } from '../xen/domain.ts';
import { BackendChannels } from '../xen/events/backend-channels.ts';
import { softReset } from '../xen/soft-reset.ts';
import { domainPath } from '../xen/store/path.ts';
import type { XenStore } from '../xen/store/store.ts';
import { StoreClient } from '../xen/store/store-client.ts';
import { XenStoreRing } from '../xen/store/store-ring.ts';
import { introduceDomain, releaseDomain } from '../xen/store/toolstack.ts';
import { FrameChanges } from './frame-changes.ts';
import { kickVcpu } from './kick.ts';
import type { MachineImage } from './machine-image.ts';
import type { TraceLine } from './trace-batch.ts';
import { enableTracepoints } from './tracepoints.ts';

export interface PlatformSideOptions {
  /** Loaded. */
  readonly image: MachineImage;
  readonly store: XenStore;
  /** The domain's name. */
  readonly name: string;
  /** Guest time. */
  readonly nowNs: () => number;
  /** The pace of what lives in domain 0. */
  readonly pace: IoPace;
  /** What the guest prints on its console. */
  readonly onOutput: (bytes: Uint8Array) => void;
  readonly onTrace?: (line: TraceLine) => void;
  /** Something happened to a PV device. */
  readonly onBackendEvent?: (event: BackendEvent) => void;
}

const KIB = 1024;

export class PlatformSide {
  readonly xen: XenDomain;
  readonly channels: BackendChannels;
  /** PV devices. */
  readonly backends: BackendBus;
  readonly #options: PlatformSideOptions;
  readonly #storeRing: XenStoreRing;
  #console: XenConsole;

  constructor(options: PlatformSideOptions) {
    const { image, store, nowNs, onTrace, pace } = options;
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
    const frameChanges = new FrameChanges(image.memory, image.plan);
    image.memory.onChange((gfn) => frameChanges.tell(gfn));
    this.channels = new BackendChannels(this.xen);
    this.#offerRings();
    this.#introduce();
    this.#storeRing = new XenStoreRing({
      store,
      domain: this.xen,
      channels: this.channels,
      defer: (run) => void pace.after(0, run),
    });
    this.#console = this.#connectConsole();
    const { onBackendEvent } = options;
    this.backends = new BackendBus({
      domain: this.xen,
      store,
      channels: this.channels,
      pace,
      ...(onBackendEvent !== undefined && { onEvent: onBackendEvent }),
    });
  }

  get console(): XenConsole {
    return this.#console;
  }

  /** After a soft reset or a restore: the platform's state as for a new guest in the same memory. No vCPU runs. */
  async renew(): Promise<void> {
    await this.backends.reset();
    this.#console.drain();
    const typed = this.#console.takeInput();
    this.#console.close();
    softReset(this.xen);
    this.#offerRings();
    this.#publishPorts();
    this.#storeRing.reset();
    this.#console = this.#connectConsole();
    for (const bytes of typed) this.#console.write(bytes);
  }

  /** The domain has shut down: those who watch for it in XenStore are told. It may go on, after a suspend. */
  toldShutdown(): void {
    this.#options.store.shutdown(this.xen.domid);
  }

  /** A suspended domain goes on. */
  async resume(cancelled: boolean): Promise<void> {
    this.#options.store.resume(this.xen.domid);
    if (!cancelled) await this.renew();
    this.xen.resume({ cancelled });
  }

  /** The wallclock's base after guest time stood still: Unix time now, less guest time. */
  setWallclock(): void {
    const startMs = this.#options.image.epochMs ?? Date.now() - this.#options.nowNs() / 1e6;
    this.xen.setWallclock(Math.floor(startMs / 1000), Math.round((startMs % 1000) * 1e6) % 1e9);
  }

  /** Lets go of the guest's memory; what devices have on the host is their owner's to close. */
  async close(): Promise<void> {
    await this.backends.close();
    this.#console.close();
    this.#storeRing.close();
    releaseDomain(this.#options.store, this.xen.domid);
  }

  /** XenStore first: guests expect it on port 1. */
  #offerRings(): void {
    this.xen.offerRing('store');
    this.xen.offerRing('console');
  }

  #introduce(): void {
    const { image, name, store } = this.#options;
    const { config, uuid, vcpus } = image;
    introduceDomain(store, {
      domid: this.xen.domid,
      uuid,
      name,
      staticMaxKiB: Math.max(config.memoryBytes, config.maxMemoryBytes ?? 0) / KIB,
      targetKiB: config.memoryBytes / KIB,
      vcpus,
      ...(image.epochMs !== undefined && { startTime: image.epochMs / 1000 }),
      store: { port: this.#port(HVM_PARAM.STORE_EVTCHN), gfn: SPECIAL_PAGES.xenstore },
      console: { port: this.#port(HVM_PARAM.CONSOLE_EVTCHN), gfn: SPECIAL_PAGES.console },
    });
  }

  /** The rings have other ports than the nodes say. */
  #publishPorts(): void {
    const home = domainPath(this.xen.domid);
    new StoreClient(this.#options.store).transaction((view) => {
      view.write(`${home}/store/port`, this.#port(HVM_PARAM.STORE_EVTCHN));
      view.write(`${home}/console/port`, this.#port(HVM_PARAM.CONSOLE_EVTCHN));
    });
  }

  #port(param: number): number {
    return Number(this.xen.param(param));
  }

  #connectConsole(): XenConsole {
    const { onOutput, pace } = this.#options;
    return new XenConsole({ domain: this.xen, channels: this.channels, onOutput, pace });
  }
}
