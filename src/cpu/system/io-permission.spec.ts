import { describe, expect, it } from 'vitest';
import { FLAG, SEGMENT, VECTOR } from '../state.ts';
import { AT, FlatMachine, SELECTOR } from './fixtures/flat-machine.ts';
import { checkIoPermission } from './io-permission.ts';

const GP0 = [VECTOR.gp, 0];

describe('I/O permission (SDM vol. 1, 19.5)', () => {
  const open = (m: FlatMachine, limit: number, map: number) => {
    m.cpu.setSegment(SEGMENT.tr, SELECTOR.tss, 0x8b, limit, BigInt(AT.tss));
    m.ram.setUint16(AT.tss + 0x66, map, true);
  };
  it('looks at IOPL first, then at the map', () => {
    const m = new FlatMachine().protected32(3);
    open(m, 0x67 + 0x40, 0x68);
    m.ram.setUint8(AT.tss + 0x68 + 8, 0b1000_0010);
    const io = (port: number, size: number) => m.fault(() => checkIoPermission(m.cpu, m.mem, port, size));
    expect([io(0x40, 1), io(0x41, 1), io(0x40, 2), io(0x42, 4), io(0x44, 4), io(0x43, 4)]).toEqual([
      undefined,
      GP0,
      GP0,
      undefined,
      GP0,
      undefined,
    ]);
    m.cpu.rflags = FLAG.iopl | 2;
    expect(io(0x41, 1)).toBeUndefined();
  });
  it('refuses ports whose bits lie beyond the TSS, and always reads two bytes', () => {
    const m = new FlatMachine().long(3);
    open(m, 0x68 + 8, 0x68);
    expect(m.fault(() => checkIoPermission(m.cpu, m.mem, 0x3f, 1))).toBeUndefined();
    expect(m.fault(() => checkIoPermission(m.cpu, m.mem, 0x40, 1))).toEqual(GP0);
    open(m, 0x67, 0x68);
    expect(m.fault(() => checkIoPermission(m.cpu, m.mem, 0, 1))).toEqual(GP0);
  });
  it('uses the map in virtual-8086 mode whatever IOPL is', () => {
    const m = new FlatMachine().v86(3);
    open(m, 0x68 + 12, 0x68);
    expect(m.fault(() => checkIoPermission(m.cpu, m.mem, 0x20, 1))).toBeUndefined();
    expect(m.fault(() => checkIoPermission(m.cpu, m.mem, 0x60, 1))).toEqual(GP0);
    const real = new FlatMachine().real();
    expect(real.fault(() => checkIoPermission(real.cpu, real.mem, 0x60, 1))).toBeUndefined();
  });
});
