// Each kind of device as its owner has it, with a host behind it that does what hosts do: answers late, fails, is full, types.
import { XENFB_DEFAULT } from '../../src/abi/xen/fbif.ts';
import { shareDevice } from '../../src/backends/9pfs/share-device.ts';
import { attachDisk } from '../../src/backends/block/attach-disk.ts';
import type { BlockBackend } from '../../src/backends/block/block-backend.ts';
import { ConsoleDevice } from '../../src/backends/console/console-device.ts';
import { RamTree } from '../../src/backends/fixtures/ram-tree.ts';
import { TestSink } from '../../src/backends/fixtures/test-sink.ts';
import { attachVif } from '../../src/backends/net/attach-vif.ts';
import { frameBufferDevice } from '../../src/backends/vfb/frame-buffer-device.ts';
import { InputError } from '../../src/backends/vkbd/input-error.ts';
import { keyboardDevice } from '../../src/backends/vkbd/keyboard-device.ts';
import type { BackendDevice } from '../../src/backends/xenbus/backend-device.ts';
import { type Frame, GSO, plainFrame } from '../../src/io/frame-sink.ts';
import type { Random } from '../native/random.ts';
import { GatedStore, InjectedError } from './gated-store.ts';
import {
  HostileCard,
  HostileConsole,
  HostileDisk,
  HostileEventPage,
  type HostileFrontend,
  HostileShare,
} from './hostile-frontends.ts';
import { type HostileGuest, showsSecret } from './hostile-guest.ts';

export interface HostileHost {
  readonly front: HostileFrontend;
  attach(guest: HostileGuest): BackendDevice;
  /** Something happens on the host's side. */
  act(random: Random): void;
  /** Lets what is under way end, so that a device can be taken away. False when nothing was. */
  finish(): boolean;
  /** What went wrong behind the device. */
  problem(): string | undefined;
  /** What is left of a device that is gone. */
  left(): string | undefined;
  /** How much was asked of the host. */
  readonly work: number;
}

class DiskHost implements HostileHost {
  readonly front = new HostileDisk();
  readonly #store: GatedStore;
  readonly #cdrom: boolean;
  #backend: BlockBackend | undefined;

  constructor(random: Random) {
    this.#store = new GatedStore(128 * 512, random.oneIn(4) ? 4096 : 512, random.oneIn(5));
    this.#cdrom = random.oneIn(6);
  }

  attach(guest: HostileGuest): BackendDevice {
    const { device, backend } = attachDisk(guest.bus, { vdev: 'xvda', store: this.#store, cdrom: this.#cdrom });
    this.#backend = backend;
    return device;
  }

  act(random: Random): void {
    if (random.oneIn(12)) return this.#store.resize(4096 * (1 + random.below(24)));
    if (random.oneIn(40)) {
      const other = random.oneIn(2) ? undefined : this.#store;
      void this.#backend?.changeMedium(other).then(() => this.#backend?.changeMedium(this.#store));
    }
    for (let count = 1 + random.below(6); count > 0; count--) this.#store.finish(random.u32(), random.oneIn(6));
  }

  finish(): boolean {
    const { underWay } = this.#store;
    for (let i = 0; i < underWay; i++) this.#store.finish(0, false);
    return underWay > 0;
  }

  problem(): string | undefined {
    return this.#store.problem;
  }

  left(): string | undefined {
    if (this.#store.underWay > 0) return `${this.#store.underWay} requests to the store are under way`;
    return this.#store.listeners > 0 ? 'the store is still listened to' : undefined;
  }

  get work(): number {
    return this.#store.requests;
  }
}

class CardHost implements HostileHost {
  readonly front = new HostileCard();
  readonly #sink = new TestSink();
  #attached: { readonly work: () => number } | undefined;
  #problem: string | undefined;

  attach(guest: HostileGuest): BackendDevice {
    const { device, backend } = attachVif(guest.bus, { sink: this.#sink, id: 0, mac: '00:16:3e:01:02:03' });
    this.#attached = { work: () => backend.counters.txFrames + backend.counters.rxFrames };
    return device;
  }

  act(random: Random): void {
    this.#look();
    if (random.oneIn(8) || !this.#sink.linkUp) return this.#sink.setLink(!random.oneIn(5));
    if (random.oneIn(3)) return this.#sink.makeRoom(random.oneIn(2) ? Number.POSITIVE_INFINITY : random.below(5));
    const { receiver } = this.#sink;
    for (let count = random.below(20); receiver !== undefined && count > 0; count--) {
      if (!receiver.receive(randomFrame(random, receiver.offloads.gsoIpv4, receiver.offloads.checksumIpv4))) break;
    }
  }

  finish(): boolean {
    return false;
  }

  problem(): string | undefined {
    this.#look();
    return this.#problem;
  }

  left(): string | undefined {
    return this.#sink.receiver === undefined ? undefined : 'the network still has a card';
  }

  get work(): number {
    return this.#attached?.work() ?? 0;
  }

  /** What the network was given must be what its contract allows. */
  #look(): void {
    for (const { bytes, checksumStart, checksumOffset, gsoType, gsoSize } of this.#sink.sent.splice(0)) {
      if (showsSecret(bytes)) this.#problem ??= 'a frame holds what the guest did not grant';
      if (bytes.length > 18 + 0xffff) this.#problem ??= `a frame of ${bytes.length} bytes was sent`;
      if (checksumStart > 0 && checksumStart + checksumOffset + 2 > bytes.length)
        this.#problem ??= `the checksum of a frame of ${bytes.length} bytes is to go to ${checksumStart} + ${checksumOffset}`;
      if ((gsoType !== GSO.none) !== gsoSize > 0) this.#problem ??= `a frame with GSO ${gsoType} has segments of ${gsoSize}`;
      if (gsoType !== GSO.none && checksumStart === 0) this.#problem ??= 'a frame with GSO has a whole checksum';
    }
    this.#sink.filters.length = 0;
  }
}

function randomFrame(random: Random, gso: boolean, checksum: boolean): Frame {
  const large = gso && random.oneIn(4);
  const bytes = new Uint8Array(
    large ? 2000 + random.below(60_000) : random.oneIn(10) ? random.below(20) : 60 + random.below(1455),
  );
  for (let i = 0; i < Math.min(60, bytes.length); i++) bytes[i] = random.below(256);
  if (!(large || (checksum && random.oneIn(2))) || bytes.length < 60) return plainFrame(bytes);
  bytes.set([8, 0, 0x45, 0, bytes.length >>> 8, bytes.length], 12);
  bytes[23] = 6;
  bytes[46] = 0x50;
  return {
    bytes,
    checksumStart: 34,
    checksumOffset: 16,
    checksumValid: true,
    gsoType: large ? GSO.tcpv4 : GSO.none,
    gsoSize: large ? 1400 : 0,
  };
}

class ConsoleHost implements HostileHost {
  readonly front = new HostileConsole();
  readonly #device: ConsoleDevice;
  #printed = 0;
  #leaks = false;

  constructor(random: Random) {
    this.#device = new ConsoleDevice({ whenFull: random.oneIn(2) ? 'wait' : 'drop' });
    const reader = this.#device.pipe.reader((bytes) => {
      this.#printed += bytes.length;
      this.#leaks ||= showsSecret(bytes);
      if (random.oneIn(3)) reader.hold();
    });
    this.#resume = () => reader.resume();
  }
  readonly #resume: () => void;

  attach(guest: HostileGuest): BackendDevice {
    return this.#device.attach(guest.bus);
  }

  act(random: Random): void {
    if (random.oneIn(3)) this.#resume();
    this.#device.pipe.write(new Uint8Array(random.below(random.oneIn(8) ? 5000 : 40)).fill(0x61));
  }

  finish(): boolean {
    return false;
  }

  problem(): string | undefined {
    if (this.#leaks) return 'the guest printed what it did not grant';
    return this.#device.pipe.input.length > 65_536 ? 'too much input waits' : undefined;
  }

  left(): string | undefined {
    return undefined;
  }

  get work(): number {
    return this.#printed;
  }
}

class ShareHost implements HostileHost {
  readonly front = new HostileShare();
  readonly #tree = new RamTree();
  readonly #waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  readonly #readOnly: boolean;
  #work = 0;

  constructor(random: Random) {
    this.#readOnly = random.oneIn(4);
    this.#tree.pace = () => {
      this.#work++;
      return this.#work % 3 === 0 ? new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })) : Promise.resolve();
    };
  }

  attach(guest: HostileGuest): BackendDevice {
    return shareDevice({ tag: 'share', tree: this.#tree, id: 0, readOnly: this.#readOnly }).attach(guest.bus);
  }

  act(random: Random): void {
    for (let count = 1 + random.below(8); count > 0; count--) {
      const [request] = this.#waiting.splice(random.below(Math.max(1, this.#waiting.length)), 1);
      request?.resolve();
    }
  }

  finish(): boolean {
    const waiting = this.#waiting.splice(0);
    for (const { resolve } of waiting) resolve();
    return waiting.length > 0;
  }

  problem(): string | undefined {
    for (const { bytes } of this.#tree.top.entries.values())
      if (showsSecret(bytes)) return 'a file holds what the guest did not grant';
    return this.#waiting.length > 64 ? `${this.#waiting.length} calls of the tree are under way` : undefined;
  }

  left(): string | undefined {
    const { references, open } = this.#tree;
    if (references > 0 || open > 0) return `${references} references to the tree and ${open} open files`;
    return this.#waiting.length > 0 ? 'calls of the tree are under way' : undefined;
  }

  get work(): number {
    return this.#work;
  }
}

class PictureHost implements HostileHost {
  readonly front = new HostileEventPage('vfb');
  readonly #device = frameBufferDevice({ width: 64, height: 64 });
  #changes = 0;

  constructor() {
    this.#device.onChange(() => {
      this.#changes++;
    });
  }

  attach(guest: HostileGuest): BackendDevice {
    return this.#device.attach(guest.bus);
  }

  act(random: Random): void {
    const area = { x: random.below(80) - 8, y: random.below(80) - 8, width: random.below(200), height: random.below(200) };
    this.#device.snapshot(random.oneIn(2) ? undefined : area);
  }

  finish(): boolean {
    return false;
  }

  problem(): string | undefined {
    return undefined;
  }

  left(): string | undefined {
    return this.#device.size === undefined ? undefined : 'the picture is still there';
  }

  get work(): number {
    return this.#changes;
  }
}

class KeyboardHost implements HostileHost {
  readonly front = new HostileEventPage('vkbd');
  readonly #device = keyboardDevice({
    multiTouch: { width: XENFB_DEFAULT.width, height: XENFB_DEFAULT.height, contacts: 3 },
  });
  #events = 0;

  attach(guest: HostileGuest): BackendDevice {
    return this.#device.attach(guest.bus);
  }

  act(random: Random): void {
    try {
      for (let count = random.oneIn(4) ? 60 : 1 + random.below(5); count > 0; count--) {
        this.#input(random);
        this.#events++;
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }

  #input(random: Random): void {
    switch (random.below(5)) {
      case 0:
        return this.#device.pointer({ dx: random.below(99) - 50, wheel: 1, buttons: { left: random.oneIn(2) } });
      case 1:
        return this.#device.pointer({ x: random.u32() | 0, y: random.below(700) });
      case 2:
        return this.#device.touch([{ contact: random.below(3), kind: 'down', x: random.below(900), y: random.u32() | 0 }]);
      default:
        return this.#device.key(1 + random.below(0x2ff), random.oneIn(2));
    }
  }

  finish(): boolean {
    return false;
  }

  problem(): string | undefined {
    return undefined;
  }

  left(): string | undefined {
    return this.#device.absolute === undefined ? undefined : 'the keyboard is still connected';
  }

  get work(): number {
    return this.#events;
  }
}

export const KINDS: { readonly [kind: string]: (random: Random) => HostileHost } = {
  vbd: (random) => new DiskHost(random),
  vif: () => new CardHost(),
  console: (random) => new ConsoleHost(random),
  '9pfs': (random) => new ShareHost(random),
  vfb: () => new PictureHost(),
  vkbd: () => new KeyboardHost(),
};

/** Whether a backend may report it: what the host was made to do, and not a fault of ours. */
export const isInjected = (error: unknown): boolean =>
  error instanceof InjectedError || (error instanceof Error && HOST_FAULTS.has(error.message));

/** Of a disk that was made smaller, or taken out, while requests for it waited. */
const HOST_FAULTS = new Set(['there is no medium', 'the medium is smaller now, or read-only']);
