// IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data: ATA/ATAPI-6, 8.15 and 8.16. Words are little-endian, text has its bytes swapped.

export const IDENTIFY_BYTES = 512;

/** Of a disk of 512-byte sectors as old software asks for it. */
export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

export const DEFAULT_HEADS = 16;
export const DEFAULT_TRACK = 63;

/** The default translation: 16 heads, 63 sectors, 16383 cylinders at most (Annex A). */
export function geometryOf(sectors: number, heads: number = DEFAULT_HEADS, track: number = DEFAULT_TRACK): Geometry {
  return { cylinders: Math.min(16383, Math.floor(sectors / (heads * track))), heads, sectors: track };
}

/** Transfer modes that are set: 0x20 | n for multiword DMA, 0x40 | n for Ultra DMA, else PIO (8.46.12). */
export interface DriveSettings {
  readonly transferMode: number;
  /** Sectors in a block of READ MULTIPLE; 0 when it is off. */
  readonly multiple: number;
  readonly writeCache: boolean;
}

/** What a drive's identity owes to what it is attached by. */
export interface Attachment {
  /** Modes of Ultra DMA, as a mask. */
  readonly ultraModes: number;
  /** Word 80: the versions of the standard. */
  readonly versions: number;
  /** Word 76: generations of Serial ATA (ATA8-ACS, IDENTIFY DEVICE). */
  readonly serial: number;
}

/** A cable to a PIIX3, which knows no Ultra DMA; ATA/ATAPI-4 to 6. */
export const PARALLEL: Attachment = { ultraModes: 0, versions: 0x0070, serial: 0 };
/** Serial ATA of 1.5 and 3 Gb/s, where modes are names without a meaning; ATA/ATAPI-4 to 7. */
export const SERIAL: Attachment = { ultraModes: 0x007f, versions: 0x00f0, serial: 0x0006 };

export const MAX_MULTIPLE = 16;
const LBA28 = 0x0fff_ffff;
const MULTIWORD = 0x20;
const ULTRA = 0x40;
/** Modes 0 to 2 of multiword DMA. */
const MULTIWORD_MODES = 0x0007;

export function identifyDisk(
  serial: string,
  sectors: number,
  native: Geometry,
  current: Geometry,
  settings: DriveSettings,
  attachment: Attachment,
): Uint8Array {
  const data = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(data.buffer);
  const word = (at: number, value: number): void => view.setUint16(at * 2, value, true);
  const dword = (at: number, value: number): void => view.setUint32(at * 2, value, true);
  word(0, 0x0040);
  word(1, native.cylinders);
  word(3, native.heads);
  word(6, native.sectors);
  identity(data, serial, 'DOM1 HARDDISK');
  word(47, 0x8000 | MAX_MULTIPLE);
  // DMA, LBA, IORDY.
  word(49, 0x0b00);
  word(50, 0x4000);
  word(53, 0x0007);
  word(54, current.cylinders);
  word(55, current.heads);
  word(56, current.sectors);
  dword(57, current.cylinders * current.heads * current.sectors);
  word(59, settings.multiple > 0 ? 0x0100 | settings.multiple : 0);
  dword(60, Math.min(sectors, LBA28));
  modes(word, settings.transferMode, attachment);
  // NOP, write cache, look-ahead, power management; 48-bit addresses, both FLUSH CACHEs.
  word(82, 0x4068);
  word(83, 0x7400);
  word(84, 0x4000);
  word(85, 0x4048 | (settings.writeCache ? 0x0020 : 0));
  word(86, 0x3400);
  word(87, 0x4000);
  view.setBigUint64(200, BigInt(sectors), true);
  return data;
}

export function identifyCdrom(serial: string, transferMode: number, attachment: Attachment): Uint8Array {
  const data = new Uint8Array(IDENTIFY_BYTES);
  const view = new DataView(data.buffer);
  const word = (at: number, value: number): void => view.setUint16(at * 2, value, true);
  // ATAPI, CD-ROM, removable, DRQ within 50 µs, packets of 12 bytes.
  word(0, 0x85c0);
  identity(data, serial, 'DOM1 DVD-ROM');
  word(49, 0x0b00);
  word(53, 0x0006);
  modes(word, transferMode, attachment);
  // PACKET, DEVICE RESET.
  word(82, 0x4210);
  word(83, 0x4000);
  word(84, 0x4000);
  word(85, 0x4210);
  word(87, 0x4000);
  return data;
}

function modes(
  word: (at: number, value: number) => void,
  transferMode: number,
  { serial, ultraModes, versions }: Attachment,
): void {
  const selected = (family: number): number => ((transferMode & ~7) === family ? 0x0100 << (transferMode & 7) : 0);
  word(63, MULTIWORD_MODES | selected(MULTIWORD));
  word(64, 0x0003);
  for (const at of [65, 66, 67, 68]) word(at, 120);
  word(76, serial);
  word(80, versions);
  word(88, ultraModes | selected(ULTRA));
}

/** Whether the drive can be set to the mode. */
export function knowsMode(mode: number, { ultraModes }: Attachment): boolean {
  const n = mode & 7;
  const family = mode & ~7;
  if (family === MULTIWORD) return (MULTIWORD_MODES & (1 << n)) !== 0;
  if (family === ULTRA) return (ultraModes & (1 << n)) !== 0;
  // PIO: the default mode, or flow control modes 0 to 4.
  return mode <= 1 || (family === 0x08 && n <= 4);
}

function identity(data: Uint8Array, serial: string, model: string): void {
  text(data, 10, 20, serial);
  text(data, 23, 8, '1.0');
  text(data, 27, 40, model);
}

function text(data: Uint8Array, word: number, length: number, value: string): void {
  for (let i = 0; i < length; i++) data[(word * 2 + i) ^ 1] = (value.charCodeAt(i) || 0x20) & 0x7f;
}
