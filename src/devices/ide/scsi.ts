// Packets and sense data of a CD-ROM drive: SPC-3 and MMC-4 (INCITS 408, 401).

export const PACKET_BYTES = 12;
export const SENSE_BYTES = 18;
/** Bytes a sector of a data CD. */
export const CD_SECTOR = 2048;

/** Operation codes. */
export const OP = {
  testUnitReady: 0x00,
  requestSense: 0x03,
  inquiry: 0x12,
  modeSense6: 0x1a,
  startStopUnit: 0x1b,
  preventRemoval: 0x1e,
  readFormatCapacities: 0x23,
  readCapacity: 0x25,
  read10: 0x28,
  seek10: 0x2b,
  readSubchannel: 0x42,
  readToc: 0x43,
  getConfiguration: 0x46,
  getEventStatus: 0x4a,
  readDiscInformation: 0x51,
  modeSense10: 0x5a,
  read12: 0xa8,
  mechanismStatus: 0xbd,
  readCd: 0xbe,
} as const;

/** Why a packet failed: sense key, additional code and its qualifier (SPC-3 4.5.6, annex D). */
export interface Sense {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

const sense = (key: number, asc: number, ascq = 0): Sense => ({ key, asc, ascq });
export const SENSE = {
  none: sense(0, 0),
  noMedium: sense(2, 0x3a),
  unreadable: sense(3, 0x11),
  unknownPacket: sense(5, 0x20),
  beyondEnd: sense(5, 0x21),
  badField: sense(5, 0x24),
  wrongMode: sense(5, 0x64),
  removalPrevented: sense(5, 0x53, 2),
  mediumChanged: sense(6, 0x28),
} as const;

/** Fixed format, current error. */
export function senseData({ key, asc, ascq }: Sense): Uint8Array {
  const data = new Uint8Array(SENSE_BYTES);
  data.set([0x70, 0, key]);
  data[7] = SENSE_BYTES - 8;
  data[12] = asc;
  data[13] = ascq;
  return data;
}

/** The first bytes of a data CD's lead-in: one data track that begins at sector 0. `msf`: addresses as minute, second, frame. */
export function tableOfContents(sectors: number, format: number, msf: boolean, firstTrack: number): Uint8Array | undefined {
  const LEAD_OUT = 0xaa;
  const DATA_TRACK = 0x14;
  const address = (sector: number): number[] => {
    if (!msf) return be32(sector);
    const frames = sector + 150;
    return [0, Math.floor(frames / 75 / 60) & 0xff, Math.floor(frames / 75) % 60, frames % 75];
  };
  const entry = (track: number, sector: number): number[] => [0, DATA_TRACK, track, 0, ...address(sector)];
  switch (format) {
    case 0: {
      if (firstTrack > 1 && firstTrack !== LEAD_OUT) return undefined;
      return lengthFirst([1, 1, ...(firstTrack <= 1 ? entry(1, 0) : []), ...entry(LEAD_OUT, sectors)]);
    }
    case 1:
      return lengthFirst([1, 1, ...entry(1, 0)]);
    case 2: {
      // Of the lead-in: first and last track, lead-out, and the track itself.
      const point = (number: number, place: readonly number[]): number[] => [1, DATA_TRACK, 0, number, 0, 0, 0, ...place];
      const tracks = [...point(0xa0, [0, 1, 0, 0]), ...point(0xa1, [0, 1, 0, 0])];
      return lengthFirst([1, 1, ...tracks, ...point(0xa2, address(sectors)), ...point(1, address(0))]);
    }
    default:
      return undefined;
  }
}

/** GET CONFIGURATION (MMC-4 6.6): a DVD-ROM drive with its core features. */
export function configuration(sectors: number, request: number, from: number): Uint8Array {
  const CD_ROM = 0x0008;
  const DVD_ROM = 0x0010;
  // A disc that no CD can hold is a DVD.
  const dvd = sectors > 405_000;
  const current = sectors === 0 ? 0 : dvd ? DVD_ROM : CD_ROM;
  const features: readonly (readonly [code: number, bytes: readonly number[], isCurrent: boolean])[] = [
    [0x0000, [...be16(DVD_ROM), dvd ? 1 : 0, 0, ...be16(CD_ROM), current === CD_ROM ? 1 : 0, 0], true],
    [0x0001, [...be32(2), 1, 0, 0, 0], true],
    [0x0003, [0x29, 0, 0, 0], true],
    [0x0010, [...be32(CD_SECTOR), ...be16(1), 0, 0], sectors > 0],
    [0x001e, [0, 0, 0, 0], current === CD_ROM],
    [0x001f, [0, 0, 0, 0], current === DVD_ROM],
  ];
  const wanted = features.filter(([code, , on]) => (request === 2 ? code === from : code >= from) && (request !== 1 || on));
  const body = wanted.flatMap(([code, bytes, on]) => [...be16(code), 0x02 | (on ? 1 : 0), bytes.length, ...bytes]);
  return Uint8Array.from([...be32(body.length + 4), 0, 0, ...be16(current), ...body]);
}

/** A mode page of the drive's present values, or undefined when it has no such page. 0x3f: all. */
export function modePages(page: number, locked: boolean): number[] | undefined {
  const pages: Readonly<Record<number, readonly number[]>> = {
    // Read error recovery.
    0x01: [0x01, 0x06, 0, 5, 0, 0, 0, 0],
    // Audio control, which nothing is behind.
    0x0e: [0x0e, 0x0e, 4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0],
    // Capabilities: reads CD-R, CD-RW and DVD-ROM; a tray that can be locked.
    0x2a: [0x2a, 0x12, 0x0b, 0, 0x70, 0x20, 0x29 | (locked ? 2 : 0), 0, 0x16, 0, 0, 2, 0, 0x80, 0x16, 0, 0, 0, 0, 0],
  };
  if (page === 0x3f) return Object.values(pages).flat();
  const one = pages[page];
  return one === undefined ? undefined : [...one];
}

/** Data that begin with the number of bytes that follow, in 16 bits. */
const lengthFirst = (bytes: readonly number[]): Uint8Array => Uint8Array.from([...be16(bytes.length), ...bytes]);

export const be16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
export const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value & 0xffff)];
