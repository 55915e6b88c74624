// ACPI tables as they lie in memory. Section numbers are those of the ACPI specification 5.0, which a revision 5 FADT follows.
import { aligned, struct, type Type, u8, u16, u32, uint53 } from './layout.ts';

/** `size` bytes of ASCII, padded with NUL. */
const ascii = (size: number): Type<string> => ({
  size,
  align: 1,
  at: (o) => ({
    offset: o,
    get: (v, at) => {
      let text = '';
      for (let i = 0; i < size; i++) text += String.fromCharCode(v.getUint8(at + o + i));
      return text.replace(/\0+$/, '');
    },
    set: (v, at, x) => {
      for (let i = 0; i < size; i++) v.setUint8(at + o + i, i < x.length ? x.charCodeAt(i) : 0);
    },
  }),
});

/** Unsigned 64 bits where the table, which knows no alignment, happens to put them. */
const packed64 = aligned(uint53, 1);
const packed32 = aligned(u32, 1);
const packed16 = aligned(u16, 1);

/** Root System Description Pointer, 5.2.5.3. */
export const acpi_rsdp = struct(36, {
  signature: ascii(8),
  /** Over the first 20 bytes. */
  checksum: u8,
  oem_id: ascii(6),
  revision: u8,
  rsdt_address: packed32,
  length: packed32,
  xsdt_address: packed64,
  /** Over all of it. */
  extended_checksum: u8,
  reserved0: u8,
  reserved1: packed16,
});
export const RSDP_V1_BYTES = 20;

const HEADER = {
  signature: ascii(4),
  length: packed32,
  revision: u8,
  /** Makes the sum of all bytes of the table 0. */
  checksum: u8,
  oem_id: ascii(6),
  oem_table_id: ascii(8),
  oem_revision: packed32,
  creator_id: ascii(4),
  creator_revision: packed32,
} as const;

/** System Description Table Header, 5.2.6. In an XSDT the 64-bit addresses of the tables follow. */
export const acpi_header = struct(36, HEADER);

/** Fixed ACPI Description Table, 5.2.9, revision 5. Generic addresses (`x_`, `_reg`) are spread over their five members. */
const gas = <const N extends string>(name: N) =>
  ({
    [`${name}_space`]: u8,
    [`${name}_width`]: u8,
    [`${name}_offset`]: u8,
    [`${name}_access`]: u8,
    [`${name}_address`]: packed64,
  }) as Record<`${N}_space` | `${N}_width` | `${N}_offset` | `${N}_access`, Type<number>> & Record<`${N}_address`, Type<number>>;

export const acpi_fadt = struct(268, {
  ...HEADER,
  firmware_ctrl: packed32,
  dsdt: packed32,
  reserved0: u8,
  preferred_pm_profile: u8,
  sci_int: packed16,
  smi_cmd: packed32,
  acpi_enable: u8,
  acpi_disable: u8,
  s4bios_req: u8,
  pstate_cnt: u8,
  pm1a_evt_blk: packed32,
  pm1b_evt_blk: packed32,
  pm1a_cnt_blk: packed32,
  pm1b_cnt_blk: packed32,
  pm2_cnt_blk: packed32,
  pm_tmr_blk: packed32,
  gpe0_blk: packed32,
  gpe1_blk: packed32,
  pm1_evt_len: u8,
  pm1_cnt_len: u8,
  pm2_cnt_len: u8,
  pm_tmr_len: u8,
  gpe0_blk_len: u8,
  gpe1_blk_len: u8,
  gpe1_base: u8,
  cst_cnt: u8,
  p_lvl2_lat: packed16,
  p_lvl3_lat: packed16,
  flush_size: packed16,
  flush_stride: packed16,
  duty_offset: u8,
  duty_width: u8,
  day_alrm: u8,
  mon_alrm: u8,
  century: u8,
  iapc_boot_arch: packed16,
  reserved1: u8,
  flags: packed32,
  ...gas('reset_reg'),
  reset_value: u8,
  reserved2: u8,
  reserved3: packed16,
  x_firmware_ctrl: packed64,
  x_dsdt: packed64,
  ...gas('x_pm1a_evt'),
  ...gas('x_pm1b_evt'),
  ...gas('x_pm1a_cnt'),
  ...gas('x_pm1b_cnt'),
  ...gas('x_pm2_cnt'),
  ...gas('x_pm_tmr'),
  ...gas('x_gpe0'),
  ...gas('x_gpe1'),
  ...gas('sleep_control_reg'),
  ...gas('sleep_status_reg'),
});

/** FADT flags, table 5-35. */
export const FADT_FLAG = {
  wbinvd: 1 << 0,
  /** All processors have C1 (HLT). */
  procC1: 1 << 2,
  /** No fixed-hardware power button, no sleep button. */
  powerButton: 1 << 4,
  sleepButton: 1 << 5,
  /** The RTC wakes by an event of its own, not by PM1. */
  fixedRtc: 1 << 6,
  /** The PM timer has 32 bits. */
  timer32: 1 << 8,
  resetRegister: 1 << 10,
  platformClock: 1 << 15,
  hwReducedAcpi: 1 << 20,
} as const;
/** IA-PC boot architecture flags, table 5-36. */
export const FADT_BOOT = {
  legacyDevices: 1 << 0,
  i8042: 1 << 1,
  vgaNotPresent: 1 << 2,
  msiNotSupported: 1 << 3,
  cmosRtcNotPresent: 1 << 5,
} as const;

/** Multiple APIC Description Table, 5.2.12; the entries follow. */
export const acpi_madt = struct(44, { ...HEADER, lapic_address: packed32, flags: packed32 });

/** MADT flags: there is a pair of 8259s, too. */
export const MADT_PCAT_COMPAT = 1;

export const MADT_TYPE = { lapic: 0, ioapic: 1, override: 2 } as const;

/** Processor Local APIC, 5.2.12.2. `flags` bit 0: enabled. */
export const acpi_madt_lapic = struct(8, { type: u8, length: u8, processor_id: u8, apic_id: u8, flags: packed32 });

/** I/O APIC, 5.2.12.3. */
export const acpi_madt_ioapic = struct(12, {
  type: u8,
  length: u8,
  ioapic_id: u8,
  reserved: u8,
  address: packed32,
  gsi_base: packed32,
});

/** Interrupt Source Override, 5.2.12.5. */
export const acpi_madt_override = struct(10, { type: u8, length: u8, bus: u8, irq: u8, gsi: packed32, flags: packed16 });
/** Its flags: active high, level-triggered. */
export const OVERRIDE = { highLevel: 0x0d } as const;

/** Address spaces of a generic address, table 5-25. */
export const GAS_SPACE = { memory: 0, io: 1 } as const;

/** Firmware ACPI Control Structure, 5.2.10. */
export const acpi_facs = struct(64, {
  signature: ascii(4),
  length: u32,
  hardware_signature: u32,
  waking_vector: u32,
  global_lock: u32,
  flags: u32,
  x_waking_vector: uint53,
  version: u8,
  reserved0: u8,
  reserved1: u16,
  reserved2: u32,
  reserved3: ascii(24),
});

/** HPET description table: IA-PC HPET Specification 1.0a, 3.2.4. */
export const acpi_hpet = struct(56, {
  ...HEADER,
  timer_block_id: packed32,
  ...gas('address'),
  number: u8,
  minimum_tick: packed16,
  flags: u8,
});

/** Windows ACPI Emulated Devices Table 1.0. */
export const acpi_waet = struct(40, { ...HEADER, flags: packed32 });
export const WAET_FLAG = { rtcGood: 1 << 0, timerOneRead: 1 << 1 } as const;

/** What to put into a checksum byte that is 0 now, so that the sum of `bytes` is 0 modulo 256. */
export function acpiChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return -sum & 0xff;
}
