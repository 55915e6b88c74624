// Names of keys as people type them, after QEMU's sendkey, and the codes that the interface carries: KEY_* of Linux
// (include/uapi/linux/input-event-codes.h).
import { closest } from '../../util/closest.ts';

/** Names in rows of neighbouring codes, from a first code on; a dash stands for a code without a name. */
const ROWS: readonly (readonly [first: number, names: string])[] = [
  [1, 'esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab'],
  [16, 'q w e r t y u i o p bracket_left bracket_right ret ctrl'],
  [30, 'a s d f g h j k l semicolon apostrophe grave_accent shift backslash'],
  [44, 'z x c v b n m comma dot slash shift_r kp_multiply alt spc caps_lock'],
  [59, 'f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock'],
  [71, 'kp_7 kp_8 kp_9 kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal'],
  [86, 'less f11 f12 ro - hiragana henkan katakanahiragana muhenkan - kp_enter ctrl_r kp_divide sysrq alt_r lf'],
  [102, 'home up pgup left right end down pgdn insert delete - audiomute volumedown volumeup power kp_equals'],
  [119, 'pause - kp_comma lang1 lang2 yen meta_l meta_r compose stop again props undo front copy open paste find cut help menu'],
  [140, 'calculator - sleep wake'],
  [155, 'mail ac_bookmarks computer ac_back ac_forward'],
  [163, 'audionext audioplay audioprev audiostop'],
  [172, 'ac_home ac_refresh'],
  [183, 'f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24'],
];

/** Other names that people know. */
const ALIASES: Readonly<Record<string, string>> = {
  enter: 'ret',
  return: 'ret',
  space: 'spc',
  escape: 'esc',
  control: 'ctrl',
  win: 'meta_l',
  super: 'meta_l',
  meta: 'meta_l',
  altgr: 'alt_r',
  page_up: 'pgup',
  page_down: 'pgdn',
  ins: 'insert',
  del: 'delete',
  print: 'sysrq',
  asterisk: 'kp_multiply',
  period: 'dot',
  equals: 'equal',
  linefeed: 'lf',
};

const CODES: ReadonlyMap<string, number> = new Map(
  ROWS.flatMap(([first, names]) => names.split(' ').map((name, i): [string, number] => [name, first + i])).filter(
    ([name]) => name !== '-',
  ),
);

/** Every name, in the order of the codes; other names are not in it. */
export const KEY_NAMES: readonly string[] = [...CODES.keys()];

/** A word that names no key. `message` is one line with what might be meant. */
export class KeyNameError extends Error {
  override readonly name = 'KeyNameError';
}

/** The code of a key by its name, in letters of either case. @throws KeyNameError */
export function keyCode(name: string): number {
  const low = name.toLowerCase();
  const code = CODES.get(ALIASES[low] ?? low);
  if (code !== undefined) return code;
  if (low === '') throw new KeyNameError('there is no key without a name; the key - is called minus');
  const near = closest(low, [...KEY_NAMES, ...Object.keys(ALIASES)]);
  throw new KeyNameError(
    `there is no key '${name}'${near === undefined ? '; keys are such as a, ret, f1, ctrl-alt-delete' : `; did you mean ${near}?`}`,
  );
}

/** The keys of a combination such as `ctrl-alt-f1`, in the order in which they are pressed. @throws KeyNameError */
export const keyCodes = (combination: string): readonly number[] => combination.split('-').map(keyCode);
