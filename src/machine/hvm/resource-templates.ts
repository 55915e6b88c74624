// Resource descriptors of ACPI (specification 5.0, 6.4), as far as our tables need them.

import { type Aml, buffer } from '../pvh/aml.ts';
import type { GpaRange } from '../pvh/memory-map.ts';

const word = (value: number): Aml => [value & 0xff, (value >> 8) & 0xff];
const dword = (value: number): Aml => [...word(value & 0xffff), ...word(value >>> 16)];

/** Address spaces of table 6-39, and "resource producer, positive decode, minimum and maximum fixed" of 6-40. */
const SPACE = { memory: 0, io: 1, bus: 2 } as const;
const FIXED = 0x0c;
/** All of the range, ISA and not; read-write and cacheable (tables 6-42, 6-41). */
const ENTIRE_RANGE = 3;
const READ_WRITE_CACHEABLE = 3;

/** ResourceTemplate () { … }, with its end tag (6.4.2.9) and no checksum. */
export const resources = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);

/** I/O port descriptor, 16 bits decoded (6.4.2.5). */
export const io = (at: number, size: number): Aml => [0x47, 1, ...word(at), ...word(at), 1, size];
/** IRQ descriptor: edge, active high (6.4.2.1). */
export const irq = (number: number): Aml => [0x22, ...word(1 << number)];
/** 32-bit fixed memory, read-write (6.4.3.4). */
export const memory = ({ at, size }: { readonly at: number; readonly size: number }): Aml => [
  0x86,
  ...word(9),
  1,
  ...dword(at),
  ...dword(size),
];

/** Word address space descriptor (6.4.3.5.3). */
const wordSpace = (space: number, flags: number, first: number, last: number): Aml => [
  0x88,
  ...word(13),
  space,
  FIXED,
  flags,
  ...word(0),
  ...word(first),
  ...word(last),
  ...word(0),
  ...word(last - first + 1),
];
export const busNumbers = (first: number, last: number): Aml => wordSpace(SPACE.bus, 0, first, last);
export const ioWindow = (first: number, last: number): Aml => wordSpace(SPACE.io, ENTIRE_RANGE, first, last);

/** DWord address space descriptor (6.4.3.5.2). */
export const memoryWindow = ({ at, size }: GpaRange): Aml => [
  0x87,
  ...word(23),
  SPACE.memory,
  FIXED,
  READ_WRITE_CACHEABLE,
  ...dword(0),
  ...dword(at),
  ...dword(at + size - 1),
  ...dword(0),
  ...dword(size),
];
