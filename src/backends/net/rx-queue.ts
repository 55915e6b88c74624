// A ring of pages that the guest offers for frames. Requests are taken when a frame needs them, and are answered in their order.
import { PAGE_SIZE } from '../../abi/types.ts';
import { EIO } from '../../abi/xen/errno.ts';
import { NETIF_EXTRA, NETIF_RSP, NETRXF, NetifExtraGso, NetifRxRequest, NetifRxResponse } from '../../abi/xen/netif.ts';
import { type Frame, GSO } from '../../io/frame-sink.ts';
import type { BackRing } from '../ring.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { Refusal } from '../xenbus/refusal.ts';
import type { NetCounters } from './net-counters.ts';

export interface RxQueueOptions {
  readonly device: BackendDevice;
  readonly ring: BackRing;
  readonly counters: NetCounters;
  /** Whether the guest tells when it offers pages (feature-rx-notify); else we look. */
  readonly notifies: boolean;
  /** There is room again for the frame that was refused. */
  readonly onRoom: () => void;
}

/** How often to look at the ring of a guest that does not tell, in milliseconds: Linux's netback does so. */
const POLL_MS = 30;
/** A guest that offers no pages for so long loses frames, so that others on the network need not wait: 10 s, as in netback. */
const PATIENCE_MS = 10_000;

export class RxQueue {
  /** Tells the guest; undefined while its channel is not bound. */
  notify: (() => void) | undefined;
  readonly #options: RxQueueOptions;
  /** Requests taken and not used: a ring of their own. */
  readonly #ids: Uint16Array;
  readonly #refs: Uint32Array;
  #first = 0;
  #count = 0;
  /** Slots that the refused frame needs; 0 when none was. */
  #wanted = 0;
  #stalled = false;
  #stopped = false;
  #pushing = false;
  #poll: ReturnType<typeof setInterval> | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  readonly #entry = new Uint32Array(NetifRxRequest.sizeof / 4);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #response = new Uint32Array(NetifRxResponse.sizeof / 4);
  readonly #responseView = new DataView(this.#response.buffer);
  readonly #pushSoon = (): void => {
    this.#pushing = false;
    this.push();
  };

  constructor(options: RxQueueOptions) {
    this.#options = options;
    this.#ids = new Uint16Array(options.ring.entries);
    this.#refs = new Uint32Array(options.ring.entries);
  }

  /** False when the guest has not offered enough pages; `onRoom` is called when it has. */
  receive(frame: Frame): boolean {
    if (this.#stopped) return true;
    const { counters } = this.#options;
    const slots = Math.ceil(frame.bytes.length / PAGE_SIZE) + (frame.gsoType === GSO.none ? 0 : 1);
    if (!this.#take(slots)) {
      if (this.#stalled || this.#stopped) {
        counters.rxDropped++;
        return true;
      }
      this.#starve(slots);
      return false;
    }
    this.#satisfied();
    this.#fill(frame);
    counters.rxFrames++;
    counters.rxBytes += frame.bytes.length;
    return true;
  }

  /** The guest may have offered pages. */
  look(): void {
    if (this.#stopped || this.#wanted === 0 || !this.#take(this.#wanted)) return;
    this.#satisfied();
    this.#options.onRoom();
  }

  push(): void {
    if (this.notify !== undefined && !this.#stopped && this.#options.ring.push()) this.notify();
  }

  /** Answers nothing any more; the ring may be unmapped. */
  close(): void {
    this.push();
    this.#satisfied();
    this.#stopped = true;
  }

  /** Whether there are so many requests. If not, the guest is asked for an event with the next one. */
  #take(slots: number): boolean {
    const { ring } = this.#options;
    const { entries } = ring;
    while (this.#count < slots) {
      const pending = ring.pending;
      if (pending < 0) {
        this.#broken();
        return false;
      }
      for (let i = 0; i < pending; i++) {
        ring.take(this.#entry);
        const at = (this.#first + this.#count++) & (entries - 1);
        this.#ids[at] = NetifRxRequest.id.get(this.#entryView, 0);
        this.#refs[at] = NetifRxRequest.gref.get(this.#entryView, 0);
      }
      if (this.#count < slots && !ring.finalCheck()) return false;
    }
    return true;
  }

  #fill({ bytes, checksumStart, checksumValid, gsoType, gsoSize }: Frame): void {
    const { grants } = this.#options.device;
    let flags = checksumStart !== 0 ? NETRXF.csum_blank | NETRXF.data_validated : checksumValid ? NETRXF.data_validated : 0;
    if (gsoType !== GSO.none) flags |= NETRXF.extra_info;
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const end = Math.min(bytes.length, at + PAGE_SIZE);
      const slot = this.#first & (this.#ids.length - 1);
      const status = grants.copyTo(this.#refs[slot] as number, 0, bytes.subarray(at, end));
      if (status !== 0) this.#options.counters.rxErrors++;
      const more = end < bytes.length ? NETRXF.more_data : 0;
      this.#respond(this.#ids[slot] as number, flags | more, status === 0 ? end - at : NETIF_RSP.ERROR);
      if (at === 0 && gsoType !== GSO.none) this.#respondGso(gsoType, gsoSize);
      flags = 0;
    }
    if (this.#pushing) return;
    // What comes in one go is shown, and the guest told of it, once.
    this.#pushing = true;
    queueMicrotask(this.#pushSoon);
  }

  #respond(id: number, flags: number, status: number): void {
    const view = this.#responseView;
    NetifRxResponse.id.set(view, 0, id);
    NetifRxResponse.offset.set(view, 0, 0);
    NetifRxResponse.flags.set(view, 0, flags);
    NetifRxResponse.status.set(view, 0, status);
    this.#answer();
  }

  /** In place of the response to the second request, whose page stays unused. */
  #respondGso(type: number, size: number): void {
    const view = this.#responseView;
    NetifExtraGso.type.set(view, 0, NETIF_EXTRA.GSO);
    NetifExtraGso.flags.set(view, 0, 0);
    NetifExtraGso.size.set(view, 0, size);
    NetifExtraGso.gsoType.set(view, 0, type);
    NetifExtraGso.pad.set(view, 0, 0);
    NetifExtraGso.features.set(view, 0, 0);
    this.#answer();
  }

  #answer(): void {
    this.#options.ring.respond(this.#response);
    this.#first = (this.#first + 1) & (this.#ids.length - 1);
    this.#count--;
  }

  #starve(slots: number): void {
    this.#wanted = slots;
    this.#patience ??= setTimeout(() => this.#stall(), PATIENCE_MS);
    if (!this.#options.notifies) this.#poll ??= setInterval(() => this.look(), POLL_MS);
  }

  #satisfied(): void {
    this.#wanted = 0;
    this.#stalled = false;
    clearTimeout(this.#patience);
    clearInterval(this.#poll);
    this.#patience = this.#poll = undefined;
  }

  #stall(): void {
    this.#stalled = true;
    this.#options.onRoom();
  }

  #broken(): void {
    this.#stopped = true;
    this.#satisfied();
    this.#options.device.refuse(new Refusal(EIO, 'the rx ring holds more requests than it has entries'));
  }
}
