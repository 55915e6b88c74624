// The commands on a guest's screen, keyboard and mouse.
import type { CommandRow } from './command-row.ts';

const ROW = { options: [], guestCommandLine: false, notes: [], on: 'domain' } as const;

export const DISPLAY_ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: 'screenshot',
    arguments: ['domain', 'file'],
    summary: "write what a guest's screen shows as a PNG",
    notes: [
      'An HVM guest shows its VGA; others need a PV frame buffer, as vfb = [ "vnc=0" ] in their configuration gives it, and a driver for it. A file named - is stdout.',
    ],
  },
  {
    ...ROW,
    name: 'sendkey',
    arguments: ['domain', 'keys...'],
    summary: "press keys on a guest's keyboard",
    options: [
      { name: 'text', short: 't', help: 'type the words as text on a US keyboard, with blanks between them' },
      { name: 'enter', short: 'e', help: 'and press Enter at the end' },
      { name: 'hold', value: 'ms', help: 'how long each key is held (default 100, for text 10)' },
    ],
    notes: [
      "Keys have the names of QEMU's sendkey, in letters of either case: a, ret, f1, kp_5; keys with - between them are pressed together: ctrl-alt-f1.",
      'An HVM guest has a PS/2 keyboard and mouse. A domain with a vfb in its configuration has a PV keyboard and mouse, too; vkb gives it one without a frame buffer.',
    ],
  },
  {
    ...ROW,
    name: 'mouse',
    arguments: ['domain', 'move|by|wheel|down|up|click', '[value...]'],
    summary: "use a guest's mouse",
    notes: [
      'move <x> <y> puts it there, in pixels, if the guest takes absolute positions, as Linux does from a PV mouse; by <dx> <dy> moves it; wheel <steps> turns the wheel towards the user; down, up and click take left, middle, right, side or extra, left by default. Numbers below 0 stand behind --: dom1 mouse web by -- -5 3',
    ],
  },
];
