// Intel 231468 (8259A), and 82371SB 2.5.3.6 for the edge/level control.
import { describe, expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { PicPair } from './pic-pair.ts';

const ranges = (pic: PicPair) => [pic.masterPorts, pic.slavePorts, pic.elcrPorts].map((handler) => ({ handler, size: 2 }));

/** Initialises both as a PC's BIOS does: vectors 8 and 0x70, nothing masked. */
function start(pic: PicPair, icw4 = 0x01) {
  const write = (port: 'masterPorts' | 'slavePorts', offset: number, value: number) => pic[port].write(offset, 1, value);
  for (const [port, vector, cascade] of [
    ['masterPorts', 0x08, 0x04],
    ['slavePorts', 0x70, 0x02],
  ] as const) {
    write(port, 0, 0x11);
    for (const value of [vector, cascade, icw4, 0x00]) write(port, 1, value);
  }
  return write;
}

function make(icw4?: number) {
  const levels: boolean[] = [];
  const pic = new PicPair((level) => levels.push(level));
  return { pic, levels, write: start(pic, icw4) };
}

const pulse = (pic: PicPair, irq: number) => {
  pic.setLine(irq, false);
  pic.setLine(irq, true);
};

describe('priorities', () => {
  it('gives the lowest number first, and the slave at the place of input 2', () => {
    const { pic, write } = make();
    for (const irq of [4, 14, 1, 8]) pulse(pic, irq);
    const order: number[] = [];
    while (pic.requesting) {
      const vector = pic.acknowledge();
      order.push(vector);
      if (vector >= 0x70) write('slavePorts', 0, 0x20);
      write('masterPorts', 0, 0x20);
    }
    expect(order).toEqual([0x09, 0x70, 0x76, 0x0c]);
  });

  it('lets only a more important one through while one is in service', () => {
    const { pic, write } = make();
    pulse(pic, 3);
    expect(pic.acknowledge()).toBe(0x0b);
    pulse(pic, 4);
    expect(pic.requesting).toBe(false);
    pulse(pic, 1);
    expect(pic.acknowledge()).toBe(0x09);
    write('masterPorts', 0, 0x20);
    expect(pic.requesting).toBe(false);
    write('masterPorts', 0, 0x20);
    expect(pic.acknowledge()).toBe(0x0c);
  });

  it('rotates when asked to with an EOI', () => {
    const { pic, write } = make();
    pulse(pic, 0);
    pic.acknowledge();
    write('masterPorts', 0, 0xa0);
    pulse(pic, 0);
    pulse(pic, 7);
    expect(pic.acknowledge()).toBe(0x0f);
  });
});

describe('requests', () => {
  it('are masked, shown and taken back', () => {
    const { pic, write } = make();
    write('masterPorts', 1, 0xff);
    pulse(pic, 5);
    expect([pic.requesting, pic.masterPorts.read(0, 1), pic.masterPorts.read(1, 1)]).toEqual([false, 0x20, 0xff]);
    write('masterPorts', 1, 0xdf);
    expect(pic.requesting).toBe(true);
    pic.setLine(5, false);
    expect(pic.requesting).toBe(false);
    expect(pic.acknowledge()).toBe(0x0f);
  });

  it('need an edge, or hold on as levels where the control register says so', () => {
    const { pic, write } = make();
    pic.setLine(5, true);
    pic.acknowledge();
    write('masterPorts', 0, 0x20);
    expect(pic.requesting).toBe(false);
    pic.setLine(5, false);
    pic.elcrPorts.write(0, 1, 0xff);
    expect(pic.elcrPorts.read(0, 2)).toBe(0x00f8);
    pic.setLine(5, true);
    pic.acknowledge();
    write('masterPorts', 0, 0x20);
    expect(pic.requesting).toBe(true);
  });

  it('end by themselves with automatic EOI', () => {
    const { pic } = make(0x03);
    pulse(pic, 0);
    expect(pic.acknowledge()).toBe(0x08);
    pulse(pic, 0);
    expect(pic.requesting).toBe(true);
  });

  it('can be polled', () => {
    const { pic, write } = make();
    pulse(pic, 6);
    write('masterPorts', 0, 0x0c);
    expect(pic.masterPorts.read(0, 1)).toBe(0x86);
    write('masterPorts', 0, 0x0b);
    expect(pic.masterPorts.read(0, 1)).toBe(0x40);
  });
});

it('special mask mode lets the others through', () => {
  const { pic, write } = make();
  pulse(pic, 3);
  pic.acknowledge();
  write('masterPorts', 1, 0x08);
  write('masterPorts', 0, 0x68);
  pulse(pic, 6);
  expect(pic.acknowledge()).toBe(0x0e);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const pic = new PicPair(() => {});
      return { chip: pic, ranges: ranges(pic) };
    },
    (pic) => {
      pic.reset();
      start(pic);
      pulse(pic, 12);
      expect([pic.requesting, pic.acknowledge()]).toEqual([true, 0x74]);
    },
  );
});
