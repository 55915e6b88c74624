// The tables that hvmloader gives an HVM guest: ACPI's (tools/libacpi of Xen: RSDP, RSDT, XSDT, FADT with FACS, MADT, HPET, WAET, DSDT)
// and behind them SMBIOS.
import {
  acpi_facs,
  acpi_fadt,
  acpi_hpet,
  acpi_madt,
  acpi_madt_ioapic,
  acpi_madt_lapic,
  acpi_madt_override,
  acpi_rsdp,
  acpi_waet,
  acpiChecksum,
  FADT_BOOT,
  FADT_FLAG,
  GAS_SPACE,
  MADT_PCAT_COMPAT,
  MADT_TYPE,
  OVERRIDE,
  RSDP_V1_BYTES,
  WAET_FLAG,
} from '../../abi/acpi.ts';
import { type Gpa, PAGE_SIZE } from '../../abi/types.ts';
import { ACPI_GPE0, PM_TIMER, PM1A_CONTROL, PM1A_EVENT } from '../../devices/pc/acpi-pm.ts';
import { HPET_MMIO, HPET_VENDOR } from '../../devices/pc/hpet-place.ts';
import { XEN_VERSION } from '../../xen/calls/version-op.ts';
import { apicIdOf, fill, OEM, seal, viewOf } from '../pvh/acpi.ts';
import { IOAPIC_PAGE_GPA, LAPIC_PAGE_GPA } from '../pvh/memory-map.ts';
import { buildDsdt } from './dsdt.ts';
import { buildSmbios } from './smbios.ts';

/** Xen's HVM guests have it at an even number; local APICs are even, too, but from 0. */
export const HVM_IOAPIC_ID = 1;
const SCI_IRQ = 9;
/** Level-triggered and active high, as Xen has its PCI interrupts (MADT, 5.2.12.5, table 5-50). */
const LEVEL_IRQS = [5, 9, 10, 11] as const;
const RESET_PORT = 0xcf9;
const RESET_VALUE = 6;
const CENTURY = 0x32;
/** More than 100 and 1000: there is no C2 or C3. */
const NO_C_STATE = 0x0fff;

export interface HvmTablesConfig {
  readonly vcpus: number;
  readonly at: Gpa;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  readonly ramBytes: number;
}

export interface HvmTables {
  /** Whole pages, to lie at `at`. */
  readonly data: Uint8Array;
  /** What the BIOS is to copy to where software looks: the RSDP, the SMBIOS anchor. */
  readonly roots: readonly number[];
}

export function buildHvmTables({ vcpus, at, uuid, ramBytes }: HvmTablesConfig): HvmTables {
  const placed: { gpa: number; bytes: Uint8Array }[] = [];
  let next: number = at;
  const place = (bytes: Uint8Array, align = 16): number => {
    const gpa = Math.ceil(next / align) * align;
    placed.push({ gpa, bytes });
    next = gpa + bytes.length;
    return gpa;
  };
  const facs = place(buildFacs(), 64);
  const dsdt = place(seal(buildDsdt({ vcpus }), 'DSDT', 2));
  const tables = [place(buildFadt(facs, dsdt)), place(buildMadt(vcpus)), place(buildHpet()), place(buildWaet())];
  const rsdt = place(pointers(tables, 'RSDT', 4));
  const xsdt = place(pointers(tables, 'XSDT', 8));
  const rsdp = place(buildRsdp(rsdt, xsdt));
  const smbios = Math.ceil(next / 16) * 16;
  place(buildSmbios({ at: smbios, uuid, ramBytes, xenVersion: `${XEN_VERSION.major}.${XEN_VERSION.minor}.0` }));
  const data = new Uint8Array(Math.ceil((next - at) / PAGE_SIZE) * PAGE_SIZE);
  for (const { gpa, bytes } of placed) data.set(bytes, gpa - at);
  return { data, roots: [rsdp, smbios] };
}

function buildFacs(): Uint8Array {
  const bytes = new Uint8Array(acpi_facs.sizeof);
  fill(acpi_facs, viewOf(bytes), 0, { signature: 'FACS', length: bytes.length, version: 1 });
  return bytes;
}

function buildFadt(facs: number, dsdt: number): Uint8Array {
  const bytes = new Uint8Array(acpi_fadt.sizeof);
  const io = { space: GAS_SPACE.io, offset: 0, access: 0 };
  fill(acpi_fadt, viewOf(bytes), 0, {
    firmware_ctrl: facs,
    dsdt,
    x_dsdt: dsdt,
    sci_int: SCI_IRQ,
    pm1a_evt_blk: PM1A_EVENT,
    pm1a_cnt_blk: PM1A_CONTROL,
    pm_tmr_blk: PM_TIMER,
    gpe0_blk: ACPI_GPE0.at,
    pm1_evt_len: 4,
    pm1_cnt_len: 2,
    pm_tmr_len: 4,
    gpe0_blk_len: ACPI_GPE0.size,
    p_lvl2_lat: NO_C_STATE,
    p_lvl3_lat: NO_C_STATE,
    century: CENTURY,
    iapc_boot_arch: FADT_BOOT.legacyDevices | FADT_BOOT.i8042,
    // No SMI command: ACPI is on from the start. The buttons are fixed hardware.
    flags:
      FADT_FLAG.wbinvd |
      FADT_FLAG.procC1 |
      FADT_FLAG.fixedRtc |
      FADT_FLAG.timer32 |
      FADT_FLAG.resetRegister |
      FADT_FLAG.platformClock,
    reset_reg_space: io.space,
    reset_reg_width: 8,
    reset_reg_address: RESET_PORT,
    reset_value: RESET_VALUE,
    x_pm1a_evt_space: io.space,
    x_pm1a_evt_width: 32,
    x_pm1a_evt_address: PM1A_EVENT,
    x_pm1a_cnt_space: io.space,
    x_pm1a_cnt_width: 16,
    x_pm1a_cnt_address: PM1A_CONTROL,
    x_pm_tmr_space: io.space,
    x_pm_tmr_width: 32,
    x_pm_tmr_address: PM_TIMER,
    x_gpe0_space: io.space,
    x_gpe0_width: ACPI_GPE0.size * 8,
    x_gpe0_address: ACPI_GPE0.at,
  });
  return seal(bytes, 'FACP', 4);
}

function buildMadt(vcpus: number): Uint8Array {
  const overrides = [{ irq: 0, gsi: 2, flags: 0 }, ...LEVEL_IRQS.map((irq) => ({ irq, gsi: irq, flags: OVERRIDE.highLevel }))];
  const size =
    acpi_madt.sizeof + vcpus * acpi_madt_lapic.sizeof + acpi_madt_ioapic.sizeof + overrides.length * acpi_madt_override.sizeof;
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  fill(acpi_madt, view, 0, { lapic_address: LAPIC_PAGE_GPA, flags: MADT_PCAT_COMPAT });
  let at = acpi_madt.sizeof;
  for (const { irq, gsi, flags } of overrides) {
    fill(acpi_madt_override, view, at, { type: MADT_TYPE.override, length: acpi_madt_override.sizeof, bus: 0, irq, gsi, flags });
    at += acpi_madt_override.sizeof;
  }
  fill(acpi_madt_ioapic, view, at, {
    type: MADT_TYPE.ioapic,
    length: acpi_madt_ioapic.sizeof,
    ioapic_id: HVM_IOAPIC_ID,
    address: IOAPIC_PAGE_GPA,
  });
  at += acpi_madt_ioapic.sizeof;
  for (let vcpu = 0; vcpu < vcpus; vcpu++, at += acpi_madt_lapic.sizeof) {
    const entry = {
      type: MADT_TYPE.lapic,
      length: acpi_madt_lapic.sizeof,
      processor_id: vcpu,
      apic_id: apicIdOf(vcpu),
      flags: 1,
    };
    fill(acpi_madt_lapic, view, at, entry);
  }
  return seal(bytes, 'APIC', 2);
}

function buildHpet(): Uint8Array {
  const bytes = new Uint8Array(acpi_hpet.sizeof);
  fill(acpi_hpet, viewOf(bytes), 0, { timer_block_id: HPET_VENDOR, address_address: HPET_MMIO.at });
  return seal(bytes, 'HPET', 1);
}

/** Windows need not acknowledge the RTC's interrupt, and may read the PM timer once (Windows ACPI Emulated Devices Table). */
function buildWaet(): Uint8Array {
  const bytes = new Uint8Array(acpi_waet.sizeof);
  fill(acpi_waet, viewOf(bytes), 0, { flags: WAET_FLAG.timerOneRead });
  return seal(bytes, 'WAET', 1);
}

/** RSDT or XSDT: the addresses of the tables, 4 or 8 bytes each. */
function pointers(tables: readonly number[], signature: 'RSDT' | 'XSDT', width: 4 | 8): Uint8Array {
  const bytes = new Uint8Array(36 + tables.length * width);
  const view = viewOf(bytes);
  for (const [i, gpa] of tables.entries()) view.setUint32(36 + i * width, gpa, true);
  return seal(bytes, signature, 1);
}

function buildRsdp(rsdt: number, xsdt: number): Uint8Array {
  const bytes = new Uint8Array(acpi_rsdp.sizeof);
  const view = viewOf(bytes);
  const values = {
    signature: 'RSD PTR ',
    oem_id: OEM.oem_id,
    revision: 2,
    rsdt_address: rsdt,
    length: bytes.length,
    xsdt_address: xsdt,
  };
  fill(acpi_rsdp, view, 0, values);
  acpi_rsdp.checksum.set(view, 0, acpiChecksum(bytes.subarray(0, RSDP_V1_BYTES)));
  acpi_rsdp.extended_checksum.set(view, 0, acpiChecksum(bytes));
  return bytes;
}
