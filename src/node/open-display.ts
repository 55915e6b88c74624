// Frame buffers, keyboards and mice of a configuration as devices.
import type { PvDevice } from '../backends/pv-device.ts';
import { type FrameBufferDevice, frameBufferDevice } from '../backends/vfb/frame-buffer-device.ts';
import { type KeyboardOptions, keyboardDevice } from '../backends/vkbd/keyboard-device.ts';
import { positionText, XlConfigError } from '../control/xl-config/config-error.ts';
import type { VfbSpec, VkbSpec } from '../control/xl-config/device-specs.ts';

/**
 * Each frame buffer with a keyboard and a mouse of its own, as xl has it, and then the keyboards that stand for themselves.
 * @throws XlConfigError for sizes that cannot be
 */
export function displayDevices(vfbs: readonly VfbSpec[], vkbs: readonly VkbSpec[]): readonly PvDevice[] {
  const screens = vfbs.map((spec, id) => within(spec, () => frameBufferDevice({ id, ...sizeOf(spec) })));
  const keyboards = [
    ...vfbs.map((spec, i) => ({ spec, options: { ...sizeOf(spec), ...sizeOfScreen(screens[i]) } })),
    ...vkbs.map((spec) => ({ spec, options: { ...keyboardOptions(spec), ...sizeOfScreen(screens[0]) } })),
  ];
  return [...screens, ...keyboards.map(({ spec, options }, id) => within(spec, () => keyboardDevice({ id, ...options })))];
}

/** What is to be said of a configuration's displays: a line each, the place first. */
export const displayWarnings = (vfbs: readonly VfbSpec[], vkbs: readonly VkbSpec[]): readonly string[] => [
  ...notShown(vfbs),
  ...vkbs
    .filter(({ disablePointer }) => disablePointer)
    .map(
      ({ position }) =>
        `${positionText(position)}: vkb: Linux crashes at the first key when it has no pointer; leave feature-disable-pointer out, if the guest is Linux`,
    ),
];

/** What frame buffers were to be shown on, and are not. Words that turn something off (vnc=0) ask for nothing. */
function notShown(vfbs: readonly VfbSpec[]): readonly string[] {
  return vfbs.flatMap(({ options, position }) => {
    const words = Object.entries(options)
      .filter(([key, value]) => !(SWITCHES.has(key) && value === '0') && !(key.startsWith('vnc') && options['vnc'] === '0'))
      .map(([key, value]) => (key === 'vncpasswd' ? key : `${key}=${value}`));
    if (words.length === 0) return [];
    const are = words.length === 1 ? 'is' : 'are';
    return [
      `${positionText(position)}: vfb: ${words.join(', ')} ${are} not supported; dom1 screenshot shows the frame buffer, dom1 sendkey and dom1 mouse use its keyboard and mouse`,
    ];
  });
}

const SWITCHES: ReadonlySet<string> = new Set(['vnc', 'vncunused', 'sdl', 'opengl']);

const sizeOf = ({ width, height }: VfbSpec | VkbSpec): Pick<KeyboardOptions, 'width' | 'height'> => ({
  ...(width !== undefined && { width }),
  ...(height !== undefined && { height }),
});

const sizeOfScreen = (screen: FrameBufferDevice | undefined): Pick<KeyboardOptions, 'screen'> =>
  screen === undefined ? {} : { screen: () => screen.size };

/** Absolute and raw positions are always offered, as QEMU does whatever the configuration says. */
function keyboardOptions(spec: VkbSpec): KeyboardOptions {
  const { uniqueId, disableKeyboard, disablePointer, multiTouch } = spec;
  return {
    disableKeyboard,
    disablePointer,
    ...(uniqueId !== undefined && { uniqueId }),
    ...(multiTouch !== undefined && { multiTouch }),
    ...sizeOf(spec),
  };
}

function within<T>({ position }: VfbSpec | VkbSpec, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof RangeError ? new XlConfigError(position, error.message, 'give another number') : error;
  }
}
