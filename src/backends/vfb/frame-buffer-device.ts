// A frame buffer as its owner sees it, with the nodes that libxl writes for one (libxl__set_xenstore_vfb of Xen 4.20).
import type { Picture } from '../../image/picture.ts';
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { FrameBufferBackend } from './frame-buffer-backend.ts';
import type { Rectangle } from './rectangle.ts';

/** What a PV frame buffer is like. */
export interface FrameBufferOptions {
  /** Its number. Default 0. */
  readonly id?: number;
  /**
   * The size in pixels that the guest is asked for. Linux has 800 by 600 without it, and falls back to that when the picture
   * with its 32 bits a pixel is larger than its parameter `xen_fbfront.video` says: 2 MiB by default.
   */
  readonly width?: number;
  readonly height?: number;
}

export type ChangeListener = (area: Rectangle | undefined) => void;

/** A PV frame buffer: what the guest draws. */
export interface FrameBufferDevice extends PvDevice {
  readonly type: 'vfb';
  /** Pixels; undefined while the guest does not use it. */
  readonly size: { readonly width: number; readonly height: number } | undefined;
  /** Whether the guest says what it changes. If not, listeners hear of the size only, and looking again is all there is. */
  readonly updates: boolean;
  /** The picture as it is at this moment, or a part of it; undefined while the guest does not use the device. */
  snapshot(area?: Rectangle): Picture | undefined;
  /**
   * Calls the listener with each part that has changed since it was last called; without one when everything has, which is also
   * when the size has changed and when the guest began or ceased to use the device.
   */
  onChange(listener: ChangeListener): Disposable;
}

/** Makes a PV frame buffer. @throws RangeError for a size that is none */
export function frameBufferDevice(options: FrameBufferOptions = {}): FrameBufferDevice {
  const { id = 0, width, height } = options;
  for (const [name, value] of Object.entries({ width, height })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= 0xffff))
      throw new RangeError(`the ${name} of a frame buffer is 1 to 65535 pixels, not ${value}`);
  }
  return new OwnedFrameBuffer(id, {
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
  });
}

/** The device, if it is a frame buffer. */
export const asFrameBuffer = (device: PvDevice): FrameBufferDevice | undefined =>
  device instanceof OwnedFrameBuffer ? device : undefined;

class OwnedFrameBuffer implements FrameBufferDevice {
  readonly type = 'vfb';
  readonly name: string;
  readonly #id: number;
  readonly #size: { readonly width?: number; readonly height?: number };
  readonly #listeners = new Set<ChangeListener>();
  /** Of the platform as it is now. */
  #driver: FrameBufferBackend | undefined;

  constructor(id: number, size: { readonly width?: number; readonly height?: number }) {
    this.name = String(id);
    this.#id = id;
    this.#size = size;
  }

  get size(): { readonly width: number; readonly height: number } | undefined {
    const geometry = this.#driver?.connection?.geometry;
    return geometry === undefined ? undefined : { width: geometry.width, height: geometry.height };
  }

  get updates(): boolean {
    return this.#driver?.connection?.updates ?? false;
  }

  snapshot(area?: Rectangle): Picture | undefined {
    return this.#driver?.snapshot(area);
  }

  onChange(listener: ChangeListener): Disposable {
    // An entry of its own each time: the same function may be given twice.
    const entry: ChangeListener = (area) => listener(area);
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  attach(bus: BackendBus): BackendDevice {
    const driver = new FrameBufferBackend({
      changed: (area) => {
        for (const listener of this.#listeners) listener(area);
      },
    });
    const device = bus.attach(driver, {
      id: this.#id,
      // libxl's words for showing it, which nothing here does.
      backend: { vnc: 0, vncunused: 0, sdl: 0, opengl: 0, ...this.#size },
    });
    this.#driver = driver;
    return device;
  }

  async close(): Promise<void> {
    this.#driver = undefined;
    this.#listeners.clear();
  }
}
