// The IDE controller from ATA/ATAPI-6, the PIIX3's datasheet and MMC-4, and register fuzzing.
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryDisk } from '../fixtures/memory-disk.ts';
import { MemoryRam } from '../fixtures/memory-ram.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { pattern } from '../fixtures/pattern.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { UNCONNECTED } from '../interrupt-line.ts';
import { PCI, COMMAND as PCI_COMMAND } from '../pci/config-header.ts';
import { AtaDisk } from './ata-disk.ts';
import { COMMAND, CONTROL, ERROR, REG, STATUS } from './ata-registers.ts';
import { Cdrom } from './cdrom.ts';
import type { IdeChannel } from './ide-channel.ts';
import { IdeController } from './ide-controller.ts';
import { OP } from './scsi.ts';

const SECTORS = 4096;
const DISC_SECTORS = 64;
const READY = STATUS.drdy | STATUS.dsc;
const TABLE = 0x1000;
const BUFFER = 0x8000;
const BUS = { command: 0, status: 2, table: 4, start: 1, toMemory: 8, interrupt: 4, active: 1, error: 2 } as const;

class Machine {
  readonly lines = [new ProbeLine(), new ProbeLine()] as const;
  readonly disk = new MemoryDisk(SECTORS);
  readonly disc = new MemoryDisk(DISC_SECTORS, 2048);
  readonly ram = new MemoryRam();
  readonly ide: IdeController;

  constructor() {
    this.ide = new IdeController({
      interrupts: this.lines,
      drives: [(host) => new AtaDisk(host, this.disk, 'ONE'), undefined, (host) => new Cdrom(host, this.disc, 'TWO')],
      unplugBits: { disks: 1, auxDisks: 4 },
    });
    this.ide.pci.connect({ interrupt: UNCONNECTED, memory: this.ram, remap: () => {}, message: () => {} });
    this.ide.pci.write(PCI.command, 2, PCI_COMMAND.io | PCI_COMMAND.master);
  }

  settle(): void {
    while (this.disk.settle() || this.disc.settle());
  }

  get first(): Port {
    return new Port(this.ide.channels[0], this);
  }
  get second(): Port {
    return new Port(this.ide.channels[1], this);
  }
}

/** What a driver does at the ports of one channel. */
class Port {
  readonly channel: IdeChannel;
  readonly machine: Machine;

  constructor(channel: IdeChannel, machine: Machine) {
    this.channel = channel;
    this.machine = machine;
  }

  get(register: number, size = 1): number {
    return this.channel.commandBlock.read(register, size);
  }
  set(register: number, value: number, size = 1): void {
    this.channel.commandBlock.write(register, size, value);
  }
  control(value: number): void {
    this.channel.controlBlock.write(0, 1, value);
  }
  get alternateStatus(): number {
    return this.channel.controlBlock.read(0, 1);
  }

  /** A 28-bit command. */
  command(command: number, lba = 0, count = 1, features = 0): number {
    this.set(REG.error, features);
    this.set(REG.count, count & 0xff);
    for (const [i, register] of [REG.lbaLow, REG.lbaMid, REG.lbaHigh].entries()) this.set(register, (lba >>> (i * 8)) & 0xff);
    this.set(REG.device, 0xe0 | ((lba >>> 24) & 15));
    this.set(REG.status, command);
    this.machine.settle();
    return this.alternateStatus;
  }
  /** A 48-bit command: each register twice. */
  commandExt(command: number, lba: number, count: number): number {
    this.set(REG.count, count >> 8);
    for (const [i, register] of [REG.lbaLow, REG.lbaMid, REG.lbaHigh].entries())
      this.set(register, Math.floor(lba / 2 ** (24 + i * 8)) & 0xff);
    return this.command(command, lba & 0xff_ffff, count);
  }

  read(bytes: number, size = 2): Uint8Array {
    const data = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += size) {
      const value = this.get(REG.data, size);
      for (let i = 0; i < size; i++) data[at + i] = (value >>> (i * 8)) & 0xff;
    }
    this.machine.settle();
    return data;
  }
  write(data: Uint8Array): void {
    for (let at = 0; at < data.length; at += 2) this.set(REG.data, (data[at] as number) | ((data[at + 1] as number) << 8), 2);
    this.machine.settle();
  }

  /** Regions of memory for the bus master. */
  regions(...regions: readonly (readonly [at: number, bytes: number])[]): void {
    const view = new DataView(this.machine.ram.bytes.buffer);
    for (const [i, [at, bytes]] of regions.entries()) {
      view.setUint32(TABLE + i * 8, at, true);
      view.setUint32(TABLE + i * 8 + 4, (bytes & 0xffff) | (i === regions.length - 1 ? 0x8000_0000 : 0), true);
    }
    for (let i = 0; i < 4; i++) this.bus(BUS.table + i, (TABLE >>> (i * 8)) & 0xff);
  }
  bus(register: number, value: number): void {
    this.channel.busMaster.write(register, value);
    this.machine.settle();
  }
  get busStatus(): number {
    return this.channel.busMaster.read(BUS.status) & 7;
  }

  packet(bytes: readonly number[], limit = 0xfffe, dma = false): number {
    this.set(REG.device, 0xa0);
    this.set(REG.error, dma ? 1 : 0);
    this.set(REG.lbaMid, limit & 0xff);
    this.set(REG.lbaHigh, limit >> 8);
    this.set(REG.status, COMMAND.packet);
    this.write(Uint8Array.from({ length: 12 }, (_, i) => bytes[i] ?? 0));
    return this.alternateStatus;
  }
}

let machine: Machine;
beforeEach(() => {
  machine = new Machine();
});

describe('an IDE disk', () => {
  it('shows its signature after power-up and SRST (9.12)', () => {
    const { first } = machine;
    const signature = (): number[] => [REG.error, REG.count, REG.lbaLow, REG.lbaMid, REG.lbaHigh].map((r) => first.get(r));
    expect(signature()).toEqual([1, 1, 1, 0, 0]);
    first.set(REG.lbaMid, 0x55);
    first.control(CONTROL.srst);
    expect(first.alternateStatus).toBe(STATUS.bsy);
    first.control(0);
    expect(signature()).toEqual([1, 1, 1, 0, 0]);
    expect(first.get(REG.status)).toBe(READY);
  });

  it('identifies itself (8.15)', () => {
    const { first } = machine;
    expect(first.command(COMMAND.identify)).toBe(READY | STATUS.drq);
    expect(machine.lines[0].up).toBe(true);
    first.get(REG.status);
    expect(machine.lines[0].up).toBe(false);
    const data = new DataView(first.read(512).buffer);
    expect(data.getUint32(120, true)).toBe(SECTORS);
    expect(data.getBigUint64(200, true)).toBe(BigInt(SECTORS));
    expect(data.getUint16(2, true)).toBe(Math.floor(SECTORS / 16 / 63));
    expect(String.fromCharCode(data.getUint8(55), data.getUint8(54), data.getUint8(57), data.getUint8(56))).toBe('DOM1');
    expect(first.alternateStatus).toBe(READY);
  });

  it.each([
    [COMMAND.readSectors, 1],
    [COMMAND.readMultiple, 16],
  ])('reads by PIO, command %i: an interrupt a block of %i', (command, block) => {
    const { first } = machine;
    const count = 40;
    machine.disk.bytes.set(pattern(count * 512, 3), 100 * 512);
    expect(first.command(command, 100, count)).toBe(READY | STATUS.drq);
    const got: number[] = [];
    for (let left = count; left > 0; left -= block) {
      expect(machine.lines[0].up).toBe(true);
      expect(first.get(REG.status)).toBe(READY | STATUS.drq);
      got.push(...first.read(Math.min(left, block) * 512, 4));
    }
    expect(first.get(REG.status)).toBe(READY);
    expect(machine.lines[0].up).toBe(false);
    expect(Uint8Array.from(got)).toEqual(pattern(count * 512, 3));
  });

  it.each([
    [COMMAND.writeSectors, false],
    [COMMAND.writeMultiple, false],
    [COMMAND.writeSectorsExt, true],
  ])('writes by PIO, command %i, with an interrupt after each block but before the first', (command, ext) => {
    const { first } = machine;
    const data = pattern(35 * 512, 9);
    const begin = ext ? first.commandExt(command, 7, 35) : first.command(command, 7, 35);
    expect(begin).toBe(READY | STATUS.drq);
    expect(machine.lines[0].rises).toBe(0);
    const block = command === COMMAND.writeMultiple ? 16 * 512 : 512;
    for (let at = 0; at < data.length; at += block) {
      first.write(data.subarray(at, at + block));
      expect(machine.lines[0].up).toBe(true);
      first.get(REG.status);
    }
    expect(first.alternateStatus).toBe(READY);
    expect(machine.disk.bytes.slice(7 * 512, 42 * 512)).toEqual(data);
    expect(machine.disk.bytes[42 * 512]).toBe(0);
  });

  it('takes cylinders, heads and sectors', () => {
    const { first } = machine;
    machine.disk.bytes.set(pattern(512, 1), (2 * 16 * 63 + 3 * 63 + 4) * 512);
    first.set(REG.count, 1);
    first.set(REG.lbaLow, 5);
    first.set(REG.lbaMid, 2);
    first.set(REG.lbaHigh, 0);
    first.set(REG.device, 0xa3);
    first.set(REG.status, COMMAND.readSectors);
    machine.settle();
    expect(first.read(512)).toEqual(pattern(512, 1));
  });

  it('gives and takes strings up to the end of a block, and nothing without one', () => {
    const machine = new Machine();
    const { first } = machine;
    const { commandBlock } = first.channel;
    const bytes = new Uint8Array(2048);
    expect(commandBlock.readBlock?.(REG.data, 2, bytes)).toBe(0);
    machine.disk.bytes.set(Uint8Array.from({ length: 1024 }, (_, i) => i * 7));
    first.command(COMMAND.readSectors, 0, 2);
    expect([commandBlock.readBlock?.(REG.count, 1, bytes), commandBlock.writeBlock?.(REG.data, 2, bytes)]).toEqual([0, 0]);
    expect(commandBlock.readBlock?.(REG.data, 4, bytes.subarray(0, 12))).toBe(3);
    expect(commandBlock.readBlock?.(REG.data, 2, bytes.subarray(12))).toBe(250);
    machine.settle();
    expect(commandBlock.readBlock?.(REG.data, 4, bytes.subarray(512))).toBe(128);
    machine.settle();
    expect(bytes.subarray(0, 1024)).toEqual(machine.disk.bytes.subarray(0, 1024));
    expect(first.alternateStatus).toBe(READY);
    first.command(COMMAND.writeSectors, 8, 1);
    expect(commandBlock.writeBlock?.(REG.data, 2, bytes.subarray(1))).toBe(256);
    machine.settle();
    expect(machine.disk.bytes.subarray(8 * 512, 9 * 512)).toEqual(bytes.subarray(1, 513));
    expect(first.alternateStatus).toBe(READY);
  });

  it.each([
    ['beyond the end', COMMAND.readSectors, SECTORS - 1, 2, ERROR.idnf],
    ['beyond the end, DMA', COMMAND.writeDma, SECTORS, 1, ERROR.idnf],
    ['an unknown command', 0xff, 0, 1, ERROR.abrt],
    ['a block that is no power of two', COMMAND.setMultiple, 0, 3, ERROR.abrt],
    ['IDENTIFY PACKET DEVICE', COMMAND.identifyPacket, 0, 1, ERROR.abrt],
  ])('fails with an error: %s', (_, command, lba, count, error) => {
    const { first } = machine;
    expect(first.command(command, lba, count)).toBe(READY | STATUS.err);
    expect(first.get(REG.error)).toBe(error);
    expect(machine.lines[0].up).toBe(true);
  });

  it('tells what the store cannot read, and refuses writes to what is read-only', () => {
    const { first } = machine;
    machine.disk.fail = true;
    expect(first.command(COMMAND.readSectors, 5)).toBe(READY | STATUS.err);
    expect([first.get(REG.error), first.get(REG.lbaLow)]).toEqual([ERROR.unc, 5]);
    machine.disk.fail = false;
    machine.disk.readOnly = true;
    expect(first.command(COMMAND.writeSectors, 5)).toBe(READY | STATUS.err);
    expect(first.get(REG.error)).toBe(ERROR.abrt);
  });

  it('flushes, and without its cache before each write ends', () => {
    const { first } = machine;
    first.command(COMMAND.flush);
    expect(machine.disk.flushes).toBe(1);
    first.command(COMMAND.setFeatures, 0, 0, 0x82);
    first.command(COMMAND.writeSectors, 0, 1);
    first.write(new Uint8Array(512));
    expect(machine.disk.flushes).toBe(3);
  });

  it('forgets what is under way at a reset', () => {
    const { first } = machine;
    first.set(REG.count, 1);
    first.set(REG.device, 0xe0);
    first.set(REG.status, COMMAND.readSectors);
    expect(first.alternateStatus).toBe(STATUS.bsy);
    first.control(CONTROL.srst);
    first.control(0);
    machine.settle();
    expect(first.get(REG.status)).toBe(READY);
    expect(machine.lines[0].up).toBe(false);
  });
});

describe('the bus master', () => {
  it('moves a read over regions, and says when it is done (SFF-8038i 3.1)', () => {
    const { first } = machine;
    machine.disk.bytes.set(pattern(250 * 512, 5), 9 * 512);
    first.regions([BUFFER, 0x2000], [BUFFER + 0x4000, 250 * 512 - 0x1_2000], [BUFFER + 0x2_4000, 0x1_0000]);
    first.bus(BUS.command, BUS.start | BUS.toMemory);
    expect(first.busStatus).toBe(BUS.active);
    first.commandExt(COMMAND.readDmaExt, 9, 250);
    expect(first.busStatus).toBe(BUS.interrupt);
    expect(machine.lines[0].up).toBe(true);
    const wanted = pattern(250 * 512, 5);
    expect(machine.ram.bytes.slice(BUFFER, BUFFER + 0x2000)).toEqual(wanted.slice(0, 0x2000));
    expect(machine.ram.bytes.slice(BUFFER + 0x2_4000, BUFFER + 0x3_4000)).toEqual(wanted.slice(-0x10000));
    first.bus(BUS.status, BUS.interrupt);
    expect(first.busStatus).toBe(0);
  });

  it('moves a write, started after the command', () => {
    const { first } = machine;
    machine.ram.bytes.set(pattern(4096, 8), BUFFER);
    first.regions([BUFFER, 4096]);
    expect(first.command(COMMAND.writeDma, 20, 8) & STATUS.drq).toBe(STATUS.drq);
    first.bus(BUS.command, BUS.start);
    expect(first.busStatus).toBe(BUS.interrupt);
    expect(machine.disk.bytes.slice(20 * 512, 28 * 512)).toEqual(pattern(4096, 8));
  });

  it('stops when the regions are too small, stays active when they are too large', () => {
    const { first } = machine;
    first.regions([BUFFER, 512]);
    first.bus(BUS.command, BUS.start | BUS.toMemory);
    first.command(COMMAND.readDma, 0, 2);
    expect(first.busStatus).toBe(0);
    first.control(CONTROL.srst);
    first.control(0);
    first.bus(BUS.command, 0);
    first.regions([BUFFER, 4096]);
    first.bus(BUS.command, BUS.start | BUS.toMemory);
    first.command(COMMAND.readDma, 0, 2);
    expect(first.busStatus).toBe(BUS.interrupt | BUS.active);
  });

  it('does nothing for a function that is no bus master', () => {
    const { first } = machine;
    machine.ide.pci.write(PCI.command, 2, PCI_COMMAND.io);
    machine.disk.bytes.fill(1);
    first.regions([BUFFER, 512]);
    first.bus(BUS.command, BUS.start | BUS.toMemory);
    first.command(COMMAND.readDma, 0, 1);
    expect(machine.ram.bytes[BUFFER]).toBe(0);
    expect(first.busStatus & BUS.error).toBe(BUS.error);
  });
});

describe('a CD-ROM drive', () => {
  it('shows the signature of a packet device, also when it is asked to identify as a disk', () => {
    const { second } = machine;
    expect([second.get(REG.lbaMid), second.get(REG.lbaHigh)]).toEqual([0x14, 0xeb]);
    second.set(REG.lbaMid, 0);
    expect(second.command(COMMAND.identify) & STATUS.err).toBe(STATUS.err);
    expect([second.get(REG.lbaMid), second.get(REG.lbaHigh)]).toEqual([0x14, 0xeb]);
  });

  it('reads in parts as large as the host wants (8.24)', () => {
    const { second } = machine;
    machine.disc.bytes.set(pattern(3 * 2048, 4), 5 * 2048);
    const status = second.packet([OP.read10, 0, 0, 0, 0, 5, 0, 0, 3], 4096);
    expect(status).toBe(READY | STATUS.drq);
    expect(second.get(REG.count)).toBe(2);
    expect(second.get(REG.lbaHigh) * 256 + second.get(REG.lbaMid)).toBe(4096);
    const head = second.read(4096);
    expect(second.get(REG.lbaHigh) * 256 + second.get(REG.lbaMid)).toBe(2048);
    const tail = second.read(2048);
    expect(Uint8Array.from([...head, ...tail])).toEqual(pattern(3 * 2048, 4));
    expect([second.get(REG.count), second.get(REG.status)]).toEqual([3, READY]);
  });

  it('reads by DMA', () => {
    const { second } = machine;
    machine.disc.bytes.set(pattern(2048, 6));
    second.regions([BUFFER, 2048]);
    second.bus(BUS.command, BUS.start | BUS.toMemory);
    expect(second.packet([OP.read12, 0, 0, 0, 0, 0, 0, 0, 0, 1], 0, true)).toBe(READY);
    expect(machine.ram.bytes.slice(BUFFER, BUFFER + 2048)).toEqual(pattern(2048, 6));
  });

  it('says how large the disc is, and what tracks it has', () => {
    const { second } = machine;
    second.packet([OP.readCapacity]);
    const capacity = new DataView(second.read(8).buffer);
    expect([capacity.getUint32(0), capacity.getUint32(4)]).toEqual([DISC_SECTORS - 1, 2048]);
    second.packet([OP.readToc, 0, 0, 0, 0, 0, 0, 0, 20]);
    expect([...second.read(20)]).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, DISC_SECTORS]);
    second.packet([OP.inquiry, 0, 0, 0, 36]);
    expect(second.read(36)[0]).toBe(5);
  });

  it('refuses what it does not know, and says why when it is asked', () => {
    const { second } = machine;
    expect(second.packet([0xee])).toBe(READY | STATUS.err);
    expect(second.get(REG.error)).toBe((5 << 4) | ERROR.abrt);
    second.packet([OP.requestSense, 0, 0, 0, 18]);
    const sense = second.read(18);
    expect([sense[2], sense[12]]).toEqual([5, 0x20]);
    expect(second.packet([OP.read10, 0, 0, 0, 0, DISC_SECTORS, 0, 0, 1])).toBe(READY | STATUS.err);
    second.packet([OP.requestSense, 0, 0, 0, 18]);
    expect(second.read(18)[12]).toBe(0x21);
  });

  it('tells once that the medium has changed, and that there is none', () => {
    const { second } = machine;
    machine.disc.change(undefined);
    expect(second.packet([OP.testUnitReady])).toBe(READY | STATUS.err);
    expect(second.get(REG.error) >> 4).toBe(6);
    expect(second.packet([OP.testUnitReady])).toBe(READY | STATUS.err);
    expect(second.get(REG.error) >> 4).toBe(2);
    machine.disc.change(new Uint8Array(8 * 2048));
    second.packet([OP.testUnitReady]);
    expect(second.packet([OP.testUnitReady])).toBe(READY);
  });

  it('is not opened while it is locked, and empty after it was', () => {
    const { second } = machine;
    second.packet([OP.preventRemoval, 0, 0, 0, 1]);
    expect(second.packet([OP.startStopUnit, 0, 0, 0, 2])).toBe(READY | STATUS.err);
    second.packet([OP.preventRemoval, 0, 0, 0, 0]);
    expect(second.packet([OP.startStopUnit, 0, 0, 0, 2])).toBe(READY);
    expect(second.packet([OP.testUnitReady])).toBe(READY | STATUS.err);
    second.packet([OP.startStopUnit, 0, 0, 0, 3]);
    expect(second.packet([OP.testUnitReady])).toBe(READY);
  });

  it('is reset by DEVICE RESET even while it is busy', () => {
    const { second } = machine;
    second.set(REG.status, COMMAND.packet);
    expect(second.alternateStatus & STATUS.drq).toBe(STATUS.drq);
    second.set(REG.status, COMMAND.deviceReset);
    expect(second.alternateStatus).toBe(0);
    expect(second.get(REG.lbaHigh)).toBe(0xeb);
  });
});

describe('unplugging', () => {
  it('takes disks and leaves CD-ROM drives', () => {
    machine.ide.pci.options.unplug?.(1);
    machine.first.set(REG.device, 0xa0);
    expect(machine.first.get(REG.status)).toBe(0);
    expect(machine.second.get(REG.lbaHigh)).toBe(0xeb);
  });

  it('of all but the first leaves the first', () => {
    machine.ide.pci.options.unplug?.(4);
    expect(machine.first.get(REG.status)).toBe(READY);
  });
});

it('harms nobody when it is programmed with nonsense', () => {
  nonsense(
    () => {
      const chip = new Machine();
      const settled = (handler: {
        read: (o: number, s: number) => number;
        write: (o: number, s: number, v: number) => void;
      }) => ({
        read: (offset: number, size: number) => {
          chip.settle();
          return handler.read(offset, size);
        },
        write: (offset: number, size: number, value: number) => handler.write(offset, size, value),
      });
      const ranges = chip.ide.channels.flatMap(({ commandBlock, controlBlock }) => [
        { handler: settled(commandBlock), size: 8 },
        { handler: controlBlock, size: 1 },
      ]);
      const bar = chip.ide.pci.options.bars?.[4];
      if (bar === undefined || 'window' in bar) throw new Error('BAR 4 has ports');
      return { chip, ranges: [...ranges, { handler: bar.handler, size: bar.size }] };
    },
    (chip) => {
      chip.settle();
      chip.ide.reset();
      chip.settle();
      chip.ide.pci.write(PCI.command, 2, PCI_COMMAND.io | PCI_COMMAND.master);
      chip.disk.bytes.set(pattern(512, 2), 512);
      chip.first.command(COMMAND.readSectors, 1);
      expect(chip.first.read(512)).toEqual(pattern(512, 2));
      chip.second.packet([OP.requestSense, 0, 0, 0, 18]);
      chip.second.read(18);
      expect(chip.second.packet([OP.testUnitReady])).toBe(READY);
    },
  );
});
