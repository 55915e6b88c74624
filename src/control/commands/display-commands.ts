// Commands of the monitor on the guest's screen, keyboard and mouse.
import { KeyNameError, keyCodes } from '../../backends/vkbd/key-names.ts';
import { BUTTONS, type PointerChange } from '../../backends/vkbd/pointer-change.ts';
import { textStrokes } from '../../backends/vkbd/us-layout.ts';
import { encodePng } from '../../image/png.ts';
import type { ArgumentSpec } from '../argument-spec.ts';
import { toBase64 } from '../console/base64.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import type { InputPort } from '../display-port.ts';
import { ENDED_STATES } from '../monitor-target.ts';

/** Milliseconds that keys are held: as QEMU's sendkey has it, and less for text. */
const HOLD = { key: 100, text: 10, most: 10_000 } as const;
/** Milliseconds that one command may take. */
const MOST_TIME = 60_000;

const HOLD_TIME = (ms: number) =>
  ({ type: 'integer', optional: true, min: 0, max: HOLD.most, help: `milliseconds, ${ms} by default` }) as const;
const PIXELS = (what: string) =>
  ({ type: 'integer', optional: true, min: -0x8000_0000, max: 0x7fff_ffff, help: what }) as const satisfies ArgumentSpec;

function inputOf({ target: { input, state } }: CommandContext): InputPort {
  if (ENDED_STATES.includes(state)) throw new ControlError('WrongState', `the domain is ${state}: it cannot be sent keys`);
  if (input === undefined)
    throw new ControlError('GenericError', 'the domain has no keyboard and mouse; add vfb = [ "vnc=0" ] to its configuration');
  return input;
}

/** @throws ControlError `InvalidArgument` */
function strokesOf<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof KeyNameError ? new ControlError('InvalidArgument', error.message) : error;
  }
}

/** Presses the keys of each stroke in order, holds them, and lets go of them in reverse. Whatever happens, none stays down. */
async function press(input: InputPort, strokes: readonly (readonly number[])[], holdMs: number): Promise<void> {
  if (strokes.length * holdMs > MOST_TIME)
    throw new ControlError(
      'InvalidArgument',
      `${strokes.length} keys of ${holdMs} ms take longer than ${MOST_TIME / 1000} s; send fewer at a time, or hold them for less`,
    );
  for (const stroke of strokes) {
    const down: number[] = [];
    try {
      for (const code of stroke) {
        input.key(code, true);
        down.push(code);
      }
      if (holdMs > 0) await new Promise((resolve) => setTimeout(resolve, holdMs));
    } finally {
      for (const code of down.reverse()) input.key(code, false);
    }
  }
}

export const DISPLAY_COMMANDS = [
  controlCommand({
    name: 'screendump',
    help: "the guest's screen: width and height in pixels, format (png), data in base64",
    arguments: {},
    async run({ target: { display } }) {
      if (display === undefined)
        throw new ControlError('GenericError', 'the domain has no frame buffer; add vfb = [ "vnc=0" ] to its configuration');
      const picture = display.snapshot();
      if (picture === undefined)
        throw new ControlError('GenericError', 'the guest does not use its frame buffer; has it a driver?');
      const { width, height } = picture;
      if (width === 0 || height === 0) throw new ControlError('GenericError', `the screen has ${width} by ${height} pixels`);
      return { width, height, format: 'png', data: toBase64(await encodePng(picture)) };
    },
  }),
  controlCommand({
    name: 'send-key',
    help: 'press keys, one combination after the other: ctrl-alt-f1, a, ret',
    arguments: {
      keys: { type: 'strings', help: "names of keys as QEMU's sendkey has them, with - between those of a combination" },
      'hold-time': HOLD_TIME(HOLD.key),
    },
    async run(context, { keys, 'hold-time': holdMs = HOLD.key }) {
      await press(
        inputOf(context),
        strokesOf(() => keys.map(keyCodes)),
        holdMs,
      );
    },
  }),
  controlCommand({
    name: 'send-text',
    help: 'type a text on a US keyboard',
    arguments: {
      text: { type: 'string', help: 'printable ASCII characters, line feeds and tabs' },
      'hold-time': HOLD_TIME(HOLD.text),
    },
    async run(context, { text, 'hold-time': holdMs = HOLD.text }) {
      await press(
        inputOf(context),
        strokesOf(() => textStrokes(text)),
        holdMs,
      );
    },
  }),
  controlCommand({
    name: 'send-pointer',
    help: 'move the mouse, turn its wheel, press or let go of a button, in this order',
    arguments: {
      x: PIXELS('where it is, in pixels from the left'),
      y: PIXELS('where it is, in pixels from the top'),
      dx: PIXELS('how far it moves to the right'),
      dy: PIXELS('how far it moves down'),
      wheel: PIXELS('steps of the wheel, towards the user'),
      button: {
        type: 'string',
        optional: true,
        values: Object.keys(BUTTONS) as readonly (keyof typeof BUTTONS)[],
        help: 'the button',
      },
      pressed: { type: 'boolean', optional: true, help: 'what becomes of the button; true by default' },
    },
    run(context, { button, pressed = true, ...motion }) {
      const change: PointerChange = { ...motion, ...(button !== undefined && { buttons: { [button]: pressed } }) };
      inputOf(context).pointer(change);
    },
  }),
];
