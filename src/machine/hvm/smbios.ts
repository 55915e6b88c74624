// SMBIOS as hvmloader tells of an HVM domain (tools/firmware/hvmloader/smbios.c): BIOS, system, enclosure, OEM string, memory, boot status.
// SMBIOS 2.4; structure and table numbers are those of its specification (DMTF DSP0134). What it says of processors, CPUID says here.
import { acpiChecksum } from '../../abi/acpi.ts';

const VERSION = [2, 4] as const;
const ANCHOR_BYTES = 31;
const TYPE = {
  bios: 0,
  system: 1,
  enclosure: 3,
  oemStrings: 11,
  memoryArray: 16,
  memoryDevice: 17,
  arrayAddress: 19,
  deviceAddress: 20,
  boot: 32,
  end: 127,
} as const;
const HANDLE = { memoryArray: 0x1000, memoryDevice: 0x1100, arrayAddress: 0x1300, deviceAddress: 0x1400 } as const;
/** Tables 72 to 78: the array is somewhere, for the system, with multi-bit ECC; the one device in it is a DIMM of RAM. */
const ARRAY = { location: 1, use: 3, correction: 6 } as const;
const DEVICE = { bits: 64, dimm: 9, ram: 7 } as const;
const NO_ERROR_HANDLE = 0xfffe;
/** Table 7, BIOS characteristics: they are not told. Table 8: a virtual machine's. */
const NOT_SUPPORTED = 1 << 3;
const ENCLOSURE_OTHER = 1;
const STATE_SAFE = 3;
const WAKE_POWER_SWITCH = 6;
const MIB = 1 << 20;

export interface SmbiosConfig {
  /** Where the whole lies: the anchor first. */
  readonly at: number;
  readonly uuid: Uint8Array;
  /** 4 GiB at most. */
  readonly ramBytes: number;
  /** As "4.20.0". */
  readonly xenVersion: string;
}

/** The anchor and the table behind it. */
export function buildSmbios({ at, uuid, ramBytes, xenVersion }: SmbiosConfig): Uint8Array {
  const structures = [
    structure(
      TYPE.bios,
      0,
      [1, 2, 0x00, 0xe8, 3, 0, NOT_SUPPORTED, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 0, 0, 0xff, 0xff],
      ['Xen', xenVersion, '01/01/2025'],
    ),
    structure(
      TYPE.system,
      0x100,
      [1, 2, 3, 4, ...wireUuid(uuid), WAKE_POWER_SWITCH, 0, 0],
      ['Xen', 'HVM domU', xenVersion, text(uuid)],
    ),
    structure(TYPE.enclosure, 0x300, [1, ENCLOSURE_OTHER, 0, 0, 0, STATE_SAFE, STATE_SAFE, STATE_SAFE, 2], ['Xen']),
    structure(TYPE.oemStrings, 0xb00, [1], ['Xen']),
    ...memory(Math.ceil(ramBytes / MIB)),
    structure(TYPE.boot, 0x2000, new Array<number>(7).fill(0), []),
    structure(TYPE.end, 0x7f00, [], []),
  ];
  const table = structures.flat();
  const largest = Math.max(...structures.map((bytes) => bytes.length));
  const out = new Uint8Array(ANCHOR_BYTES + table.length);
  const view = new DataView(out.buffer);
  out.set(ascii('_SM_'));
  out.set([ANCHOR_BYTES, ...VERSION], 5);
  view.setUint16(8, largest, true);
  out.set(ascii('_DMI_'), 0x10);
  view.setUint16(0x16, table.length, true);
  view.setUint32(0x18, at + ANCHOR_BYTES, true);
  view.setUint16(0x1c, structures.length, true);
  out[0x1e] = (VERSION[0] << 4) | VERSION[1];
  out[0x15] = acpiChecksum(out.subarray(0x10, ANCHOR_BYTES));
  out[4] = acpiChecksum(out.subarray(0, ANCHOR_BYTES));
  out.set(table, ANCHOR_BYTES);
  return out;
}

/** One array of one device, both at address 0. */
function memory(mib: number): number[][] {
  const range = [...u32(0), ...u32(mib * 1024 - 1)];
  return [
    structure(
      TYPE.memoryArray,
      HANDLE.memoryArray,
      [ARRAY.location, ARRAY.use, ARRAY.correction, ...u32(mib * 1024), ...u16(NO_ERROR_HANDLE), ...u16(1)],
      [],
    ),
    structure(
      TYPE.memoryDevice,
      HANDLE.memoryDevice,
      [
        ...[HANDLE.memoryArray, NO_ERROR_HANDLE, DEVICE.bits, DEVICE.bits, mib].flatMap(u16),
        ...[DEVICE.dimm, 0, 1, 0, DEVICE.ram, 0, 0, 0, 0, 0, 0, 0, 0],
      ],
      ['DIMM 0'],
    ),
    structure(TYPE.arrayAddress, HANDLE.arrayAddress, [...range, ...u16(HANDLE.memoryArray), 1], []),
    structure(
      TYPE.deviceAddress,
      HANDLE.deviceAddress,
      [...range, ...u16(HANDLE.memoryDevice), ...u16(HANDLE.arrayAddress), 1, 0, 0],
      [],
    ),
  ];
}

const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number): number[] => [...u16(value), ...u16(value >>> 16)];

/** A structure: header, formatted part, strings (6.1). */
function structure(type: number, handle: number, formatted: readonly number[], strings: readonly string[]): number[] {
  const texts = strings.length === 0 ? [0] : strings.flatMap((string) => [...ascii(string), 0]);
  return [type, 4 + formatted.length, handle & 0xff, handle >> 8, ...formatted, ...texts, 0];
}

/** 7.2.1: the first three fields are little-endian. */
function wireUuid(uuid: Uint8Array): number[] {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return order.map((i) => uuid[i] ?? 0);
}

function text(uuid: Uint8Array): string {
  const hex = Array.from(uuid, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

const ascii = (string: string): number[] => Array.from(string, (c) => c.charCodeAt(0));
