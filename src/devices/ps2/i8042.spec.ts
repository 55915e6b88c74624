// IBM PS/2 Hardware Interface Technical Reference: the controller with a keyboard and a mouse behind it.
import { describe, expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { I8042 } from './i8042.ts';
import { Ps2Keyboard } from './keyboard.ts';
import { Ps2Mouse } from './mouse.ts';
import { scanCodes, translate } from './scan-codes.ts';

function make() {
  const keyboard = new Ps2Keyboard();
  const mouse = new Ps2Mouse();
  const [keyboardLine, mouseLine] = [new ProbeLine(), new ProbeLine()];
  let resets = 0;
  const chip = new I8042({
    keyboard,
    mouse,
    keyboardInterrupt: keyboardLine,
    mouseInterrupt: mouseLine,
    reset: () => resets++,
  });
  const command = (value: number) => chip.commandPort.write(0, 1, value);
  const data = (value: number) => chip.dataPort.write(0, 1, value);
  const status = () => chip.commandPort.read(0, 1);
  const drain = () => {
    const bytes: number[] = [];
    while (status() & 1 && bytes.length < 100) bytes.push(chip.dataPort.read(0, 1));
    return bytes;
  };
  const mode = (value: number) => {
    command(0x60);
    data(value);
  };
  return { chip, command, data, drain, keyboard, keyboardLine, mode, mouse, mouseLine, resets: () => resets, status };
}

describe('the controller', () => {
  it('tests itself, and keeps its command byte', () => {
    const { command, drain, mode } = make();
    command(0xaa);
    expect(drain()).toEqual([0x55]);
    mode(0x47);
    command(0x20);
    expect(drain()).toEqual([0x47]);
  });

  it('resets the machine by a pulse and by its output port', () => {
    const { command, data, drain, resets } = make();
    command(0xff);
    expect(resets()).toBe(0);
    command(0xfe);
    command(0xd1);
    data(0x02);
    expect(resets()).toBe(2);
    command(0xd1);
    data(0x03);
    command(0xd0);
    expect(drain()[0]).toBe(0x03);
  });

  it('gives back what is put into its buffers, as from the device', () => {
    const { command, data, mode, mouseLine, status } = make();
    mode(0x43);
    command(0xd3);
    data(0x5a);
    expect([status() & 0x21, mouseLine.up]).toEqual([0x21, true]);
  });
});

describe('the keyboard', () => {
  it('answers, and its keys come in set 1 while they are translated', () => {
    const { data, drain, keyboard, mode } = make();
    mode(0x41);
    data(0xf2);
    expect(drain()).toEqual([0xfa, 0xab, 0x41]);
    keyboard.key(scanCodes(0x1e, false, true));
    keyboard.key(scanCodes(0x1e, false, false));
    keyboard.key(scanCodes(0x48, true, true));
    expect(drain()).toEqual([0x1e, 0x9e, 0xe0, 0x48]);
  });

  it('comes in set 2 without, one interrupt a byte', () => {
    const { chip, drain, keyboard, keyboardLine, mode } = make();
    mode(0x01);
    keyboard.key(scanCodes(0x1e, false, false));
    expect(keyboardLine.rises).toBe(1);
    expect(chip.dataPort.read(0, 1)).toBe(0xf0);
    expect([keyboardLine.up, keyboardLine.rises]).toEqual([true, 2]);
    expect(drain()).toEqual([0x1c]);
    expect(keyboardLine.up).toBe(false);
  });

  it('waits while its interface is off, and loses no half of a key', () => {
    const { command, drain, keyboard } = make();
    for (let i = 0; i < 100; i++) keyboard.key([0xf0, 0x1c]);
    expect(drain()).toEqual([]);
    command(0xae);
    expect(drain()).toEqual(Array(32).fill(0x9e));
  });
});

describe('who types more than the keyboard keeps', () => {
  it('is told when there is room, and loses nothing', () => {
    const { drain, keyboard, mode } = make();
    const left = Array.from({ length: 90 }, (_, i) => i + 1);
    const type = () => {
      for (let set1 = left.shift(); set1 !== undefined; set1 = left.shift()) {
        if (keyboard.key(scanCodes(0x02 + (set1 % 8), false, true))) continue;
        left.unshift(set1);
        return;
      }
    };
    keyboard.onRoom = type;
    mode(0x41);
    type();
    expect(left.length).toBeGreaterThan(20);
    expect(drain()).toEqual(Array.from({ length: 90 }, (_, i) => 0x02 + ((i + 1) % 8)));
  });
});

describe('the mouse', () => {
  it('reports what moves when it is enabled', () => {
    const { command, data, drain, mode, mouse, mouseLine } = make();
    mode(0x42);
    command(0xd4);
    data(0xf4);
    expect(drain()).toEqual([0xfa]);
    mouse.move(5, -3, 1);
    expect(mouseLine.up).toBe(true);
    expect(drain()).toEqual([0x29, 5, 0xfd]);
  });

  it('has a wheel for who knocks', () => {
    const { command, data, drain, mode, mouse } = make();
    mode(0x42);
    for (const byte of [0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, 0xf4]) {
      command(0xd4);
      data(byte);
    }
    expect(drain().slice(-3)).toEqual([0xfa, 3, 0xfa]);
    mouse.move(0, 0, 0, -1);
    expect(drain()).toEqual([0x08, 0, 0, 0xff]);
  });
});

it('translates one code to one code', () => {
  const codes = Array.from({ length: 0x84 }, (_, code) => translate(code)).filter((code, i) => code !== i);
  expect(new Set(codes).size).toBe(codes.length);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      const ranges = [made.chip.dataPort, made.chip.commandPort].map((handler) => ({ handler, size: 1 }));
      return { chip: made, ranges };
    },
    ({ chip, drain, keyboard, mode, data }) => {
      chip.reset();
      mode(0x41);
      data(0xff);
      expect(drain()).toEqual([0xfa, 0xaa]);
      keyboard.key([0x1c]);
      expect(drain()).toEqual([0x1e]);
    },
  );
});
