// Nonsense in the registers of an AHCI controller, and in the commands that it is given.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { AhciMachine, BUFFER, READY, SECTORS } from '../fixtures/ahci-machine.ts';
import { MemoryRam } from '../fixtures/memory-ram.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { pattern } from '../fixtures/pattern.ts';
import { COMMAND, CONTROL } from '../ide/ata-registers.ts';
import { OP } from '../ide/scsi.ts';
import type { IoHandler } from '../io-bus.ts';
import { PCI, COMMAND as PCI_COMMAND } from '../pci/config-header.ts';
import { ABAR } from './ahci-controller.ts';
import { CMD, GHC, HBA, PORT } from './registers.ts';

/** The chip can be used after whatever was done to it. */
function works(machine: AhciMachine): void {
  machine.settle();
  machine.ahci.reset();
  machine.settle();
  machine.ahci.pci.write(PCI.command, 2, PCI_COMMAND.memory | PCI_COMMAND.master);
  const port = machine.port(0);
  port.set(PORT.commandListHigh, 0);
  port.set(PORT.fisHigh, 0);
  port.start();
  machine.disk.bytes.set(pattern(512, 2), 512);
  expect(port.command(COMMAND.readDma, { lba: 1, regions: [[BUFFER, 512]] })).toBe(READY);
  expect(machine.ram.bytes.slice(BUFFER, BUFFER + 512)).toEqual(pattern(512, 2));
  expect(machine.line.up).toBe(true);
}

/** Memory that answers at every address, so that every list and every table is one. */
class Everywhere extends MemoryRam {
  override read(gpa: Gpa, into: Uint8Array): boolean {
    return super.read((gpa % this.bytes.length) as Gpa, into);
  }
  override write(gpa: Gpa, from: Uint8Array): boolean {
    return super.write((gpa % this.bytes.length) as Gpa, from);
  }
}

describe('a guest that programs nonsense', () => {
  it.each([
    ['RAM', MemoryRam],
    ['memory everywhere', Everywhere],
  ])('into registers harms nobody, with %s', (_, Ram) => {
    nonsense(() => {
      const chip = new AhciMachine(new Ram());
      for (let i = 0; i < chip.ram.bytes.length; i++) chip.ram.bytes[i] = (i * 2654435761) >>> 13;
      const handler: IoHandler = {
        read: (offset, size) => {
          chip.settle();
          return chip.abar.read(offset, size);
        },
        write: (offset, size, value) => chip.abar.write(offset, size, value),
      };
      // The ports with drives more often than the rest.
      const part = (at: number, size: number) => ({
        handler: {
          read: (offset: number, bytes: number) => handler.read(at + offset, bytes),
          write: (offset: number, bytes: number, value: number) => handler.write(at + offset, bytes, value),
        },
        size,
      });
      return { chip, ranges: [part(0, 0x20), part(0x100, 0x40), part(0x200, 0x40), part(0, ABAR.bytes)] };
    }, works);
  });

  it('into commands, and stops and resets them at any time, harms nobody', () => {
    const region = fc.tuple(fc.oneof(fc.nat(0x10_0000), fc.nat(0xffff_ffff)), fc.integer({ min: 1, max: 0x40_0000 }));
    const command = fc.record({
      number: fc.constantFrom(0, 2),
      code: fc.oneof(fc.constantFrom(...Object.values(COMMAND)), fc.nat(255)),
      slot: fc.nat(31),
      lba: fc.oneof(fc.nat(SECTORS + 8), fc.nat(0xffff_ffff)),
      count: fc.nat(0xffff),
      features: fc.nat(255),
      regions: fc.array(region, { maxLength: 12 }),
      packet: fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0, ...Object.values(OP))), { maxLength: 12 }),
      flags: fc.oneof(fc.constant(0), fc.integer()),
      after: fc.constantFrom('settle', 'more', 'stop', 'comreset', 'srst', 'hba', 'override', 'unmaster'),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const chip = new AhciMachine();
        for (const { after, code, number, ...asked } of commands) {
          const port = chip.port(number);
          if (!(port.get(PORT.cmd) & CMD.start)) port.start();
          port.prepare(code, asked);
          port.set(PORT.ci, 1 << asked.slot);
          if (after === 'settle') chip.settle();
          else if (after === 'stop') port.set(PORT.cmd, CMD.fisReceive);
          else if (after === 'comreset') port.comReset();
          else if (after === 'srst') port.command(0, { control: CONTROL.srst });
          else if (after === 'hba') chip.set(HBA.ghc, GHC.reset);
          else if (after === 'override') port.set(PORT.cmd, CMD.override | CMD.fisReceive);
          else if (after === 'unmaster') chip.ahci.pci.write(PCI.command, 2, PCI_COMMAND.memory);
        }
        works(chip);
      }),
      { numRuns: 150 },
    );
  });
});
