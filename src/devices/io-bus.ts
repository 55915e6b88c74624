// Port I/O and memory-mapped I/O: finds the device behind an address. It knows no device and no interrupt.
import { type Points, type Sink, tracepoints } from '../trace/points.ts';
import { EXIT, type Exit } from '../vcpu/contract.ts';

/** What lies behind a range. `offset` is relative to the range; `size` is 1, 2 or 4 bytes and stays inside the range. */
export interface IoHandler {
  /** Returns an unsigned value of `size` bytes. */
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
  /**
   * Reads several times from one place that gives something else each time, such as the data register of a drive: `size` bytes each, one
   * after the other into `into`. Gives how many bytes it read. It stops in front of any read that would have another effect than to
   * go on: that one is made by `read`.
   */
  readMany?(offset: number, size: number, into: Uint8Array): number;
}

/** A range of addresses: ports 0..0xffff, or guest-physical addresses. */
export interface IoRange {
  readonly at: number;
  readonly size: number;
}

/** Takes the range off the bus again. */
export type Unregister = () => void;

const FORMATS = {
  port_read: 'port=%x size=%u value=%x',
  port_write: 'port=%x size=%u value=%x',
  mmio_read: 'gpa=%x size=%u value=%x',
  mmio_write: 'gpa=%x size=%u value=%x',
  unclaimed_port_read: 'port=%x size=%u',
  unclaimed_port_write: 'port=%x size=%u value=%x',
  unclaimed_mmio_read: 'gpa=%x size=%u',
  unclaimed_mmio_write: 'gpa=%x size=%u value=%x',
} as const;
export type IoTrace = Points<typeof FORMATS>;
export const ioTrace = (sink: Sink): IoTrace => tracepoints('io', FORMATS, sink);

/** Accesses that no device answered. */
export interface Unclaimed {
  portReads: number;
  portWrites: number;
  mmioReads: number;
  mmioWrites: number;
}

interface Entry extends IoRange {
  readonly name: string;
  readonly handler: IoHandler;
}

/** One address space: its ranges in order of address, none overlapping. */
class IoSpace {
  #entries: readonly Entry[] = [];

  register(name: string, range: IoRange, handler: IoHandler): Unregister {
    if (range.size <= 0) throw new RangeError(`${name}: a range of ${range.size} bytes`);
    const other = this.overlapping(range);
    if (other !== undefined) throw new Error(`${name} at 0x${range.at.toString(16)} overlaps ${other.name}`);
    const entry: Entry = { name, ...range, handler };
    this.#entries = [...this.#entries, entry].sort((a, b) => a.at - b.at);
    return () => {
      this.#entries = this.#entries.filter((e) => e !== entry);
    };
  }

  overlapping(range: IoRange): Entry | undefined {
    return this.#entries.find((e) => range.at < e.at + e.size && e.at < range.at + range.size);
  }

  find(address: number): Entry | undefined {
    let low = 0;
    let high = this.#entries.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const entry = this.#entries[middle] as Entry;
      if (address < entry.at) high = middle - 1;
      else if (address >= entry.at + entry.size) low = middle + 1;
      else return entry;
    }
    return undefined;
  }

  list(): readonly Entry[] {
    return this.#entries;
  }
}

const allOnes = (size: number): number => (size >= 4 ? 0xffff_ffff : 2 ** (size * 8) - 1);

export class IoBus {
  readonly #ports = new IoSpace();
  readonly #mmio = new IoSpace();
  readonly #trace: IoTrace;
  readonly unclaimed: Unclaimed = { portReads: 0, portWrites: 0, mmioReads: 0, mmioWrites: 0 };

  constructor(trace: IoTrace) {
    this.#trace = trace;
  }

  /** Puts a device at a range of ports. @throws Error when the range overlaps another. */
  registerPorts(name: string, range: IoRange, handler: IoHandler): Unregister {
    if (range.at < 0 || range.at + range.size > 0x1_0000) throw new RangeError(`${name}: ports end at 0xffff`);
    return this.#ports.register(name, range, handler);
  }

  /** Puts a device at a range of guest-physical addresses. @throws Error when the range overlaps another. */
  registerMmio(name: string, range: IoRange, handler: IoHandler): Unregister {
    return this.#mmio.register(name, range, handler);
  }

  /** Like `registerPorts`, for a range that the guest chose: undefined when it lies beyond the ports, or overlaps another. */
  offerPorts(name: string, range: IoRange, handler: IoHandler): Unregister | undefined {
    if (range.at + range.size > 0x1_0000 || this.#ports.overlapping(range) !== undefined) return undefined;
    return this.#ports.register(name, range, handler);
  }

  /** Like `registerMmio`, for a range that the guest chose: undefined when it overlaps another. */
  offerMmio(name: string, range: IoRange, handler: IoHandler): Unregister | undefined {
    return this.#mmio.overlapping(range) === undefined ? this.#mmio.register(name, range, handler) : undefined;
  }

  /** Reads 1, 2 or 4 bytes from a port; all ones where there is no device. */
  readPort(port: number, size: number): number {
    const value = this.#read(this.#ports, port, size, (at, part) => {
      this.unclaimed.portReads++;
      if (this.#trace.unclaimed_port_read.on) this.#trace.unclaimed_port_read(at, part);
    });
    if (this.#trace.port_read.on) this.#trace.port_read(port, size, value);
    return value;
  }

  /** Reads a port several times, as `IoHandler.readMany`; gives 0 where that cannot be done at once. */
  readPortMany(port: number, size: number, into: Uint8Array): number {
    if (this.#trace.port_read.on) return 0;
    const entry = this.#ports.find(port);
    if (entry?.handler.readMany === undefined || port + size > entry.at + entry.size) return 0;
    return entry.handler.readMany(port - entry.at, size, into);
  }

  /** Writes 1, 2 or 4 bytes to a port; dropped where there is no device. */
  writePort(port: number, size: number, value: number): void {
    if (this.#trace.port_write.on) this.#trace.port_write(port, size, value);
    this.#write(this.#ports, port, size, value, (at, part, v) => {
      this.unclaimed.portWrites++;
      if (this.#trace.unclaimed_port_write.on) this.#trace.unclaimed_port_write(at, part, v);
    });
  }

  /** Reads 1, 2 or 4 bytes of memory-mapped I/O; all ones where there is no device. */
  readMmio(gpa: number, size: number): number {
    const value = this.#read(this.#mmio, gpa, size, (at, part) => {
      this.unclaimed.mmioReads++;
      if (this.#trace.unclaimed_mmio_read.on) this.#trace.unclaimed_mmio_read(at, part);
    });
    if (this.#trace.mmio_read.on) this.#trace.mmio_read(gpa, size, value);
    return value;
  }

  /** Writes 1, 2 or 4 bytes of memory-mapped I/O; dropped where there is no device. */
  writeMmio(gpa: number, size: number, value: number): void {
    if (this.#trace.mmio_write.on) this.#trace.mmio_write(gpa, size, value);
    this.#write(this.#mmio, gpa, size, value, (at, part, v) => {
      this.unclaimed.mmioWrites++;
      if (this.#trace.unclaimed_mmio_write.on) this.#trace.unclaimed_mmio_write(at, part, v);
    });
  }

  /**
   * Answers a `pio` or `mmio` exit: performs the access, and leaves what was read in `dataLow` and `dataHigh`.
   * An access of 8 bytes is two of 4. Any other exit is a bug of the caller.
   */
  serve(exit: Exit): void {
    if (exit.reason === EXIT.pio) {
      if (exit.write) this.writePort(exit.port, exit.size, exit.dataLow >>> 0);
      else exit.dataLow = this.readPort(exit.port, exit.size);
      return;
    }
    if (exit.reason !== EXIT.mmio) throw new Error(`exit ${exit.reason} is no I/O`);
    const size = Math.min(exit.size, 4);
    if (exit.write) {
      this.writeMmio(exit.gpa, size, exit.dataLow >>> 0);
      if (exit.size > 4) this.writeMmio(exit.gpa + 4, exit.size - 4, exit.dataHigh >>> 0);
    } else {
      exit.dataLow = this.readMmio(exit.gpa, size);
      exit.dataHigh = exit.size > 4 ? this.readMmio(exit.gpa + 4, exit.size - 4) : 0;
    }
  }

  /** What is on the bus, for inspection. */
  inspect(): { readonly ports: readonly string[]; readonly mmio: readonly string[]; readonly unclaimed: Unclaimed } {
    const line = (e: Entry): string => `0x${e.at.toString(16)}-0x${(e.at + e.size - 1).toString(16)} ${e.name}`;
    return { ports: this.#ports.list().map(line), mmio: this.#mmio.list().map(line), unclaimed: { ...this.unclaimed } };
  }

  /** An access that does not lie in one range, or in none, goes byte by byte. */
  #read(space: IoSpace, at: number, size: number, missed: (at: number, size: number) => void): number {
    const entry = space.find(at);
    if (entry !== undefined && at + size <= entry.at + entry.size) return entry.handler.read(at - entry.at, size) >>> 0;
    if (size > 1 && this.#touches(space, at, size)) {
      let value = 0;
      for (let i = 0; i < size; i++) value += this.#read(space, at + i, 1, missed) * 2 ** (i * 8);
      return value;
    }
    missed(at, size);
    return allOnes(size);
  }

  #write(
    space: IoSpace,
    at: number,
    size: number,
    value: number,
    missed: (at: number, size: number, value: number) => void,
  ): void {
    const entry = space.find(at);
    if (entry !== undefined && at + size <= entry.at + entry.size) {
      entry.handler.write(at - entry.at, size, (value & allOnes(size)) >>> 0);
      return;
    }
    if (size > 1 && this.#touches(space, at, size)) {
      for (let i = 0; i < size; i++) this.#write(space, at + i, 1, (value >>> (i * 8)) & 0xff, missed);
      return;
    }
    missed(at, size, value);
  }

  #touches(space: IoSpace, at: number, size: number): boolean {
    for (let i = 0; i < size; i++) if (space.find(at + i) !== undefined) return true;
    return false;
  }
}
