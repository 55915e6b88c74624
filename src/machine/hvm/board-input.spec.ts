import { describe, expect, it } from 'vitest';
import { BoardInput } from './board-input.ts';
import { MAIL } from './mailbox.ts';

function make(room = true) {
  const posted: { kind: number; bytes: number[] }[] = [];
  const input = new BoardInput((kind, bytes) => {
    const values = kind === MAIL.mouse ? new Int32Array(bytes.buffer) : bytes;
    if (room) posted.push({ kind, bytes: [...values] });
    return room;
  });
  return { input, posted };
}

describe('the keyboard and the mouse of a board', () => {
  it('send keys, movements and buttons, the movement first', () => {
    const { input, posted } = make();
    input.key(30, true);
    input.key(119, false);
    input.pointer({ dx: 5, dy: 3, buttons: { left: true } });
    input.pointer({ wheel: -1, buttons: { left: false, middle: true } });
    input.pointer({ buttons: { middle: true } });
    expect(posted).toEqual([
      { kind: MAIL.keys, bytes: [0x1c] },
      { kind: MAIL.mouse, bytes: [5, -3, 0, 0] },
      { kind: MAIL.mouse, bytes: [0, 0, 1, 0] },
      { kind: MAIL.mouse, bytes: [0, 0, 1, -1] },
      { kind: MAIL.mouse, bytes: [0, 0, 4, 0] },
    ]);
  });

  it('say what they have not', () => {
    const { input, posted } = make();
    expect(() => input.key(0x110, true)).toThrow('a PS/2 keyboard has no key with code 272');
    expect(() => input.pointer({ x: 1, y: 1 })).toThrow('a PS/2 mouse takes no positions, only movements');
    expect(() => input.pointer({ dx: 1, buttons: { extra: true } })).toThrow(
      'a PS/2 mouse has no button extra: left, right and middle',
    );
    expect(() => input.pointer({ dx: 2 ** 40 })).toThrow(RangeError);
    expect(posted).toEqual([]);
  });

  it('say that the guest does not read', () => {
    expect(() => make(false).input.key(30, true)).toThrow('the guest has not taken what was typed before');
  });
});
