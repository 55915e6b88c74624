// A connected frame buffer: the guest's pages as a picture, and its events about what has changed.
import { type Gfn, gfnToGpa, PAGE_SIZE } from '../../abi/types.ts';
import { EFAULT, EIO } from '../../abi/xen/errno.ts';
import { XENFB_EVENT_BYTES, XENFB_OUT_RING, XENFB_TYPE, XenfbPage, XenfbResize, XenfbUpdate } from '../../abi/xen/fbif.ts';
import type { Picture } from '../../image/picture.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import { EventPage } from '../event-page.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, StoreKeys } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { checkGeometry, type Geometry, MAX_BUFFER_BYTES } from './geometry.ts';
import { frameBufferFrames, wordSize } from './page-directory.ts';
import { convertPixels } from './pixels.ts';
import { intersection, type Rectangle } from './rectangle.ts';

/** Rectangles of one look at the ring that are told one by one; with more, the whole screen has changed. */
const MOST_RECTANGLES = 8;

export interface FrameBufferEvents {
  /** A part of the picture has changed; all of it, and perhaps its size, when there is no rectangle. */
  readonly changed: (area: Rectangle | undefined) => void;
}

export class FrameBufferConnection implements BackendConnection {
  /** Whether the guest says what has changed; if not, everything may have at any time. */
  readonly updates: boolean;
  readonly keys: StoreKeys;
  readonly #device: BackendDevice;
  readonly #events: FrameBufferEvents;
  readonly #page: EventPage;
  readonly #frames: Uint32Array;
  /** Of the buffer, in bytes. */
  readonly #length: number;
  #geometry: Geometry;
  #channel: BackendChannel | undefined;
  /** out_cons, u32. */
  #consumed = 0;
  #broken = false;
  #ignored = 0;
  readonly #event = new Uint8Array(XENFB_EVENT_BYTES);
  readonly #view = new DataView(this.#event.buffer);

  private constructor(
    device: BackendDevice,
    events: FrameBufferEvents,
    page: EventPage,
    buffer: { readonly frames: Uint32Array; readonly length: number; readonly geometry: Geometry },
  ) {
    this.#device = device;
    this.#events = events;
    this.#page = page;
    this.#frames = buffer.frames;
    this.#length = buffer.length;
    this.#geometry = buffer.geometry;
    this.updates = device.frontend.flag('feature-update');
    this.keys = { 'request-update': this.updates ? 1 : 0 };
  }

  static connect(device: BackendDevice, events: FrameBufferEvents): FrameBufferConnection | Refusal {
    const { frontend, memory } = device;
    const gfn = frontend.number('page-ref');
    if (gfn instanceof Refusal) return gfn;
    const port = frontend.number('event-channel');
    if (port instanceof Refusal) return port;
    const page = EventPage.named(memory, gfn);
    if (page instanceof Refusal) return page;
    const copy = page.copy();
    if (copy === undefined) return new Refusal(EFAULT, 'the shared page is gone');
    const view = new DataView(copy.buffer);
    const said = XenfbPage.wide; // both widths have the same fields before the directory
    const length = Math.min(said.mem_length.get(view, 0), MAX_BUFFER_BYTES);
    const geometry = checkGeometry(
      {
        width: said.width.get(view, 0),
        height: said.height.get(view, 0),
        depth: said.depth.get(view, 0),
        stride: said.line_length.get(view, 0),
        offset: 0,
      },
      length,
    );
    if (geometry instanceof Refusal) return geometry;
    const frames = frameBufferFrames(memory, view, wordSize(frontend.text('protocol'), view), length);
    if (frames instanceof Refusal) return frames;
    const connection = new FrameBufferConnection(device, events, page, { frames, length, geometry });
    return connection.#bind(port, said.out_cons.get(view, 0)) ?? connection;
  }

  get geometry(): Geometry {
    return this.#geometry;
  }

  /** Events that said nothing that can be: of no known type, or a size that the buffer has no room for. */
  get ignored(): number {
    return this.#ignored;
  }

  /** The picture as it is now, or a part of it, which is cut to what there is. Pages that the guest gave away are black. */
  snapshot(area?: Rectangle): Picture {
    const { width, height, depth, stride, offset } = this.#geometry;
    const whole = { x: 0, y: 0, width, height };
    const part = area === undefined ? whole : (intersection(area, whole) ?? { ...whole, width: 0, height: 0 });
    const rgba = new Uint8Array(part.width * part.height * 4);
    const row = new Uint8Array(part.width * (depth / 8));
    for (let y = 0; y < part.height; y++) {
      this.#read(offset + (part.y + y) * stride + part.x * (depth / 8), row);
      convertPixels(depth, row, part.width, rgba, y * part.width * 4);
    }
    return { width: part.width, height: part.height, rgba };
  }

  close(): void {
    this.#broken = true;
    this.#channel?.close();
    this.#page.unmap();
  }

  #bind(port: number, consumed: number): Refusal | undefined {
    this.#consumed = consumed;
    const channel = this.#device.channels.bind(port, () => this.#service());
    if (typeof channel === 'number') {
      this.#page.unmap();
      return new Refusal(-channel, `binding event-channel ${port}`);
    }
    this.#channel = channel;
    // What was taken while the channel was not known yet.
    channel.notify();
    return undefined;
  }

  /** Copies bytes out of the buffer; the caller stays within its length. */
  #read(from: number, into: Uint8Array): void {
    const { memory } = this.#device;
    for (let done = 0; done < into.length; ) {
      const at = from + done;
      const within = at % PAGE_SIZE;
      const count = Math.min(into.length - done, PAGE_SIZE - within);
      const host = memory.host(gfnToGpa(this.#frames[Math.floor(at / PAGE_SIZE)] as Gfn));
      if (host === 0) into.fill(0, done, done + count);
      else into.set(memory.u8.subarray(host + within, host + within + count), done);
      done += count;
    }
  }

  #service(): void {
    if (this.#broken) return;
    const refusal = this.#take();
    if (refusal === undefined) return;
    this.#broken = true;
    this.#device.refuse(refusal);
  }

  /** Takes the events there are now, and tells what they say. */
  #take(): Refusal | undefined {
    const prod = this.#page.indices('out')?.prod;
    if (prod === undefined) return new Refusal(EFAULT, 'the shared page is gone');
    const count = (prod - this.#consumed) >>> 0;
    if (count === 0) return undefined;
    if (count > XENFB_OUT_RING.events) return new Refusal(EIO, `the ring holds ${count} events`);
    const areas: Rectangle[] = [];
    let everything = false;
    for (let i = 0; i < count; i++) {
      const refusal = this.#page.read(XENFB_OUT_RING, (this.#consumed + i) >>> 0, this.#event);
      if (refusal !== undefined) return refusal;
      const area = this.#understand();
      if (area === 'all') everything = true;
      else if (area !== undefined) areas.push(area);
    }
    this.#consumed = prod;
    const refusal = this.#page.setIndex('out_cons', prod);
    if (refusal !== undefined) return refusal;
    // A frontend that found the ring full waits for this to send the rest.
    this.#channel?.notify();
    if (everything || areas.length > MOST_RECTANGLES) this.#events.changed(undefined);
    else for (const area of areas) this.#events.changed(area);
    return undefined;
  }

  /** What the event says has changed. */
  #understand(): Rectangle | 'all' | undefined {
    const view = this.#view;
    const { width, height } = this.#geometry;
    switch (this.#event[0]) {
      case XENFB_TYPE.UPDATE:
        return intersection(XenfbUpdate.read(view, 0), { x: 0, y: 0, width, height });
      case XENFB_TYPE.RESIZE: {
        const geometry = checkGeometry(XenfbResize.read(view, 0), this.#length);
        if (!(geometry instanceof Refusal)) {
          this.#geometry = geometry;
          return 'all';
        }
      }
    }
    // An unknown one is an error (fbif.h) that real backends overlook, as they do with a resize that cannot be.
    this.#ignored++;
    return undefined;
  }
}
