// Registers and structures in memory of an AHCI controller: Serial ATA Advanced Host Controller Interface 1.3.1 (below: AHCI), clauses 3 and 4.

/** Generic host control, 3.1. */
export const HBA = { cap: 0x00, ghc: 0x04, is: 0x08, pi: 0x0c, vs: 0x10 } as const;

/** HBA capabilities, 3.1.1. */
export const CAP = {
  /** A port's generation 2: 3 Gb/s. */
  generation2: 2 << 20,
  slotsShift: 8,
  ahciOnly: 1 << 18,
  commandListOverride: 1 << 24,
  addresses64: 0x8000_0000,
} as const;

/** Global HBA control, 3.1.2. */
export const GHC = { reset: 1 << 0, interrupts: 1 << 1, ahci: 0x8000_0000 } as const;

export const VERSION_1_3_1 = 0x0001_0301;

/** Where the ports are, and how far apart (3.3). */
export const PORTS = { at: 0x100, bytes: 0x80, most: 32 } as const;

/** Port registers, 3.3. */
export const PORT = {
  commandList: 0x00,
  commandListHigh: 0x04,
  fis: 0x08,
  fisHigh: 0x0c,
  is: 0x10,
  ie: 0x14,
  cmd: 0x18,
  tfd: 0x20,
  sig: 0x24,
  ssts: 0x28,
  sctl: 0x2c,
  serr: 0x30,
  sact: 0x34,
  ci: 0x38,
} as const;

/** Port interrupt status, 3.3.5; the enable register has the same bits. */
export const IS = {
  d2h: 1 << 0,
  pioSetup: 1 << 1,
  descriptor: 1 << 5,
  connectChange: 1 << 6,
  phyReady: 1 << 22,
  overflow: 1 << 24,
  interfaceFatal: 1 << 27,
  hostBusFatal: 1 << 29,
  taskFile: 1 << 30,
} as const;
/** Of the enable register: what can happen here (3.3.6). */
export const INTERRUPTS: number = Object.values(IS).reduce((all, bit) => all | bit, 0);

/** Port command and status, 3.3.7. */
export const CMD = {
  start: 1 << 0,
  spinUp: 1 << 1,
  powerOn: 1 << 2,
  override: 1 << 3,
  fisReceive: 1 << 4,
  slotShift: 8,
  fisRunning: 1 << 14,
  running: 1 << 15,
  atapi: 1 << 24,
} as const;

/** Device detection in PxSCTL (3.3.11) and PxSSTS (3.3.10). */
export const DETECT = { mask: 15, reset: 1, present: 3, offline: 4 } as const;
/** PxSSTS: interface power management, active. */
export const LINK_ACTIVE = 1 << 8;
export const SPEED_SHIFT = 4;

/** Diagnostics in PxSERR, 3.3.12: the PHY's readiness has changed, a device has come. */
export const SERR = { phyReady: 1 << 16, exchanged: 1 << 26 } as const;

/** What a port without a device shows (3.3.8, 3.3.9). */
export const NOBODY = { status: 0x7f, signature: 0xffff_ffff } as const;

export const SLOTS = 32;

/** A command header, 4.2.2. */
export const HEADER = { bytes: 32, prdByteCount: 4, table: 8, tableHigh: 12 } as const;
export const HEADER_FLAGS = { fisWords: 31, atapi: 1 << 5, clearBusy: 1 << 10, prdsShift: 16 } as const;

/** A command table, 4.2.3. */
export const TABLE = { fis: 0, atapi: 0x40, prds: 0x80, align: 128 } as const;

/** A physical region descriptor, 4.2.3.3. */
export const PRD = { bytes: 16, addressHigh: 4, count: 12, countMask: 0x3f_ffff, interrupt: 0x8000_0000 } as const;

/** Where received FISes go, 4.2.1. */
export const RECEIVED = { pioSetup: 0x20, d2h: 0x40 } as const;
