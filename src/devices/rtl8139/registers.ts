// Registers of Realtek's RTL8139C (RTL8139C datasheet 1.4, sections 5 and 6.6).

export const REG = {
  id: 0x00,
  multicast: 0x08,
  txStatus: 0x10,
  txAddress: 0x20,
  rxBuffer: 0x30,
  earlyCount: 0x34,
  earlyStatus: 0x36,
  command: 0x37,
  rxRead: 0x38,
  rxWrite: 0x3a,
  mask: 0x3c,
  status: 0x3e,
  txConfig: 0x40,
  rxConfig: 0x44,
  timer: 0x48,
  missed: 0x4c,
  eeprom: 0x50,
  config0: 0x51,
  config1: 0x52,
  timerInterrupt: 0x54,
  mediaStatus: 0x58,
  config3: 0x59,
  config4: 0x5a,
  revision: 0x5e,
  txSummary: 0x60,
  bmcr: 0x62,
  bmsr: 0x64,
  advertisement: 0x66,
  partner: 0x68,
  expansion: 0x6a,
  linkTest: 0x74,
} as const;
export const REGISTER_BYTES = 0x100;

export const COMMAND = { empty: 1 << 0, transmit: 1 << 2, receive: 1 << 3, reset: 1 << 4 } as const;
export const INTERRUPT = {
  received: 1 << 0,
  sent: 1 << 2,
  sendError: 1 << 3,
  overflow: 1 << 4,
  link: 1 << 5,
  timeout: 1 << 14,
  all: 0xe07f,
} as const;
export const TX = { size: 0x1fff, own: 1 << 13, ok: 1 << 15, aborted: 1 << 30, most: 1792 } as const;
export const TX_DESCRIPTORS = 4;
export const TX_CONFIG = { loopback: 3 << 17, clearAbort: 1 << 0, writable: 0x0306_07f0, version: 0x7400_0000 } as const;
export const RX_CONFIG = {
  promiscuous: 1 << 0,
  own: 1 << 1,
  multicast: 1 << 2,
  broadcast: 1 << 3,
  runts: 1 << 4,
  noWrap: 1 << 7,
  lengthShift: 11,
  writable: 0x0f03_ffbf,
} as const;
/** In front of each frame that was received. */
export const RX_HEADER = { bytes: 4, ok: 1 << 0, broadcast: 1 << 13, own: 1 << 14, multicast: 1 << 15 } as const;
export const FCS_BYTES = 4;
export const LINK = { bmsrUp: 1 << 2, msrDown: 1 << 2 } as const;
