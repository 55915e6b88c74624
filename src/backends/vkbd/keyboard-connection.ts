// A connected keyboard and pointer: a ring of events that the guest reads.
import { EFAULT, EIO } from '../../abi/xen/errno.ts';
import { XENKBD_IN_RING, XENKBD_RAW_MAX } from '../../abi/xen/kbdif.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import { EventPage } from '../event-page.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { InputError } from './input-error.ts';
import { motionEvent, positionEvent, touchEvent, touchFrameEvent } from './input-events.ts';
import { InputQueue } from './input-queue.ts';
import { BUTTONS, type Button, type PointerChange, type TouchChange } from './pointer-change.ts';
import type { PointerPlane } from './pointer-plane.ts';

/** What a frontend asked for. */
export interface InputRequests {
  readonly absolute: boolean;
  /** Absolute positions from 0 to XENKBD_RAW_MAX, whatever the size of the screen. */
  readonly raw: boolean;
  readonly touch: boolean;
}

export interface KeyboardConnectionOptions {
  readonly device: BackendDevice;
  /** What was offered: a guest's request for something else has no effect (kbdif.h). */
  readonly offered: InputRequests;
  /**
   * What the same frontend asked for before it was interrupted: Linux's does not ask again after a restore (xenkbd_resume), and
   * its pointer stays what it was.
   */
  readonly before: InputRequests | undefined;
  readonly plane: PointerPlane;
}

export class KeyboardConnection implements BackendConnection {
  readonly requests: InputRequests;
  readonly #device: BackendDevice;
  readonly #plane: PointerPlane;
  readonly #page: EventPage;
  readonly #queue = new InputQueue();
  #channel: BackendChannel | undefined;
  /** in_prod, u32. */
  #produced: number;
  #broken = false;
  /** Where the pointer is, in pixels. */
  #x = 0;
  #y = 0;

  private constructor({ device, offered, before, plane }: KeyboardConnectionOptions, page: EventPage, produced: number) {
    const { frontend } = device;
    this.#device = device;
    this.#plane = plane;
    this.#page = page;
    this.#produced = produced;
    const asks = (key: string, asked = false): boolean => (frontend.text(key) === undefined ? asked : frontend.flag(key));
    const absolute = offered.absolute && asks('request-abs-pointer', before?.absolute);
    this.requests = {
      absolute,
      raw: absolute && offered.raw && asks('request-raw-pointer', before?.raw),
      touch: offered.touch && asks('request-multi-touch', before?.touch),
    };
  }

  static connect(options: KeyboardConnectionOptions): KeyboardConnection | Refusal {
    const { frontend, grants, memory, channels } = options.device;
    const port = frontend.number('event-channel');
    if (port instanceof Refusal) return port;
    // Old frontends have no grant.
    const ref = frontend.text('page-gref') === undefined ? undefined : frontend.number('page-gref');
    if (ref instanceof Refusal) return ref;
    const gfn = ref === undefined ? frontend.number('page-ref') : 0;
    if (gfn instanceof Refusal) return gfn;
    const page = ref === undefined ? EventPage.named(memory, gfn) : EventPage.granted(grants, memory, ref);
    if (page instanceof Refusal) return page;
    const connection = new KeyboardConnection(options, page, page.indices('in')?.prod ?? 0);
    const channel = channels.bind(port, () => connection.#service());
    if (typeof channel === 'number') {
      page.unmap();
      return new Refusal(-channel, `binding event-channel ${port}`);
    }
    connection.#channel = channel;
    return connection;
  }

  /** Events that wait for the guest to make room. */
  get waiting(): number {
    return this.#queue.length;
  }

  get keysDown(): readonly number[] {
    return this.#queue.keysDown;
  }

  /** @throws InputError */
  key(code: number, pressed: boolean): void {
    this.#expectTaken(this.#queue.key(code, pressed));
  }

  /** @throws InputError; nothing of the change has been done then, unless the guest does not read */
  pointer(change: PointerChange): void {
    const { x, y, dx = 0, dy = 0, wheel = 0, buttons = {} } = change;
    if ((x !== undefined || y !== undefined) && !this.requests.absolute)
      throw new InputError('no-absolute-pointer', 'the guest has no absolute pointer; say how far it moves');
    const moves = x !== undefined || y !== undefined || dx !== 0 || dy !== 0 || wheel !== 0;
    if (moves) this.#expectTaken(this.#queue.put([this.#moved((x ?? this.#x) + dx, (y ?? this.#y) + dy, dx, dy, wheel)]));
    for (const [button, pressed] of Object.entries(buttons)) {
      if (pressed !== undefined) this.key(BUTTONS[button as Button], pressed);
    }
  }

  /** Changes that belong together. @throws InputError, and then none of them has been made */
  touch(changes: readonly TouchChange[]): void {
    if (!this.requests.touch) throw new InputError('no-touch', 'the guest has no touch screen');
    const last = changes.at(-1);
    if (last === undefined) return;
    this.#expectTaken(this.#queue.put([...changes.map(touchEvent), touchFrameEvent(last.contact)]));
  }

  close(): void {
    this.#broken = true;
    this.#channel?.close();
    this.#page.unmap();
  }

  #moved(x: number, y: number, dx: number, dy: number, wheel: number): Uint8Array {
    if (!this.requests.absolute) return motionEvent(dx, dy, wheel);
    const { width, height, mostX, mostY } = this.#plane();
    this.#x = clamp(x, width);
    this.#y = clamp(y, height);
    const across = scale(this.#x, width, this.requests.raw ? XENKBD_RAW_MAX : mostX);
    return positionEvent(across, scale(this.#y, height, this.requests.raw ? XENKBD_RAW_MAX : mostY), wheel);
  }

  #expectTaken(taken: boolean): void {
    this.#service();
    if (!taken) throw new InputError('full', 'the guest does not read its keyboard and mouse');
  }

  /** Moves what waits into the ring. Runs when the guest has read, too. */
  #service(): void {
    if (this.#broken) return;
    const refusal = this.#fill();
    if (refusal === undefined) return;
    this.#broken = true;
    this.#device.refuse(refusal);
  }

  #fill(): Refusal | undefined {
    this.#overlook();
    const cons = this.#page.indices('in')?.cons;
    if (cons === undefined) return new Refusal(EFAULT, 'the shared page is gone');
    const used = (this.#produced - cons) >>> 0;
    if (used > XENKBD_IN_RING.events) return new Refusal(EIO, `the ring holds ${used} events`);
    const events = this.#queue.take(XENKBD_IN_RING.events - used);
    if (events.length === 0) return undefined;
    for (const event of events) {
      const refusal = this.#page.write(XENKBD_IN_RING, this.#produced, event);
      if (refusal !== undefined) return refusal;
      this.#produced = (this.#produced + 1) >>> 0;
    }
    const refusal = this.#page.setIndex('in_prod', this.#produced);
    this.#channel?.notify();
    return refusal;
  }

  /** There are no events of the frontend's: what there is, is taken as read. */
  #overlook(): void {
    const out = this.#page.indices('out');
    if (out === undefined || out.cons === out.prod) return;
    if (this.#page.setIndex('out_cons', out.prod) === undefined) this.#channel?.notify();
  }
}

const clamp = (value: number, size: number): number => Math.max(0, Math.min(Math.trunc(value), size - 1));

/** From 0 to size - 1, to 0 to most. */
const scale = (value: number, size: number, most: number): number =>
  size <= 1 || most === size - 1 ? value : Math.round((value * most) / (size - 1));
