import { describe, expect, it } from 'vitest';
import { KEY_NAMES, keyCode, keyCodes } from './key-names.ts';
import { textStrokes } from './us-layout.ts';

describe('names of keys', () => {
  // include/uapi/linux/input-event-codes.h: the last of each row, and what lies at its ends.
  it.each([
    ['esc', 1],
    ['tab', 15],
    ['q', 16],
    ['ret', 28],
    ['ctrl', 29],
    ['a', 30],
    ['shift', 42],
    ['backslash', 43],
    ['z', 44],
    ['slash', 53],
    ['shift_r', 54],
    ['asterisk', 55],
    ['alt', 56],
    ['spc', 57],
    ['caps_lock', 58],
    ['f1', 59],
    ['f10', 68],
    ['num_lock', 69],
    ['scroll_lock', 70],
    ['kp_7', 71],
    ['kp_decimal', 83],
    ['less', 86],
    ['f11', 87],
    ['f12', 88],
    ['ro', 89],
    ['henkan', 92],
    ['kp_enter', 96],
    ['ctrl_r', 97],
    ['kp_divide', 98],
    ['print', 99],
    ['alt_r', 100],
    ['home', 102],
    ['up', 103],
    ['left', 105],
    ['down', 108],
    ['delete', 111],
    ['audiomute', 113],
    ['power', 116],
    ['pause', 119],
    ['kp_comma', 121],
    ['yen', 124],
    ['meta_l', 125],
    ['compose', 127],
    ['help', 138],
    ['menu', 139],
    ['calculator', 140],
    ['wake', 143],
    ['mail', 155],
    ['ac_forward', 159],
    ['audionext', 163],
    ['audiostop', 166],
    ['ac_refresh', 173],
    ['f24', 194],
  ])('%s is %i', (name, code) => {
    expect(keyCode(name)).toBe(code);
    expect(keyCode(name.toUpperCase())).toBe(code);
  });

  it('are each for one key', () => {
    expect(new Set(KEY_NAMES.map(keyCode)).size).toBe(KEY_NAMES.length);
  });

  it('make combinations', () => {
    expect(keyCodes('ctrl-alt-del')).toEqual([29, 56, 111]);
    expect(keyCodes('Enter')).toEqual([28]);
  });

  it.each([
    ['ctrl-alt-f25', "there is no key 'f25'; did you mean f2?"],
    ['ctrl--', 'there is no key without a name; the key - is called minus'],
    ['__proto__', "there is no key '__proto__'; keys are such as a, ret, f1, ctrl-alt-delete"],
  ])('%s is none', (name, message) => {
    expect(() => keyCodes(name)).toThrow(message);
  });
});

describe('text on a US keyboard', () => {
  it('is keys with and without shift', () => {
    expect(textStrokes('aB 1!\n~/')).toEqual([[30], [42, 48], [57], [2], [42, 2], [28], [42, 41], [53]]);
  });

  it('may have every printable ASCII character', () => {
    const all = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    expect(new Set(textStrokes(all).map(String)).size).toBe(95);
  });

  it('cannot have others', () => {
    expect(() => textStrokes('aé')).toThrow('no key of a US keyboard types "é"');
    expect(() => textStrokes('\u0007')).toThrow('"\\u0007"');
  });
});
