// The configuration header of type 0: PCI Local Bus Specification 3.0, section 6.1.

export const PCI_CONFIG_BYTES = 256;

export const PCI = {
  vendorId: 0x00,
  deviceId: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  classCode: 0x09,
  cacheLine: 0x0c,
  latency: 0x0d,
  headerType: 0x0e,
  bar: 0x10,
  subsystemVendorId: 0x2c,
  subsystemId: 0x2e,
  rom: 0x30,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
} as const;

export const PCI_BARS = 6;

/** Command register, 6.2.2. */
export const COMMAND = { io: 1 << 0, memory: 1 << 1, master: 1 << 2, serr: 1 << 8, interruptDisable: 1 << 10 } as const;

/** Status register, 6.2.3. */
export const STATUS = { interrupt: 1 << 3, capabilities: 1 << 4 } as const;
