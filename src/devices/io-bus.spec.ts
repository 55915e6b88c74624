import { describe, expect, it } from 'vitest';
import { EXIT, type Exit, newExit } from '../vcpu/contract.ts';
import { DEBUG_PORT, DebugPort } from './debug-port.ts';
import { IoBus, type IoHandler, ioTrace } from './io-bus.ts';

/** Sixteen bytes of memory that note every access. */
class Scratch implements IoHandler {
  readonly bytes = new Uint8Array(16);
  readonly log: string[] = [];
  read(offset: number, size: number): number {
    this.log.push(`r${offset}.${size}`);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] as number);
    return value;
  }
  write(offset: number, size: number, value: number): void {
    this.log.push(`w${offset}.${size}=${value.toString(16)}`);
    for (let i = 0; i < size; i++) this.bytes[offset + i] = value >>> (i * 8);
  }
}

function make() {
  const traced: string[] = [];
  const trace = ioTrace((name, _format, args) => traced.push(`${name} ${args.join(' ')}`));
  return { bus: new IoBus(trace), trace, traced };
}

const exitOf = (fields: Partial<Exit>): Exit => ({ ...newExit(), reason: EXIT.pio, size: 1, ...fields });

describe('ranges', () => {
  it('give each device offsets from its own start', () => {
    const { bus } = make();
    const devices = [0x300, 0x100, 0x200].map((at) => {
      const device = new Scratch();
      bus.registerPorts(`at ${at}`, { at, size: 16 }, device);
      return device;
    });
    bus.writePort(0x10f, 1, 0xab);
    bus.writePort(0x204, 4, 0xdead_beef);
    expect(bus.readPort(0x204, 4)).toBe(0xdead_beef);
    expect(devices.map((d) => d.log)).toEqual([[], ['w15.1=ab'], ['w4.4=deadbeef', 'r4.4']]);
  });

  it('must not overlap', () => {
    const { bus } = make();
    bus.registerMmio('first', { at: 0x1000, size: 0x1000 }, new Scratch());
    expect(() => bus.registerMmio('second', { at: 0x1fff, size: 1 }, new Scratch())).toThrow('second at 0x1fff overlaps first');
    bus.registerMmio('third', { at: 0x2000, size: 1 }, new Scratch());
  });

  it('must lie among the ports there are', () => {
    const { bus } = make();
    expect(() => bus.registerPorts('beyond', { at: 0xffff, size: 2 }, new Scratch())).toThrow(RangeError);
    expect(() => bus.registerPorts('none', { at: 0x10, size: 0 }, new Scratch())).toThrow(RangeError);
  });

  it('are free again when taken off', () => {
    const { bus } = make();
    const off = bus.registerPorts('first', { at: 0x10, size: 4 }, new Scratch());
    off();
    expect(bus.readPort(0x10, 1)).toBe(0xff);
    bus.registerPorts('second', { at: 0x12, size: 4 }, new Scratch());
    expect(bus.inspect().ports).toEqual(['0x12-0x15 second']);
  });

  it('split an access that crosses their end', () => {
    const { bus } = make();
    const device = new Scratch();
    device.bytes[15] = 0x5a;
    bus.registerPorts('scratch', { at: 0x100, size: 16 }, device);
    expect(bus.readPort(0x10f, 2)).toBe(0xff5a);
    expect(bus.readPort(0xfe, 4)).toBe(0x0000_ffff);
    bus.writePort(0x10f, 4, 0x1122_3344);
    expect(device.bytes[15]).toBe(0x44);
    expect(bus.unclaimed).toEqual({ portReads: 3, portWrites: 3, mmioReads: 0, mmioWrites: 0 });
  });
});

describe('addresses without a device', () => {
  it('read as all ones of the access size, and drop writes', () => {
    const { bus } = make();
    expect([bus.readPort(0x60, 1), bus.readPort(0x60, 2), bus.readPort(0x60, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
    expect(bus.readMmio(0xfed0_0000, 4)).toBe(0xffff_ffff);
    bus.writePort(0x60, 1, 1);
    bus.writeMmio(0xfed0_0000, 4, 1);
    expect(bus.unclaimed).toEqual({ portReads: 3, portWrites: 1, mmioReads: 1, mmioWrites: 1 });
  });

  it('are traced when asked', () => {
    const { bus, trace, traced } = make();
    bus.readPort(0x64, 1);
    trace.unclaimed_port_read.on = true;
    trace.unclaimed_mmio_write.on = true;
    bus.readPort(0x64, 1);
    bus.writeMmio(0xfed0_0000, 4, 7);
    expect(traced).toEqual(['io.unclaimed_port_read 100 1', 'io.unclaimed_mmio_write 4275044352 4 7']);
  });
});

describe('serve', () => {
  it('answers port exits', () => {
    const { bus } = make();
    bus.registerPorts('scratch', { at: 0x100, size: 16 }, new Scratch());
    bus.serve(exitOf({ port: 0x100, size: 4, write: true, dataLow: -2 }));
    const exit = exitOf({ port: 0x100, size: 4 });
    bus.serve(exit);
    expect(exit.dataLow >>> 0).toBe(0xffff_fffe);
  });

  it('answers memory exits, eight bytes as two times four', () => {
    const { bus } = make();
    const device = new Scratch();
    bus.registerMmio('scratch', { at: 0xfec0_0000, size: 16 }, device);
    bus.serve(exitOf({ reason: EXIT.mmio, gpa: 0xfec0_0008, size: 8, write: true, dataLow: 0x1111_1111, dataHigh: 0x2222_2222 }));
    const exit = exitOf({ reason: EXIT.mmio, gpa: 0xfec0_0008, size: 8 });
    bus.serve(exit);
    expect([exit.dataLow, exit.dataHigh]).toEqual([0x1111_1111, 0x2222_2222]);
    expect(device.log).toEqual(['w8.4=11111111', 'w12.4=22222222', 'r8.4', 'r12.4']);
  });

  it('moves as much of a string as the device takes, and one element where it takes no block', () => {
    const { bus, trace } = make();
    const written: number[] = [];
    bus.registerPorts(
      'stream',
      { at: 0x1f0, size: 8 },
      {
        read: (offset) => offset,
        write: () => {},
        readBlock: (offset, size, into) => {
          into.fill(7, 0, 3 * size);
          return offset === 0 ? 3 : 0;
        },
        writeBlock: (_, size, from) => written.push(...from.subarray(0, 2 * size)) / size,
      },
    );
    const input = exitOf({ port: 0x1f0, size: 2, most: 5 });
    bus.serve(input);
    expect([input.moved, [...input.block.subarray(0, 7)]]).toEqual([3, [7, 7, 7, 7, 7, 7, 0]]);
    const output = exitOf({ port: 0x1f0, size: 2, most: 5, write: true });
    output.block.set([1, 2, 3, 4, 5, 6]);
    bus.serve(output);
    expect([output.moved, written]).toEqual([2, [1, 2, 3, 4]]);
    const single = exitOf({ port: 0x1f3, size: 1, most: 5 });
    bus.serve(single);
    expect([single.moved, single.dataLow]).toEqual([1, 3]);
    // Each access is seen when somebody looks.
    trace.port_read.on = true;
    const traced = exitOf({ port: 0x1f0, size: 2, most: 5 });
    bus.serve(traced);
    expect([traced.moved, traced.dataLow]).toEqual([1, 0]);
  });

  it('takes no other exit', () => {
    expect(() => make().bus.serve(exitOf({ reason: EXIT.hlt }))).toThrow(/no I\/O/);
  });
});

describe('the debug port', () => {
  it('takes bytes and gives none', () => {
    const { bus } = make();
    const bytes: number[] = [];
    bus.registerPorts('xen debug', DEBUG_PORT, new DebugPort((byte) => bytes.push(byte)));
    for (const c of 'Xen\n') bus.writePort(0xe9, 1, c.charCodeAt(0));
    expect(String.fromCharCode(...bytes)).toBe('Xen\n');
    expect(bus.readPort(0xe9, 1)).toBe(0xff);
    expect(bus.unclaimed.portReads).toBe(0);
  });
});
