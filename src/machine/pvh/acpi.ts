// The ACPI tables of a PVH domain: hardware-reduced, for there is no ACPI hardware at all. What real Xen's toolstack
// says of a PVH guest, we say, too: local APICs with even ids, no VGA, no 8042, no CMOS clock.
import {
  acpi_fadt,
  acpi_header,
  acpi_madt,
  acpi_madt_ioapic,
  acpi_madt_lapic,
  acpi_rsdp,
  acpiChecksum,
  FADT_BOOT,
  FADT_FLAG,
  MADT_TYPE,
  RSDP_V1_BYTES,
} from '../../abi/acpi.ts';
import type { Field } from '../../abi/layout.ts';
import { type Gpa, PAGE_SIZE } from '../../abi/types.ts';
import { type Aml, device, name, scope } from './aml.ts';
import { MachineError } from './machine-error.ts';
import { ACPI_TABLES_GPA, IOAPIC_PAGE_GPA, LAPIC_PAGE_GPA } from './memory-map.ts';

/** HVM_MAX_VCPUS: the ids of more would not fit the 8 bits of a MADT entry. */
export const MAX_VCPUS = 128;
/** APIC id of a vCPU on Xen. */
export const apicIdOf = (vcpu: number): number => vcpu * 2;
/** Odd, so no local APIC has it. */
export const IOAPIC_ID = 1;

export const OEM = { oem_id: 'Xen', oem_table_id: 'HVM', oem_revision: 0, creator_id: 'dom1', creator_revision: 1 } as const;

export interface AcpiConfig {
  /** 1..MAX_VCPUS. */
  readonly vcpus: number;
  /** Present the I/O APIC at 0xfec00000, GSI 0 to 23. Real Xen's PVH guests have none. */
  readonly ioapic: boolean;
}

export interface AcpiImage {
  /** Where `data` goes: page-aligned. */
  readonly at: Gpa;
  /** Whole pages. */
  readonly data: Uint8Array;
  readonly rsdpGpa: Gpa;
}

/** Builds all tables, to be loaded at `at` (page-aligned), the RSDP in the last page. @throws MachineError too-many-vcpus. */
export function buildAcpi(config: AcpiConfig, at: Gpa = ACPI_TABLES_GPA): AcpiImage {
  const { vcpus } = config;
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS) {
    throw new MachineError('too-many-vcpus', `${vcpus} vCPUs cannot be presented`, `give 1 to ${MAX_VCPUS}`);
  }
  const tables: { gpa: Gpa; bytes: Uint8Array }[] = [];
  let next: number = at;
  const place = (bytes: Uint8Array, align = 16): Gpa => {
    const gpa = (Math.ceil(next / align) * align) as Gpa;
    tables.push({ gpa, bytes });
    next = gpa + bytes.length;
    return gpa;
  };
  const dsdt = place(buildDsdt(vcpus));
  const fadt = place(buildFadt(dsdt));
  const madt = place(buildMadt(config));
  const xsdt = place(buildXsdt([fadt, madt]));
  const rsdpGpa = place(buildRsdp(xsdt), PAGE_SIZE);
  const data = new Uint8Array(Math.ceil((next - at) / PAGE_SIZE) * PAGE_SIZE);
  for (const { gpa, bytes } of tables) data.set(bytes, gpa - at);
  return { at, data, rsdpGpa };
}

type Values<S> = { readonly [K in keyof S as S[K] extends Field<infer _> ? K : never]?: S[K] extends Field<infer V> ? V : never };

export function fill<S extends object>(layout: S, view: DataView, at: number, values: Values<S>): void {
  for (const [key, value] of Object.entries(values)) {
    (layout[key as keyof S] as Field<unknown>).set(view, at, value);
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Completes the header of a table: length, origin, checksum. */
export function seal(bytes: Uint8Array, signature: string, revision: number): Uint8Array {
  const view = viewOf(bytes);
  fill(acpi_header, view, 0, { signature, revision, length: bytes.length, checksum: 0, ...OEM });
  acpi_header.checksum.set(view, 0, acpiChecksum(bytes));
  return bytes;
}

/** One processor device a vCPU, its _UID the processor id of its MADT entry (ACPI 8.4). */
function buildDsdt(vcpus: number): Uint8Array {
  const processor = (id: number): Aml =>
    device(`C${id.toString(16).toUpperCase().padStart(3, '0')}`, name('_HID', 'ACPI0007'), name('_UID', id));
  const body = scope('_SB', ...Array.from({ length: vcpus }, (_, id) => processor(id)));
  const bytes = new Uint8Array(acpi_header.sizeof + body.length);
  bytes.set(body, acpi_header.sizeof);
  // Revision 2: integers have 64 bits.
  return seal(bytes, 'DSDT', 2);
}

function buildFadt(dsdt: Gpa): Uint8Array {
  const bytes = new Uint8Array(acpi_fadt.sizeof);
  fill(acpi_fadt, viewOf(bytes), 0, {
    dsdt,
    x_dsdt: dsdt,
    // Linux looks at these: no CMOS clock device, no VGA probe, and, by the absence of the bit, no 8042.
    iapc_boot_arch: FADT_BOOT.vgaNotPresent | FADT_BOOT.cmosRtcNotPresent,
    // No PM1, GPE, FACS or SCI; both buttons "not fixed hardware", so that nobody looks for them.
    flags: FADT_FLAG.wbinvd | FADT_FLAG.procC1 | FADT_FLAG.powerButton | FADT_FLAG.sleepButton | FADT_FLAG.hwReducedAcpi,
  });
  return seal(bytes, 'FACP', 5);
}

function buildMadt(config: AcpiConfig): Uint8Array {
  const ioapicBytes = config.ioapic ? acpi_madt_ioapic.sizeof : 0;
  const bytes = new Uint8Array(acpi_madt.sizeof + config.vcpus * acpi_madt_lapic.sizeof + ioapicBytes);
  const view = viewOf(bytes);
  // Flags 0: there is no pair of 8259s.
  fill(acpi_madt, view, 0, { lapic_address: LAPIC_PAGE_GPA, flags: 0 });
  let at = acpi_madt.sizeof;
  for (let vcpu = 0; vcpu < config.vcpus; vcpu++) {
    fill(acpi_madt_lapic, view, at, {
      type: MADT_TYPE.lapic,
      length: acpi_madt_lapic.sizeof,
      processor_id: vcpu,
      apic_id: apicIdOf(vcpu),
      flags: 1,
    });
    at += acpi_madt_lapic.sizeof;
  }
  if (config.ioapic) {
    fill(acpi_madt_ioapic, view, at, {
      type: MADT_TYPE.ioapic,
      length: acpi_madt_ioapic.sizeof,
      ioapic_id: IOAPIC_ID,
      address: IOAPIC_PAGE_GPA,
      gsi_base: 0,
    });
  }
  return seal(bytes, 'APIC', 3);
}

function buildXsdt(tables: readonly Gpa[]): Uint8Array {
  const bytes = new Uint8Array(acpi_header.sizeof + tables.length * 8);
  const view = viewOf(bytes);
  for (const [i, gpa] of tables.entries()) view.setBigUint64(acpi_header.sizeof + i * 8, BigInt(gpa), true);
  return seal(bytes, 'XSDT', 1);
}

function buildRsdp(xsdt: Gpa): Uint8Array {
  const bytes = new Uint8Array(acpi_rsdp.sizeof);
  const view = viewOf(bytes);
  fill(acpi_rsdp, view, 0, { signature: 'RSD PTR ', oem_id: OEM.oem_id, revision: 2, length: bytes.length, xsdt_address: xsdt });
  acpi_rsdp.checksum.set(view, 0, acpiChecksum(bytes.subarray(0, RSDP_V1_BYTES)));
  acpi_rsdp.extended_checksum.set(view, 0, acpiChecksum(bytes));
  return bytes;
}
