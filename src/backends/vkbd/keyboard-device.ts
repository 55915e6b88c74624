// A keyboard with a pointer as its owner sees it, with the nodes that libxl writes for one (libxl__set_xenstore_vkb of Xen 4.20).
import { XENFB_DEFAULT } from '../../abi/xen/fbif.ts';
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { InputError } from './input-error.ts';
import { KeyboardBackend } from './keyboard-backend.ts';
import type { KeyboardConnection } from './keyboard-connection.ts';
import type { PointerChange, TouchChange } from './pointer-change.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** What a PV keyboard is like. */
export interface KeyboardOptions {
  /** Its number. Default 0. */
  readonly id?: number;
  readonly uniqueId?: string;
  /** The guest is told to have no keyboard, or no pointer. Linux (6.1) without a pointer crashes on the first key. */
  readonly disableKeyboard?: boolean;
  readonly disablePointer?: boolean;
  /** Absolute positions are offered, in pixels and raw. Default true, both. */
  readonly absPointer?: boolean;
  readonly rawPointer?: boolean;
  /** The size of a touch screen, and how many fingers it tells apart (1 to 255). Default: there is none. */
  readonly multiTouch?: Size & { readonly contacts: number };
  /** The largest coordinates of the pointer, which guests are told. Default: not told; Linux then has 800 by 600. */
  readonly width?: number;
  readonly height?: number;
  /** The size of the screen that positions are meant for. Default: `width` by `height`. */
  readonly screen?: () => Size | undefined;
}

/** A PV keyboard with a pointer: keys and movements for the guest. */
export interface KeyboardDevice extends PvDevice {
  readonly type: 'vkbd';
  /** Whether the guest takes absolute positions; undefined while it does not use the device. */
  readonly absolute: boolean | undefined;
  /**
   * Presses a key or lets go of it; a key that is pressed again repeats.
   * @param code KEY_* or BTN_* of Linux: see `key-names.ts`
   * @throws InputError, RangeError for what is no code
   */
  key(code: number, pressed: boolean): void;
  /** @throws InputError, RangeError for what is no 32-bit integer */
  pointer(change: PointerChange): void;
  /** Changes of fingers that belong together. @throws InputError, RangeError for a finger that there is not */
  touch(changes: readonly TouchChange[]): void;
}

/** KEY_MAX of Linux; its driver looks beyond a table for larger ones. */
const LAST_KEY = 0x2ff;

/** Makes a PV keyboard with a pointer. @throws RangeError for sizes that are none */
export function keyboardDevice(options: KeyboardOptions = {}): KeyboardDevice {
  const { width, height, multiTouch } = options;
  for (const [name, value] of Object.entries({ width, height, ...multiTouch })) {
    const most = name === 'contacts' ? 255 : 0x7fff_ffff;
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= most))
      throw new RangeError(`the ${name} of a PV keyboard's pointer is 1 to ${most}, not ${value}`);
  }
  return new OwnedKeyboard(options);
}

/** The device, if it is a keyboard. */
export const asKeyboard = (device: PvDevice): KeyboardDevice | undefined =>
  device instanceof OwnedKeyboard ? device : undefined;

class OwnedKeyboard implements KeyboardDevice {
  readonly type = 'vkbd';
  readonly name: string;
  readonly #options: KeyboardOptions;
  /** Of the platform as it is now. */
  #driver: KeyboardBackend | undefined;

  constructor(options: KeyboardOptions) {
    this.#options = options;
    this.name = String(options.id ?? 0);
  }

  get absolute(): boolean | undefined {
    return this.#driver?.connection?.requests.absolute;
  }

  key(code: number, pressed: boolean): void {
    if (!Number.isInteger(code) || code < 1 || code > LAST_KEY) throw new RangeError(`${code} is no code of a key`);
    this.#connection().key(code, pressed);
  }

  pointer(change: PointerChange): void {
    for (const value of [change.x, change.y, change.dx, change.dy, change.wheel]) checkInteger(value);
    this.#connection().pointer(change);
  }

  touch(changes: readonly TouchChange[]): void {
    const contacts = this.#options.multiTouch?.contacts ?? 0;
    for (const { contact, kind, ...values } of changes) {
      if (contacts > 0 && !(Number.isInteger(contact) && contact >= 0 && contact < contacts))
        throw new RangeError(`the touch screen has no finger ${contact}, only 0 to ${contacts - 1}`);
      for (const value of Object.values(values)) checkInteger(value);
    }
    this.#connection().touch(changes);
  }

  attach(bus: BackendBus): BackendDevice {
    const { id = 0, uniqueId, disableKeyboard, disablePointer, multiTouch, width, height } = this.#options;
    const { absPointer = true, rawPointer = true } = this.#options;
    const driver = new KeyboardBackend({
      offered: { absolute: absPointer, raw: rawPointer, touch: multiTouch !== undefined },
      plane: () => {
        const told = { width: width ?? XENFB_DEFAULT.width, height: height ?? XENFB_DEFAULT.height };
        const shown = this.#options.screen?.() ?? told;
        const screen = { width: Math.max(1, shown.width), height: Math.max(1, shown.height) };
        // A guest that was told no size has that of the screen in mind.
        return { ...screen, mostX: (width ?? screen.width) - 1, mostY: (height ?? screen.height) - 1 };
      },
    });
    const device = bus.attach(driver, {
      id,
      backend: {
        ...(uniqueId !== undefined && { 'unique-id': uniqueId }),
        ...(disableKeyboard === true && { 'feature-disable-keyboard': 1 }),
        ...(disablePointer === true && { 'feature-disable-pointer': 1 }),
        ...(multiTouch !== undefined && {
          'feature-multi-touch': 1,
          'multi-touch-width': multiTouch.width,
          'multi-touch-height': multiTouch.height,
          'multi-touch-num-contacts': multiTouch.contacts,
        }),
        ...(width !== undefined && { width }),
        ...(height !== undefined && { height }),
      },
    });
    this.#driver = driver;
    return device;
  }

  async close(): Promise<void> {
    this.#driver = undefined;
  }

  #connection(): KeyboardConnection {
    const connection = this.#driver?.connection;
    if (connection === undefined) throw new InputError('not-connected', 'the guest does not use its PV keyboard and mouse');
    return connection;
  }
}

function checkInteger(value: number | undefined): void {
  if (value !== undefined && (value | 0) !== value) throw new RangeError(`${value} is no 32-bit integer`);
}
