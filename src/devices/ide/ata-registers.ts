// The registers of an ATA device and the commands that ours know: ATA/ATAPI-6 (T13/1410D) clauses 7 and 8.

/** Offsets in the command block, 7.2 onwards. */
export const REG = {
  data: 0,
  /** Error when read, features when written. */
  error: 1,
  count: 2,
  lbaLow: 3,
  lbaMid: 4,
  lbaHigh: 5,
  device: 6,
  /** Status when read, command when written. */
  status: 7,
} as const;

/** Status register, 7.15. */
export const STATUS = { err: 0x01, drq: 0x08, dsc: 0x10, df: 0x20, drdy: 0x40, bsy: 0x80 } as const;

/** Error register, 7.9. */
export const ERROR = { abrt: 0x04, idnf: 0x10, unc: 0x40 } as const;

/** Device control register, 7.8. */
export const CONTROL = { nien: 0x02, srst: 0x04, hob: 0x80 } as const;

/** Device register, 7.7: the obsolete bits 5 and 7 read as ones. */
export const DEVICE = { head: 0x0f, second: 0x10, lba: 0x40, obsolete: 0xa0 } as const;

/** Clause 8. */
export const COMMAND = {
  deviceReset: 0x08,
  recalibrate: 0x10,
  readSectors: 0x20,
  readSectorsNoRetry: 0x21,
  readSectorsExt: 0x24,
  readDmaExt: 0x25,
  readNativeMaxExt: 0x27,
  readMultipleExt: 0x29,
  writeSectors: 0x30,
  writeSectorsNoRetry: 0x31,
  writeSectorsExt: 0x34,
  writeDmaExt: 0x35,
  writeMultipleExt: 0x39,
  readVerify: 0x40,
  readVerifyNoRetry: 0x41,
  readVerifyExt: 0x42,
  seek: 0x70,
  diagnostic: 0x90,
  initializeParameters: 0x91,
  packet: 0xa0,
  identifyPacket: 0xa1,
  readMultiple: 0xc4,
  writeMultiple: 0xc5,
  setMultiple: 0xc6,
  readDma: 0xc8,
  readDmaNoRetry: 0xc9,
  writeDma: 0xca,
  writeDmaNoRetry: 0xcb,
  standbyImmediate: 0xe0,
  idleImmediate: 0xe1,
  standby: 0xe2,
  idle: 0xe3,
  checkPower: 0xe5,
  sleep: 0xe6,
  flush: 0xe7,
  flushExt: 0xea,
  identify: 0xec,
  setFeatures: 0xef,
  readNativeMax: 0xf8,
} as const;

/** SET FEATURES subcommands, 8.46. */
export const FEATURE = { enableCache: 0x02, transferMode: 0x03, lookAhead: 0xaa, disableCache: 0x82, noLookAhead: 0x55 } as const;
