// The AHCI controller from Serial ATA AHCI 1.3.1, with drives behind it as ATA/ATAPI-6 has them.
import { beforeEach, describe, expect, it } from 'vitest';
import {
  AhciMachine,
  type AhciPortDriver,
  type Asked,
  BUFFER,
  FIS_AREA,
  LIST,
  READY,
  type Region,
  SECTORS,
  TABLES,
} from '../fixtures/ahci-machine.ts';
import { MemoryRam } from '../fixtures/memory-ram.ts';
import { pattern } from '../fixtures/pattern.ts';
import { COMMAND, CONTROL, ERROR, STATUS } from '../ide/ata-registers.ts';
import { OP } from '../ide/scsi.ts';
import { PCI, COMMAND as PCI_COMMAND } from '../pci/config-header.ts';
import { CMD, DETECT, GHC, HBA, IS, PORT, PORTS, RECEIVED, SERR } from './registers.ts';

/** Nothing is there. */
const HOLE = 0xf000_0000;

let machine: AhciMachine;
let disk: AhciPortDriver;
let disc: AhciPortDriver;
beforeEach(() => {
  machine = new AhciMachine();
  disk = machine.port(0);
  disc = machine.port(2);
});

describe('the controller (3.1)', () => {
  it('is an ICH9 in AHCI mode, with six ports, 32 slots and 64-bit addresses, and without native command queueing', () => {
    expect(machine.ahci.pci.read(PCI.vendorId, 4)).toBe(0x2922_8086);
    expect(machine.ahci.pci.read(PCI.revision, 4) >>> 8).toBe(0x01_0601);
    expect(machine.get(HBA.cap)).toBe(0x8124_1f05);
    expect([machine.get(HBA.pi), machine.get(HBA.vs)]).toEqual([0x3f, 0x1_0301]);
    machine.set(HBA.ghc, 0);
    expect(machine.get(HBA.ghc)).toBe(GHC.ahci);
  });

  it('takes its registers by bytes and halves, at any offset', () => {
    const at = PORTS.at + PORT.commandListHigh;
    machine.set(at + 1, 0x55, 1);
    machine.set(at + 2, 0xaabb, 2);
    expect(machine.get(at)).toBe(0xaabb_5500);
    expect(machine.get(at - 2, 4)).toBe(0x5500_0000);
    // Across two registers: the upper half of CLBU, the lower of FB, whose last eight bits are none.
    machine.set(at + 2, 0x1234_5678);
    expect([machine.get(at), machine.get(at + 4)]).toEqual([0x5678_5500, 0x1200]);
    // Bytes that are not written clear nothing.
    disk.set(PORT.cmd, CMD.fisReceive);
    expect(disk.get(PORT.serr)).toBe(SERR.exchanged | SERR.phyReady);
    machine.set(PORTS.at + PORT.serr + 2, 0x01, 1);
    expect(disk.get(PORT.serr)).toBe(SERR.exchanged);
  });

  it('shows no device where there is none', () => {
    const empty = machine.port(1);
    expect([empty.get(PORT.ssts), empty.get(PORT.tfd), empty.get(PORT.sig)]).toEqual([0, 0x7f, 0xffff_ffff]);
    empty.start();
    expect(empty.command(COMMAND.identify)).toBe(0x7f);
    expect(empty.get(PORT.ci)).toBe(1);
  });

  it('is as after power-up when it is reset, but for the places of the lists (10.4.3)', () => {
    disk.start();
    disk.prepare(COMMAND.readDma, { regions: [[BUFFER, 512]] });
    disk.set(PORT.ci, 1);
    machine.set(HBA.ghc, GHC.reset);
    machine.settle();
    expect([disk.get(PORT.ci), disk.get(PORT.ie), disk.get(PORT.cmd), machine.get(HBA.ghc)]).toEqual([0, 0, 6, GHC.ahci]);
    expect([disk.get(PORT.commandList), disk.get(PORT.fis)]).toEqual([LIST, FIS_AREA]);
    expect(machine.line.up).toBe(false);
    disk.start();
    expect(disk.command(COMMAND.readDma, { regions: [[BUFFER, 512]] })).toBe(READY);
  });
});

describe('the link', () => {
  it.each([
    ['a disk', 0, 0x0000_0101],
    ['a CD-ROM drive', 2, 0xeb14_0101],
  ])('shows %s when a host receives its first FIS (10.1.2)', (_, number, signature) => {
    const port = machine.port(number);
    expect([port.get(PORT.ssts), port.get(PORT.tfd), port.get(PORT.sig)]).toEqual([0x123, STATUS.bsy, 0xffff_ffff]);
    port.set(PORT.fis, FIS_AREA);
    port.set(PORT.cmd, CMD.fisReceive);
    expect(port.get(PORT.sig)).toBe(signature);
    expect(port.get(PORT.tfd)).toBe(0x0100 | (number === 0 ? READY : 0));
    expect(port.received(RECEIVED.d2h)[0]).toBe(0x34);
    expect(port.get(PORT.cmd)).toBe(CMD.fisReceive | CMD.fisRunning | CMD.spinUp | CMD.powerOn);
  });

  it('comes up again after COMRESET, and says so (10.4.2)', () => {
    disk.start();
    expect(disk.get(PORT.is)).toBe(0);
    disk.set(PORT.sctl, DETECT.reset);
    expect(disk.get(PORT.ssts)).toBe(0);
    disk.set(PORT.sctl, 0x10);
    expect(disk.get(PORT.ssts)).toBe(0x113);
    expect(disk.get(PORT.is)).toBe(IS.connectChange | IS.phyReady);
    expect(machine.line.up).toBe(true);
    disk.set(PORT.serr, SERR.exchanged | SERR.phyReady);
    expect([disk.get(PORT.is), disk.get(PORT.sig)]).toEqual([0, 0x101]);
    disk.set(PORT.sctl, DETECT.offline);
    expect(disk.get(PORT.ssts)).toBe(DETECT.offline);
  });

  it('carries SRST by two FISes (10.4.1)', () => {
    disk.start();
    disk.set(PORT.sctl, 0);
    disk.command(0, { control: CONTROL.srst, flags: 1 << 10 });
    expect([disk.get(PORT.ci), disk.get(PORT.tfd) & STATUS.bsy]).toEqual([0, 0]);
    machine.ram.bytes.fill(0, FIS_AREA, FIS_AREA + 256);
    expect(disk.command(0, { control: 0 })).toBe(0x0100 | READY);
    expect(disk.received(RECEIVED.d2h).slice(0, 8)).toEqual(Uint8Array.of(0x34, 0, READY, 1, 1, 0, 0, 0));
    expect(disk.get(PORT.is)).toBe(0);
  });
});

describe('a disk', () => {
  beforeEach(() => disk.start());

  it('identifies itself as one on Serial ATA, by PIO', () => {
    expect(disk.command(COMMAND.identify, { regions: [[BUFFER, 512]] })).toBe(READY);
    expect(disk.get(PORT.ci)).toBe(0);
    expect(disk.acknowledge()).toBe(IS.pioSetup);
    expect(disk.moved()).toBe(512);
    const setup = disk.received(RECEIVED.pioSetup);
    expect([setup[0], setup[1], setup[2], setup[15], setup[16], setup[17]]).toEqual([
      0x5f,
      0x60,
      READY | STATUS.drq,
      READY,
      0,
      2,
    ]);
    const word = (at: number): number => machine.ram.view.getUint16(BUFFER + at * 2, true);
    expect(machine.ram.view.getUint32(BUFFER + 120, true)).toBe(SECTORS);
    // Ultra DMA, Serial ATA of both generations, no cable to be asked about.
    expect([word(53) & 4, word(76), word(88) & 0xff, word(93)]).toEqual([4, 6, 0x7f, 0]);
  });

  it.each([COMMAND.readDma, COMMAND.readDmaExt, COMMAND.readSectors, COMMAND.readMultipleExt])(
    'reads over regions, command %i',
    (command) => {
      const bytes = 200 * 512;
      machine.disk.bytes.set(pattern(bytes, 3), 100 * 512);
      const regions: Region[] = [
        [BUFFER + 0x2_0000, 0x1002],
        [BUFFER, 2],
        [BUFFER + 0x4000, bytes],
      ];
      expect(disk.command(command, { lba: 100, count: 200, regions })).toBe(READY);
      const { bytes: ram } = machine.ram;
      const got = [
        ...ram.slice(BUFFER + 0x2_0000, BUFFER + 0x2_1002),
        ...ram.slice(BUFFER, BUFFER + 2),
        ...ram.slice(BUFFER + 0x4000, BUFFER + 0x4000 + bytes - 0x1004),
      ];
      expect(Uint8Array.from(got)).toEqual(pattern(bytes, 3));
      expect(disk.moved()).toBe(bytes);
      expect(disk.acknowledge() & (IS.d2h | IS.pioSetup)).not.toBe(0);
    },
  );

  it.each([COMMAND.writeDma, COMMAND.writeDmaExt, COMMAND.writeSectorsExt, COMMAND.writeMultiple])(
    'writes, command %i',
    (command) => {
      const bytes = 150 * 512;
      machine.ram.bytes.set(pattern(bytes, 8), BUFFER);
      expect(disk.command(command, { lba: 20, count: 150, regions: [[BUFFER, bytes]], flags: 1 << 6 })).toBe(READY);
      expect(disk.acknowledge() & IS.d2h).toBe(IS.d2h);
      expect(machine.disk.bytes.slice(20 * 512, 170 * 512)).toEqual(pattern(bytes, 8));
      expect(machine.disk.bytes[170 * 512]).toBe(0);
    },
  );

  it('takes addresses of 48 bits for sectors, and says where it stopped', () => {
    expect(disk.command(COMMAND.readDmaExt, { lba: 0x1234_5678_9abc, regions: [[BUFFER, 512]] })).toBe(
      (ERROR.idnf << 8) | READY | STATUS.err,
    );
    machine.disk.fail = true;
    disk.comReset();
    disk.set(PORT.cmd, CMD.fisReceive);
    disk.set(PORT.cmd, CMD.fisReceive | CMD.start);
    expect(disk.command(COMMAND.readDmaExt, { lba: 0x123, regions: [[BUFFER, 512]] })).toBe(
      (ERROR.unc << 8) | READY | STATUS.err,
    );
    expect([...disk.received(RECEIVED.d2h).slice(4, 7)]).toEqual([0x23, 1, 0]);
  });

  it('carries out all slots that are asked for, one after the other from the last one on', () => {
    for (const slot of [31, 0, 7]) {
      machine.disk.bytes.fill(slot + 1, slot * 512, (slot + 1) * 512);
      disk.prepare(COMMAND.readDma, { slot, lba: slot, regions: [[BUFFER + slot * 512, 512]] });
    }
    disk.set(PORT.ci, (1 << 31) | 1 | (1 << 7));
    expect(disk.get(PORT.ci)).toBe(0x8000_0081);
    expect((disk.get(PORT.cmd) >> CMD.slotShift) & 31).toBe(7);
    machine.disk.settle();
    expect(disk.get(PORT.ci)).toBe(0x8000_0001);
    machine.settle();
    expect(disk.get(PORT.ci)).toBe(0);
    for (const slot of [31, 0, 7]) expect(machine.ram.bytes[BUFFER + slot * 512 + 511]).toBe(slot + 1);
  });

  it('stops the list at an error, and goes on when it is started again (6.2.2.1)', () => {
    disk.prepare(COMMAND.readDma, { slot: 3, lba: SECTORS, regions: [[BUFFER, 512]] });
    disk.prepare(COMMAND.flush, { slot: 4 });
    disk.set(PORT.ci, 0x18);
    machine.settle();
    expect(disk.get(PORT.is)).toBe(IS.taskFile | IS.d2h);
    expect(disk.get(PORT.tfd)).toBe((ERROR.idnf << 8) | READY | STATUS.err);
    expect([disk.get(PORT.ci), (disk.get(PORT.cmd) >> CMD.slotShift) & 31]).toEqual([0x18, 3]);
    disk.acknowledge();
    disk.set(PORT.cmd, CMD.fisReceive);
    expect([disk.get(PORT.ci), disk.get(PORT.cmd) & CMD.running]).toEqual([0, 0]);
    disk.set(PORT.cmd, CMD.fisReceive | CMD.start);
    expect(disk.command(COMMAND.flush, { slot: 4 })).toBe(READY);
    expect(machine.disk.flushes).toBe(1);
  });

  it('answers EXECUTE DEVICE DIAGNOSTIC with its signature', () => {
    expect(disk.command(COMMAND.diagnostic)).toBe(0x0100 | READY);
    expect(disk.acknowledge()).toBe(IS.d2h);
  });

  it('tells of a descriptor that asks for it', () => {
    disk.prepare(COMMAND.readDma, {
      count: 2,
      regions: [
        [BUFFER, 512],
        [BUFFER + 512, 512],
      ],
    });
    machine.ram.view.setUint32(TABLES + 0x8c, 0x8000_01ff, true);
    disk.set(PORT.ci, 1);
    machine.settle();
    expect(disk.acknowledge()).toBe(IS.descriptor | IS.d2h);
  });

  it('drops what has no place, and waits for what does not come', () => {
    machine.disk.bytes.fill(9);
    expect(disk.command(COMMAND.readDma, { count: 2, regions: [[BUFFER, 512]] })).toBe(READY);
    expect([disk.acknowledge(), disk.moved(), machine.ram.bytes[BUFFER + 512]]).toEqual([IS.overflow | IS.d2h, 512, 0]);
    expect(disk.command(COMMAND.writeDma, { count: 2, regions: [[BUFFER, 512]] }) & STATUS.bsy).toBe(STATUS.bsy);
    expect([disk.acknowledge(), disk.get(PORT.ci)]).toEqual([IS.overflow, 1]);
    expect(machine.disk.bytes[0]).toBe(9);
    disk.set(PORT.cmd, CMD.fisReceive);
    disk.comReset();
    disk.set(PORT.cmd, CMD.fisReceive | CMD.start);
    expect(disk.command(COMMAND.readDma, { regions: [[BUFFER, 512]] })).toBe(READY);
  });

  it.each<[string, (port: AhciPortDriver) => void, number]>([
    ['a list', (port) => port.set(PORT.commandList, HOLE), IS.hostBusFatal],
    ['a list beyond 4 GiB', (port) => port.set(PORT.commandListHigh, 0xffff_ffff), IS.hostBusFatal],
    ['a table', ({ machine: { ram } }) => ram.view.setUint32(LIST + 8, HOLE, true), IS.hostBusFatal],
    ['data', ({ machine: { ram } }) => ram.view.setUint32(TABLES + 0x80, HOLE, true), IS.hostBusFatal],
    ['descriptors', (port) => port.atTheEnd(), IS.hostBusFatal],
    ['received FISes', (port) => port.set(PORT.fis, HOLE), IS.hostBusFatal | IS.d2h],
    ['no FIS', ({ machine: { ram } }) => ram.bytes.fill(0x46, TABLES, TABLES + 1), IS.interfaceFatal],
    ['too short a FIS', ({ machine: { ram } }) => ram.view.setUint8(LIST, 4), IS.interfaceFatal],
  ])('stops at %s in nowhere (6.1), and is well after a reset', (_, spoil, wanted) => {
    disk.prepare(COMMAND.readDma, { regions: [[BUFFER, 512]] });
    spoil(disk);
    disk.set(PORT.ci, 1);
    machine.settle();
    expect(disk.get(PORT.is)).toBe(wanted);
    machine.set(HBA.ghc, GHC.reset);
    disk.set(PORT.commandListHigh, 0);
    disk.start();
    expect(disk.command(COMMAND.readDma, { regions: [[BUFFER, 512]] })).toBe(READY);
  });

  it('forgets what is under way when the list is stopped, and is busy until it is reset', () => {
    machine.disk.bytes.fill(5);
    disk.prepare(COMMAND.readDma, { regions: [[BUFFER, 512]] });
    disk.set(PORT.ci, 1);
    disk.set(PORT.cmd, CMD.fisReceive);
    machine.settle();
    expect([disk.get(PORT.tfd) & STATUS.bsy, disk.get(PORT.is), machine.ram.bytes[BUFFER]]).toEqual([STATUS.bsy, 0, 0]);
    // By force (3.3.7, CLO), and SRST behind it.
    disk.set(PORT.cmd, CMD.fisReceive | CMD.override);
    expect(disk.get(PORT.tfd) & STATUS.bsy).toBe(0);
    disk.set(PORT.cmd, CMD.fisReceive | CMD.start);
    disk.command(0, { control: CONTROL.srst, flags: 1 << 10 });
    disk.command(0, { control: 0 });
    expect(disk.command(COMMAND.readDma, { regions: [[BUFFER, 512]] })).toBe(READY);
    expect(machine.ram.bytes[BUFFER]).toBe(5);
  });

  it('does nothing for a function that is no bus master', () => {
    machine.ahci.pci.write(PCI.command, 2, PCI_COMMAND.memory);
    disk.command(COMMAND.readDma, { regions: [[BUFFER, 512]] });
    expect(disk.get(PORT.is)).toBe(IS.hostBusFatal);
  });
});

describe('a CD-ROM drive', () => {
  beforeEach(() => {
    machine.disc.bytes.set(pattern(3 * 2048, 4), 5 * 2048);
    disc.start();
  });
  const read: Asked = { lba: 0xfe_0000, packet: [OP.read10, 0, 0, 0, 0, 5, 0, 0, 3] };

  it.each([0, 1])('reads by packets, features %i', (features) => {
    const tfd = disc.command(COMMAND.packet, {
      ...read,
      features,
      regions: [
        [BUFFER, 4096],
        [BUFFER + 8192, 4096],
      ],
    });
    expect([tfd, disc.moved()]).toEqual([READY, 3 * 2048]);
    expect(machine.ram.bytes.slice(BUFFER, BUFFER + 4096)).toEqual(pattern(3 * 2048, 4).slice(0, 4096));
    expect(machine.ram.bytes.slice(BUFFER + 8192, BUFFER + 8192 + 2048)).toEqual(pattern(3 * 2048, 4).slice(4096));
    expect(disc.acknowledge() & IS.d2h).toBe(IS.d2h);
  });

  it('says why it refuses, and is reset by DEVICE RESET', () => {
    expect(disc.command(COMMAND.packet, { packet: [0xee] })).toBe((0x54 << 8) | READY | STATUS.err);
    disc.set(PORT.cmd, CMD.fisReceive);
    disc.set(PORT.cmd, CMD.fisReceive | CMD.start);
    disc.acknowledge();
    expect(disc.command(COMMAND.deviceReset)).toBe(0x0100);
    expect([disc.acknowledge(), disc.get(PORT.ci)]).toEqual([0, 0]);
  });

  it('has no packet where memory ends', () => {
    const end = (1 << 20) - 64;
    const small = new AhciMachine(new MemoryRam(end));
    const port = small.port(2);
    port.start();
    port.prepare(COMMAND.packet, read);
    small.ram.bytes.copyWithin(end - 64, TABLES, TABLES + 64);
    small.ram.view.setUint32(LIST + 8, end - 64, true);
    port.set(PORT.ci, 1);
    small.settle();
    expect(port.get(PORT.is)).toBe(IS.hostBusFatal);
  });
});

describe('interrupts', () => {
  beforeEach(() => disk.start());

  it('hold the pin until port and controller were both acknowledged (5.5.3)', () => {
    disk.command(COMMAND.flush);
    expect([machine.line.up, machine.get(HBA.is)]).toEqual([true, 1]);
    machine.set(HBA.is, 1);
    expect([machine.line.up, machine.get(HBA.is)]).toEqual([true, 1]);
    disk.set(PORT.is, IS.d2h);
    expect(machine.line.up).toBe(true);
    machine.set(HBA.is, 1);
    expect(machine.line.up).toBe(false);
  });

  it('are those that are enabled', () => {
    disk.set(PORT.ie, IS.taskFile);
    disk.command(COMMAND.flush);
    expect([disk.get(PORT.is), machine.get(HBA.is), machine.line.up]).toEqual([IS.d2h, 0, false]);
    machine.set(HBA.ghc, GHC.ahci);
    disk.set(PORT.ie, IS.d2h);
    expect([machine.get(HBA.is), machine.line.up]).toEqual([1, false]);
    machine.set(HBA.ghc, GHC.ahci | GHC.interrupts);
    expect(machine.line.up).toBe(true);
  });

  it('are messages where the host wants them, and none is lost', () => {
    machine.useMsi(0x4042);
    disk.command(COMMAND.flush);
    expect(machine.messages).toEqual([[0xfee0_0000, 0x4042]]);
    expect(machine.line.up).toBe(false);
    // Between the acknowledgements of port and controller the next command ends.
    disk.set(PORT.is, IS.d2h);
    disk.command(COMMAND.flush);
    expect(machine.messages.length).toBe(1);
    machine.set(HBA.is, 1);
    expect(machine.messages.length).toBe(2);
    // Another port had something to tell, too.
    disc.start();
    disk.acknowledge();
    const before = machine.messages.length;
    disk.command(COMMAND.flush);
    disc.command(COMMAND.identifyPacket, { regions: [[BUFFER, 512]] });
    expect([machine.get(HBA.is), machine.messages.length]).toEqual([5, before + 1]);
    disk.set(PORT.is, IS.d2h);
    machine.set(HBA.is, 1);
    expect([machine.get(HBA.is), machine.messages.length]).toEqual([4, before + 2]);
  });
});

describe('unplugging', () => {
  it('takes disks with what they are doing, and leaves CD-ROM drives', () => {
    disk.start();
    disk.prepare(COMMAND.readDma, { regions: [[BUFFER, 512]] });
    disk.set(PORT.ci, 1);
    machine.ahci.pci.options.unplug?.(1);
    machine.settle();
    expect([disk.get(PORT.ssts), disk.get(PORT.tfd), disk.get(PORT.sig)]).toEqual([0, 0x7f, 0xffff_ffff]);
    expect(disk.get(PORT.serr) & SERR.phyReady).toBe(SERR.phyReady);
    disk.comReset();
    expect(disk.get(PORT.ssts)).toBe(0);
    expect(disc.get(PORT.ssts)).toBe(0x123);
  });

  it.each([
    ['all but the first leaves the first', 4],
    ['network cards', 2],
  ])('of %s', (_, what) => {
    machine.ahci.pci.options.unplug?.(what);
    expect(disk.get(PORT.ssts)).toBe(0x123);
  });
});
