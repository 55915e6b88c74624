// One ring of a disk: takes requests, has the store serve several at a time, and answers in the order they are done.
import { BLKIF_OP, BLKIF_RSP, BLKIF_SECTOR, type BlkifLayout } from '../../abi/xen/blkif.ts';
import { EIO } from '../../abi/xen/errno.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import type { BackRing } from '../ring.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { type BlockRequest, RequestDecoder } from './block-request.ts';
import type { Disk } from './disk.ts';
import { PagePool } from './request-pages.ts';

/** Requests of one ring that the store works on at a time. */
const MOST_UNDER_WAY = 64;

export interface BlockQueueOptions {
  readonly device: BackendDevice;
  readonly disk: Disk;
  readonly ring: BackRing;
  readonly layout: BlkifLayout;
  readonly persistent: boolean;
}

export class BlockQueue {
  readonly #device: BackendDevice;
  readonly #disk: Disk;
  readonly #ring: BackRing;
  readonly #layout: BlkifLayout;
  readonly #decoder: RequestDecoder;
  readonly #pages: PagePool;
  readonly #entry: Uint32Array;
  readonly #entryView: DataView;
  readonly #response: Uint32Array;
  readonly #responseView: DataView;
  #channel: BackendChannel | undefined;
  #underWay = 0;
  /** Writes that a flush has to wait for. */
  readonly #writes = new Set<Promise<number>>();
  /** A barrier that waits for what came before it, or is being served: nothing after it begins. */
  #barrier: BlockRequest | undefined;
  #pushing = false;
  /** Nothing is taken from the ring any more. */
  #stopped = false;
  /** The ring is not ours any more. */
  #unmapped = false;
  #later: Disposable | undefined;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: BlockQueueOptions) {
    const { device, disk, ring, layout, persistent } = options;
    this.#device = device;
    this.#disk = disk;
    this.#ring = ring;
    this.#layout = layout;
    this.#decoder = new RequestDecoder(layout, device.grants);
    this.#pages = new PagePool(device.grants, device.memory, persistent);
    this.#entry = new Uint32Array(layout.request.sizeof / 4);
    this.#entryView = new DataView(this.#entry.buffer);
    this.#response = new Uint32Array(layout.response.sizeof / 4);
    this.#responseView = new DataView(this.#response.buffer);
  }

  /** Begins with a bound channel. */
  start(port: number): number {
    const channel = this.#device.channels.bind(port, () => this.service());
    if (typeof channel === 'number') return channel;
    this.#channel = channel;
    // What was answered while the channel was not known yet.
    if (this.#ring.push()) channel.notify();
    return 0;
  }

  /** Grants kept mapped. */
  get keptGrants(): number {
    return this.#pages.kept;
  }

  inspect(): InspectTree {
    return {
      entries: this.#ring.entries,
      under_way: this.#underWay,
      unanswered: this.#ring.unanswered,
      kept_grants: this.keptGrants,
      stopped: this.#stopped,
    };
  }

  /** Takes what is on the ring, as far as it may begin. */
  service(): void {
    const ring = this.#ring;
    // A frontend that makes bad requests as fast as they are answered must not keep the thread.
    let budget = ring.entries * 2;
    while (this.#ready) {
      const pending = ring.pending;
      if (pending < 0) return this.#broken();
      if (pending === 0) {
        if (!ring.finalCheck()) break;
        continue;
      }
      if (budget-- === 0) {
        this.#later ??= this.#device.pace.after(0, () => this.#resume());
        break;
      }
      ring.take(this.#entry);
      this.#begin(this.#decoder.decode(this.#entryView, this.#disk.limits));
    }
    this.#push();
  }

  /** Resolves when all is over and unmapped. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#later?.[Symbol.dispose]();
    await this.idle();
    this.#push();
    this.#unmapped = true;
    this.#channel?.close();
    this.#pages.close();
    this.#ring.unmap();
  }

  /** Resolves when the store is working on nothing: at once, or when the last request is over. */
  async idle(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  get #ready(): boolean {
    return !this.#stopped && this.#barrier === undefined && this.#underWay < MOST_UNDER_WAY;
  }

  #resume(): void {
    this.#later = undefined;
    this.service();
  }

  #broken(): void {
    this.#stopped = true;
    this.#device.refuse(new Refusal(EIO, 'the ring holds more requests than it has entries'));
  }

  #begin(request: BlockRequest): void {
    if (request.status !== BLKIF_RSP.OKAY) return this.#respond(request, request.status);
    if (request.operation === BLKIF_OP.WRITE_BARRIER) {
      this.#barrier = request;
      if (this.#underWay === 0) this.#run(request);
      return;
    }
    this.#run(request);
  }

  #run(request: BlockRequest): void {
    this.#underWay++;
    const done = this.#device.pace.during(this.#perform(request));
    const writes = request.operation !== BLKIF_OP.READ;
    if (writes) this.#writes.add(done);
    // `perform` never rejects.
    done.then((status) => {
      if (writes) this.#writes.delete(done);
      this.#finish(request, status);
    });
  }

  #finish(request: BlockRequest, status: number): void {
    this.#underWay--;
    this.#respond(request, status);
    if (this.#barrier === request) this.#barrier = undefined;
    if (this.#underWay === 0) {
      for (const resolve of this.#onIdle.splice(0)) resolve();
      if (this.#barrier !== undefined && !this.#stopped) this.#run(this.#barrier);
    }
    this.#schedule();
  }

  async #perform(request: BlockRequest): Promise<number> {
    const earlier = [...(request.operation === BLKIF_OP.FLUSH_DISKCACHE ? this.#writes : [])];
    try {
      switch (request.operation) {
        case BLKIF_OP.READ:
          return await this.#transfer(request);
        case BLKIF_OP.WRITE:
          return await this.#transfer(request);
        case BLKIF_OP.DISCARD:
          this.#disk.counters.discardRequests++;
          await this.#disk.discard(request.offset, request.length);
          return BLKIF_RSP.OKAY;
        case BLKIF_OP.FLUSH_DISKCACHE:
          await Promise.all(earlier);
          return await this.#flushAndWrite(request);
        default: {
          const status = await this.#flushAndWrite(request);
          if (status === BLKIF_RSP.OKAY && request.length > 0) await this.#flush();
          return status;
        }
      }
    } catch (error) {
      this.#device.report(error);
      return BLKIF_RSP.ERROR;
    }
  }

  /** A flush covers what was written before it, not what it writes itself. */
  async #flushAndWrite(request: BlockRequest): Promise<number> {
    this.#disk.counters.flushRequests++;
    await this.#flush();
    return request.length > 0 ? this.#transfer(request) : BLKIF_RSP.OKAY;
  }

  /** Nothing to make durable on a disk that is not written to. */
  async #flush(): Promise<void> {
    if (this.#disk.writable) await this.#disk.flush();
  }

  async #transfer(request: BlockRequest): Promise<number> {
    const { counters } = this.#disk;
    const reads = request.operation === BLKIF_OP.READ;
    const pages = this.#pages.map(request, !reads);
    if (typeof pages === 'number') return BLKIF_RSP.ERROR;
    try {
      if (reads) {
        counters.readRequests++;
        counters.readSectors += request.length / BLKIF_SECTOR;
        await this.#disk.read(request.offset, pages.pieces);
      } else {
        counters.writeRequests++;
        counters.writeSectors += request.length / BLKIF_SECTOR;
        await this.#disk.write(request.offset, pages.pieces);
      }
      return BLKIF_RSP.OKAY;
    } finally {
      pages.release();
    }
  }

  #respond(request: BlockRequest, status: number): void {
    if (status !== BLKIF_RSP.OKAY) this.#disk.counters.errors++;
    const { response } = this.#layout;
    const view = this.#responseView;
    view.setUint32(response.id.offset, request.idLow, true);
    view.setUint32(response.id.offset + 4, request.idHigh, true);
    response.operation.set(view, 0, request.operation);
    response.status.set(view, 0, status);
    this.#ring.respond(this.#response);
  }

  /** Several requests may be done before anything else runs: they are pushed, and the ring is looked at, once. */
  #schedule(): void {
    if (this.#pushing) return;
    this.#pushing = true;
    queueMicrotask(() => {
      this.#pushing = false;
      if (this.#stopped) this.#push();
      else this.service();
    });
  }

  #push(): void {
    if (this.#channel !== undefined && !this.#unmapped && this.#ring.push()) this.#channel.notify();
  }
}
