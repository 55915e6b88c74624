// What Linux's own driver makes of the bytes is in test/guest/hvm-screen.spec.ts.
import { describe, expect, it } from 'vitest';
import { KeyStrokes } from './key-strokes.ts';
import { translate } from './scan-codes.ts';

const KEY = { a: 30, ctrl: 29, f24: 194, alt: 56, right: 106, sysrq: 99, pause: 119, kpEnter: 96 } as const;
/** After the controller's translation. */
function set1(bytes: readonly number[] | undefined): readonly number[] | undefined {
  const out: number[] = [];
  let up = 0;
  for (const byte of bytes ?? []) {
    if (byte === 0xf0) up = 0x80;
    else {
      out.push(translate(byte) | (byte < 0xe0 ? up : 0));
      up = 0;
    }
  }
  return bytes && out;
}

describe('the strokes of an AT keyboard', () => {
  it('are a make code and a break code', () => {
    const strokes = new KeyStrokes();
    expect([strokes.bytes(KEY.a, true), strokes.bytes(KEY.a, false)]).toEqual([[0x1c], [0xf0, 0x1c]]);
    expect([strokes.bytes(KEY.right, true), strokes.bytes(KEY.right, false)]).toEqual([
      [0xe0, 0x74],
      [0xe0, 0xf0, 0x74],
    ]);
    expect(set1(strokes.bytes(KEY.kpEnter, false))).toEqual([0xe0, 0x9c]);
    expect(set1(strokes.bytes(KEY.f24, true))).toEqual([0x76]);
  });

  it('know that SysRq is another key with Alt', () => {
    const strokes = new KeyStrokes();
    expect(set1(strokes.bytes(KEY.sysrq, true))).toEqual([0xe0, 0x37]);
    expect(set1(strokes.bytes(KEY.sysrq, false))).toEqual([0xe0, 0xb7]);
    strokes.bytes(KEY.alt, true);
    expect([set1(strokes.bytes(KEY.sysrq, true)), set1(strokes.bytes(KEY.sysrq, false))]).toEqual([[0x54], [0xd4]]);
  });

  it('know that Pause goes up with itself, and is Break with Ctrl', () => {
    const strokes = new KeyStrokes();
    expect(set1(strokes.bytes(KEY.pause, true))).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    expect(strokes.bytes(KEY.pause, false)).toEqual([]);
    strokes.bytes(KEY.ctrl, true);
    expect(set1(strokes.bytes(KEY.pause, true))).toEqual([0xe0, 0x46, 0xe0, 0xc6]);
  });

  it('are different for all keys, and none for what no keyboard has', () => {
    const strokes = new KeyStrokes();
    const found = Array.from({ length: 0x300 }, (_, code) => strokes.bytes(code, true)).filter((bytes) => bytes !== undefined);
    expect(found.length).toBeGreaterThan(100);
    expect(new Set(found.map((bytes) => bytes.join())).size).toBe(found.length);
    for (const code of [0, 101, 112, 0x110, 5000]) expect(strokes.bytes(code, true)).toBeUndefined();
  });
});
