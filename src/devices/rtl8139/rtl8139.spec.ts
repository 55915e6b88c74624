// The RTL8139C from its datasheet: transmit descriptors, the receive ring, the EEPROM, interrupts, and nonsense.
import { beforeEach, describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { VirtualClock } from '../../time/clock.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { PCI, COMMAND as PCI_COMMAND } from '../pci/config-header.ts';
import { COMMAND, INTERRUPT, REG, RX_CONFIG, TX } from './registers.ts';
import { Rtl8139 } from './rtl8139.ts';

const MAC = Uint8Array.of(0x00, 0x16, 0x3e, 0x12, 0x34, 0x56);
const RING = 0x1_0000;
const FRAME = 0x8000;

class Machine {
  readonly ram = new Uint8Array(1 << 18);
  readonly line = new ProbeLine();
  readonly clock = new VirtualClock();
  readonly sent: Uint8Array[] = [];
  linkUp = true;
  readonly card: Rtl8139;

  constructor() {
    this.card = new Rtl8139({
      mac: MAC,
      clock: this.clock,
      linkUp: () => this.linkUp,
      port: { send: (frame) => this.sent.push(frame.slice()) },
    });
    this.connect();
  }

  connect(): void {
    const inside = (gpa: Gpa, length: number): boolean => gpa + length <= this.ram.length;
    this.card.pci.connect({
      interrupt: this.line,
      memory: {
        read: (gpa, into) => inside(gpa, into.length) && (into.set(this.ram.subarray(gpa, gpa + into.length)), true),
        write: (gpa, from) => inside(gpa, from.length) && (this.ram.set(from, gpa), true),
      },
      remap: () => {},
      message: () => {},
    });
    this.card.pci.write(PCI.command, 2, PCI_COMMAND.io | PCI_COMMAND.master);
  }

  get registers() {
    const bar = this.card.pci.options.bars?.[0];
    if (bar === undefined || 'window' in bar) throw new Error('BAR 0 has registers');
    return bar.handler;
  }
  get(register: number, size: number): number {
    return this.registers.read(register, size);
  }
  set(register: number, size: number, value: number): void {
    this.registers.write(register, size, value);
  }

  /** As a driver starts the card, with the smallest ring. */
  start(config: number = RX_CONFIG.own | RX_CONFIG.broadcast): void {
    this.set(REG.command, 1, COMMAND.reset);
    this.set(REG.rxBuffer, 4, RING);
    this.set(REG.rxConfig, 4, config);
    this.set(REG.mask, 2, INTERRUPT.received | INTERRUPT.sent | INTERRUPT.sendError);
    this.set(REG.command, 1, COMMAND.transmit | COMMAND.receive);
  }
  acknowledge(): number {
    const status = this.get(REG.status, 2);
    this.set(REG.status, 2, status);
    return status;
  }
  /** Takes the next frame out of the ring. */
  take(): { status: number; frame: Uint8Array } {
    const at = (this.get(REG.rxRead, 2) + 16) & 0xffff & 8191;
    const view = new DataView(this.ram.buffer, RING);
    const length = view.getUint16(at + 2, true);
    const frame = Uint8Array.from({ length: length - 4 }, (_, i) => this.ram[RING + ((at + 4 + i) & 8191)] as number);
    this.set(REG.rxRead, 2, (at + ((length + 4 + 3) & ~3) - 16) & 0xffff);
    return { status: view.getUint16(at, true), frame };
  }
  /** Reads a word of the EEPROM, bit by bit. */
  eeprom(word: number): number {
    const PROGRAM = 0x80;
    const [select, clock, input] = [8, 4, 2];
    this.set(REG.eeprom, 1, PROGRAM);
    this.set(REG.eeprom, 1, PROGRAM | select);
    for (let bit = 8; bit >= 0; bit--) {
      const pin = ((0x180 | word) >> bit) & 1 ? input : 0;
      this.set(REG.eeprom, 1, PROGRAM | select | pin);
      this.set(REG.eeprom, 1, PROGRAM | select | pin | clock);
    }
    let value = 0;
    for (let bit = 0; bit < 16; bit++) {
      this.set(REG.eeprom, 1, PROGRAM | select);
      this.set(REG.eeprom, 1, PROGRAM | select | clock);
      value = value * 2 + (this.get(REG.eeprom, 1) & 1);
    }
    this.set(REG.eeprom, 1, 0);
    return value;
  }
}

const frameTo = (to: readonly number[], length = 100): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => to[i] ?? (i * 3) & 0xff);
const OWN = [...MAC];
const BROADCAST = [255, 255, 255, 255, 255, 255];

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});

it('has its address in registers and in the EEPROM', () => {
  expect(OWN.map((_, i) => machine.get(REG.id + i, 1))).toEqual(OWN);
  expect([0, 7, 8, 9].map((word) => machine.eeprom(word))).toEqual([0x8129, 0x1600, 0x123e, 0x5634]);
});

it('says which chip it is, and that it has a link', () => {
  expect(machine.get(REG.txConfig, 4) & 0x7cc0_0000).toBe(0x7400_0000);
  expect([machine.get(REG.mediaStatus, 1) & 4, machine.get(REG.bmsr, 2) & 4]).toEqual([0, 4]);
  machine.linkUp = false;
  expect([machine.get(REG.mediaStatus, 1) & 4, machine.get(REG.bmsr, 2) & 4]).toEqual([4, 0]);
});

describe('sending', () => {
  it.each([0, 1, 2, 3])('by descriptor %i', (i) => {
    machine.start();
    const frame = frameTo([1, 2, 3, 4, 5, 6]);
    machine.ram.set(frame, FRAME);
    machine.set(REG.txAddress + i * 4, 4, FRAME);
    machine.set(REG.txStatus + i * 4, 4, frame.length);
    expect(machine.sent).toEqual([frame]);
    expect(machine.get(REG.txStatus + i * 4, 4) & (TX.own | TX.ok)).toBe(TX.own | TX.ok);
    expect(machine.get(REG.txSummary, 2) & (0x1001 << i)).toBe(0x1001 << i);
    expect(machine.line.up).toBe(true);
    expect(machine.acknowledge()).toBe(INTERRUPT.sent);
    expect(machine.line.up).toBe(false);
  });

  it('is aborted when the frame is too long or no memory, and does nothing before it is enabled', () => {
    machine.set(REG.txStatus, 4, 100);
    expect(machine.sent).toEqual([]);
    machine.start();
    machine.set(REG.txStatus, 4, 1793);
    machine.set(REG.txAddress + 4, 4, 0xffff_f000);
    machine.set(REG.txStatus + 4, 4, 100);
    expect(machine.sent).toEqual([]);
    expect(machine.acknowledge()).toBe(INTERRUPT.sendError);
    expect(machine.get(REG.txSummary, 2) & 0x33).toBe(0x33);
  });
});

describe('receiving', () => {
  it('puts frames behind a header into the ring, padded and with room for the check sequence', () => {
    machine.start();
    expect(machine.get(REG.command, 1) & COMMAND.empty).toBe(1);
    expect(machine.card.receive(frameTo(OWN, 42))).toBe(true);
    expect(machine.card.receive(frameTo(BROADCAST, 101))).toBe(true);
    expect(machine.line.up).toBe(true);
    expect(machine.get(REG.command, 1) & COMMAND.empty).toBe(0);
    const first = machine.take();
    expect(first.status).toBe(0x4001);
    expect(first.frame).toEqual(Uint8Array.from({ length: 60 }, (_, i) => frameTo(OWN, 42)[i] ?? 0));
    expect(machine.take()).toEqual({ status: 0x2001, frame: frameTo(BROADCAST, 101) });
    expect(machine.get(REG.command, 1) & COMMAND.empty).toBe(1);
    expect(machine.acknowledge()).toBe(INTERRUPT.received);
  });

  it('takes what the filters say', () => {
    const takes = (config: number, to: readonly number[]): boolean => {
      machine.start(config);
      machine.set(REG.multicast, 4, 0);
      // 01:00:5e:00:00:01 has bit 31 of the hash table.
      machine.set(REG.multicast + 4, 4, 0);
      machine.set(REG.multicast, 4, 0x8000_0000);
      machine.card.receive(frameTo(to));
      return (machine.get(REG.command, 1) & COMMAND.empty) === 0;
    };
    const group = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];
    const { broadcast, multicast, own, promiscuous } = RX_CONFIG;
    expect([own, broadcast, multicast].map((bit) => takes(bit, OWN))).toEqual([true, false, false]);
    expect([own, broadcast, multicast].map((bit) => takes(bit, BROADCAST))).toEqual([false, true, false]);
    expect([own, broadcast, multicast].map((bit) => takes(bit, group))).toEqual([false, false, true]);
    expect(takes(multicast, [0x01, 0x00, 0x5e, 0x00, 0x00, 0x02])).toBe(false);
    expect([OWN, group, [2, 3, 4, 5, 6, 7]].map((to) => takes(promiscuous, to))).toEqual([true, true, true]);
  });

  it('goes round the ring, refuses what has no room, and says when it has some', () => {
    machine.start();
    let writable = 0;
    machine.card.onWritable = () => {
      writable++;
    };
    const frames = Array.from({ length: 40 }, (_, i) => frameTo([...OWN, i], 1000 + i));
    let sent = 0;
    for (let taken = 0; taken < frames.length; ) {
      while (sent < frames.length && machine.card.receive(frames[sent] as Uint8Array)) sent++;
      expect(sent - taken).toBeLessThanOrEqual(8);
      const { frame } = machine.take();
      expect(frame).toEqual(frames[taken]);
      taken++;
    }
    expect(writable).toBeGreaterThan(10);
  });

  it('reminds a driver that stopped reading with frames left, as long as one waits', () => {
    machine.start();
    while (machine.card.receive(frameTo(OWN, 1500)));
    machine.acknowledge();
    expect(machine.line.up).toBe(false);
    machine.clock.advance(2_000_000);
    expect(machine.line.up).toBe(true);
    machine.take();
    machine.acknowledge();
    machine.clock.advance(10_000_000);
    expect(machine.line.up).toBe(false);
  });

  it('writes beyond the end instead of going round when the driver wants that', () => {
    machine.start(RX_CONFIG.own | RX_CONFIG.noWrap);
    for (let i = 0; i < 7; i++) {
      machine.card.receive(frameTo(OWN, 1100));
      machine.take();
    }
    machine.card.receive(frameTo([...OWN, 99], 1100));
    expect(machine.ram[RING + 7 * 1108 + 4 + 6]).toBe(99);
    expect(machine.ram[RING + 8192]).not.toBe(0);
  });

  it('ends with a reset, but for the address', () => {
    machine.start();
    machine.card.receive(frameTo(OWN));
    machine.set(REG.command, 1, COMMAND.reset);
    expect(machine.get(REG.command, 1)).toBe(COMMAND.empty);
    expect(machine.line.up).toBe(false);
    expect(machine.get(REG.id, 1)).toBe(MAC[0]);
  });
});

it('loops frames back when it is told to', () => {
  machine.start();
  machine.set(REG.txConfig, 4, 3 << 17);
  machine.ram.set(frameTo(OWN), FRAME);
  machine.set(REG.txAddress, 4, FRAME);
  machine.set(REG.txStatus, 4, 100);
  expect(machine.sent).toEqual([]);
  expect(machine.take().frame).toEqual(frameTo(OWN));
});

it('interrupts when its timer reaches what it was set to', () => {
  machine.start();
  machine.set(REG.mask, 2, INTERRUPT.timeout);
  machine.set(REG.timerInterrupt, 4, 1000);
  machine.set(REG.timer, 4, 0);
  machine.clock.advance(29_000);
  expect(machine.line.up).toBe(false);
  machine.clock.advance(2000);
  expect(machine.acknowledge()).toBe(INTERRUPT.timeout);
});

it('harms nobody when it is programmed with nonsense', () => {
  nonsense(
    () => {
      const chip = new Machine();
      const noise = {
        read: () => 0,
        write: (offset: number) => void chip.card.receive(frameTo(offset & 1 ? OWN : BROADCAST, 60 + offset)),
      };
      const ranges = [
        { handler: chip.registers, size: 256 },
        { handler: chip.registers, size: 0x60 },
        { handler: noise, size: 1500 },
      ];
      return { chip, ranges, clock: chip.clock };
    },
    (chip) => {
      chip.card.reset();
      chip.start();
      const before = chip.sent.length;
      chip.ram.set(frameTo(OWN), FRAME);
      chip.set(REG.txAddress, 4, FRAME);
      chip.set(REG.txStatus, 4, 100);
      expect(chip.sent.length).toBe(before + 1);
      chip.card.receive(frameTo(OWN));
      expect(chip.take().frame).toEqual(frameTo(OWN));
    },
    100,
  );
});
