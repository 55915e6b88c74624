// Shared directories, channels, frame buffers and keyboards of a configuration: xl.cfg(5).
import { type ConfigPosition, XlConfigError } from './config-error.ts';
import { type DeviceValues, readDevice } from './device-words.ts';
import type { PlacedString } from './setting-reader.ts';

export interface P9Spec {
  /** What the guest mounts it by. */
  readonly tag: string;
  readonly path: string;
  readonly securityModel: 'none';
  readonly backend?: string;
  readonly position: ConfigPosition;
}

export interface ChannelSpec {
  readonly name: string;
  readonly connection: 'socket' | 'pty';
  /** Of the socket. */
  readonly path?: string;
  readonly position: ConfigPosition;
}

/** Words as they are written: what a frame buffer is shown on is not the guest's concern. */
export interface VfbSpec {
  readonly options: Readonly<Record<string, string>>;
  /** What the guest is asked for, in pixels; these two are dom1's own. */
  readonly width?: number;
  readonly height?: number;
  readonly position: ConfigPosition;
}

export interface VkbSpec {
  readonly uniqueId?: string;
  readonly disableKeyboard: boolean;
  readonly disablePointer: boolean;
  readonly absPointer: boolean;
  readonly rawPointer: boolean;
  readonly multiTouch?: { readonly width: number; readonly height: number; readonly contacts: number };
  readonly width?: number;
  readonly height?: number;
  readonly position: ConfigPosition;
}

const missing = (spec: PlacedString, device: string, key: string): XlConfigError =>
  new XlConfigError(spec.position, `${device} '${spec.text}': ${key} is missing`, `write ${key}=…`);

const needed = (values: DeviceValues, spec: PlacedString, device: string, key: string): string => {
  const value = values.strings.get(key);
  if (value === undefined || value === '') throw missing(spec, device, key);
  return value;
};

/** @throws XlConfigError */
export function parseP9Spec(spec: PlacedString): P9Spec {
  const values = readDevice(spec, {
    device: 'p9',
    strings: ['tag', 'path', 'security_model', 'backend', 'type'],
    integers: ['max_space', 'max_files', 'max_open_files'],
    booleans: ['auto_delete'],
  });
  const model = values.strings.get('security_model') ?? 'none';
  const backend = values.strings.get('backend');
  if (model !== 'none')
    throw new XlConfigError(
      values.positions.get('security_model') ?? spec.position,
      `p9: '${model}' is no security model`,
      'use none',
    );
  return {
    tag: needed(values, spec, 'p9', 'tag'),
    path: needed(values, spec, 'p9', 'path'),
    securityModel: model,
    ...(backend !== undefined && { backend }),
    position: spec.position,
  };
}

/** @throws XlConfigError */
export function parseChannelSpec(spec: PlacedString): ChannelSpec {
  const values = readDevice(spec, { device: 'channel', strings: ['backend', 'name', 'connection', 'path'] });
  const name = needed(values, spec, 'channel', 'name');
  const connection = needed(values, spec, 'channel', 'connection').toLowerCase();
  if (connection !== 'socket' && connection !== 'pty')
    throw new XlConfigError(
      values.positions.get('connection') ?? spec.position,
      `channel: '${connection}' is no connection`,
      'use socket or pty',
    );
  if (connection === 'socket')
    return { name, connection, path: needed(values, spec, 'channel', 'path'), position: spec.position };
  return { name, connection, position: spec.position };
}

const VFB = [
  'vnc',
  'vnclisten',
  'vncdisplay',
  'vncunused',
  'vncpasswd',
  'sdl',
  'display',
  'xauthority',
  'opengl',
  'keymap',
  'type',
];

/** @throws XlConfigError */
export function parseVfbSpec(spec: PlacedString): VfbSpec {
  const values = readDevice(spec, { device: 'vfb', strings: VFB, integers: ['width', 'height'] });
  return { options: Object.fromEntries(values.strings), ...sizeOf(values), position: spec.position };
}

/** @throws XlConfigError */
export function parseVkbSpec(spec: PlacedString): VkbSpec {
  const values = readDevice(spec, {
    device: 'vkb',
    strings: ['unique-id', 'backend', 'backend-type'],
    integers: ['multi-touch-width', 'multi-touch-height', 'multi-touch-num-contacts', 'width', 'height'],
    booleans: [
      'feature-disable-keyboard',
      'feature-disable-pointer',
      'feature-abs-pointer',
      'feature-raw-pointer',
      'feature-multi-touch',
    ],
  });
  const on = (key: string): boolean => values.booleans.get(`feature-${key}`) ?? false;
  const number = (key: string): number => {
    const value = values.integers.get(key);
    if (value === undefined) throw missing(spec, 'vkb', key);
    return value;
  };
  const uniqueId = values.strings.get('unique-id');
  return {
    ...(uniqueId !== undefined && { uniqueId }),
    disableKeyboard: on('disable-keyboard'),
    disablePointer: on('disable-pointer'),
    absPointer: on('abs-pointer'),
    rawPointer: on('raw-pointer'),
    ...(on('multi-touch') && {
      multiTouch: {
        width: number('multi-touch-width'),
        height: number('multi-touch-height'),
        contacts: number('multi-touch-num-contacts'),
      },
    }),
    ...sizeOf(values),
    position: spec.position,
  };
}

function sizeOf({ integers }: DeviceValues): { readonly width?: number; readonly height?: number } {
  const [width, height] = [integers.get('width'), integers.get('height')];
  return { ...(width !== undefined && { width }), ...(height !== undefined && { height }) };
}
