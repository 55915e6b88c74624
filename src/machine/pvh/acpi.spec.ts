import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  acpi_fadt,
  acpi_header,
  acpi_madt,
  acpi_madt_ioapic,
  acpi_madt_lapic,
  acpi_rsdp,
  FADT_BOOT,
  FADT_FLAG,
  RSDP_V1_BYTES,
} from '../../abi/acpi.ts';
import { type AcpiConfig, buildAcpi, MAX_VCPUS } from './acpi.ts';
import { ACPI_TABLES_GPA } from './memory-map.ts';

/** Follows the pointers from the RSDP as an operating system does. */
function parse(config: AcpiConfig) {
  const image = buildAcpi(config);
  const view = new DataView(image.data.buffer);
  const offset = (gpa: number): number => gpa - image.at;
  const table = (gpa: number) => {
    const at = offset(gpa);
    const header = acpi_header.read(view, at);
    return { at, header, bytes: image.data.slice(at, at + header.length) };
  };
  const rsdpAt = offset(image.rsdpGpa);
  const rsdp = acpi_rsdp.read(view, rsdpAt);
  const xsdt = table(rsdp.xsdt_address);
  const pointers = Array.from({ length: (xsdt.header.length - acpi_header.sizeof) / 8 }, (_, i) =>
    Number(view.getBigUint64(xsdt.at + acpi_header.sizeof + i * 8, true)),
  );
  const tables = new Map(pointers.map((gpa) => [table(gpa).header.signature, table(gpa)]));
  const fadt = acpi_fadt.read(view, (tables.get('FACP') as { at: number }).at);
  tables.set('DSDT', table(fadt.x_dsdt));
  return { image, view, rsdp, rsdpAt, xsdt, tables, fadt };
}

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

describe('RSDP (ACPI 5.2.5.3)', () => {
  const { image, rsdp, rsdpAt } = parse({ vcpus: 1, ioapic: true });

  it('has the signature, revision 2 and both checksums', () => {
    expect(rsdp.signature).toBe('RSD PTR ');
    expect(rsdp.revision).toBe(2);
    expect(rsdp.length).toBe(36);
    expect(sum(image.data.slice(rsdpAt, rsdpAt + RSDP_V1_BYTES))).toBe(0);
    expect(sum(image.data.slice(rsdpAt, rsdpAt + 36))).toBe(0);
  });

  it('lies behind the tables, which begin where Xen puts them', () => {
    expect(image.at).toBe(ACPI_TABLES_GPA);
    expect(image.rsdpGpa % 4096).toBe(0);
    expect(image.data.length % 4096).toBe(0);
  });
});

describe('tables (ACPI 5.2.6)', () => {
  it.each([1, 2, 15, MAX_VCPUS])('have valid checksums with %i vCPUs', (vcpus) => {
    const { xsdt, tables } = parse({ vcpus, ioapic: true });
    expect(sum(xsdt.bytes)).toBe(0);
    expect([...tables.keys()].sort()).toEqual(['APIC', 'DSDT', 'FACP']);
    for (const { bytes, header } of tables.values()) {
      expect(sum(bytes)).toBe(0);
      expect(header.oem_id).toBe('Xen');
    }
  });

  it('do not overlap each other', () => {
    const { rsdpAt, xsdt, tables } = parse({ vcpus: MAX_VCPUS, ioapic: true });
    const ranges = [...tables.values(), xsdt].map((t) => [t.at, t.at + t.header.length] as const).sort((a, b) => a[0] - b[0]);
    for (const [i, [start]] of ranges.entries()) expect(start).toBeGreaterThanOrEqual(ranges[i - 1]?.[1] ?? 0);
    expect(rsdpAt).toBeGreaterThanOrEqual(ranges.at(-1)?.[1] ?? 0);
  });

  it('refuse a number of vCPUs that a MADT cannot name', () => {
    expect(() => buildAcpi({ vcpus: 0, ioapic: true })).toThrow(/give 1 to 128/);
    expect(() => buildAcpi({ vcpus: MAX_VCPUS + 1, ioapic: true })).toThrow(/give 1 to 128/);
  });
});

describe('FADT (ACPI 5.2.9)', () => {
  const { fadt } = parse({ vcpus: 1, ioapic: true });

  it('is hardware-reduced, of revision 5, with no ACPI hardware in it', () => {
    expect(fadt.revision).toBe(5);
    expect(fadt.length).toBe(268);
    expect(fadt.flags & FADT_FLAG.hwReducedAcpi).not.toBe(0);
    expect([fadt.pm1a_evt_blk, fadt.pm1a_cnt_blk, fadt.pm_tmr_blk, fadt.gpe0_blk, fadt.smi_cmd, fadt.sci_int]).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
  });

  it('names what a PVH guest has not: VGA, CMOS clock, 8042', () => {
    expect(fadt.iapc_boot_arch).toBe(FADT_BOOT.vgaNotPresent | FADT_BOOT.cmosRtcNotPresent);
  });
});

describe('MADT (ACPI 5.2.12)', () => {
  function entries(config: AcpiConfig) {
    const { view, tables } = parse(config);
    const madt = tables.get('APIC') as { at: number; header: { length: number } };
    const lapics: { processor_id: number; apic_id: number; flags: number }[] = [];
    const ioapics: { ioapic_id: number; address: number; gsi_base: number }[] = [];
    for (let at = madt.at + acpi_madt.sizeof; at < madt.at + madt.header.length; at += view.getUint8(at + 1)) {
      if (view.getUint8(at) === 0) lapics.push(acpi_madt_lapic.read(view, at));
      else ioapics.push(acpi_madt_ioapic.read(view, at));
    }
    return { madt: acpi_madt.read(view, madt.at), lapics, ioapics };
  }

  it('gives vCPU n the APIC id 2n, as Xen does', () => {
    const { madt, lapics } = entries({ vcpus: 4, ioapic: false });
    expect(madt.lapic_address).toBe(0xfee00000);
    expect(madt.flags).toBe(0);
    expect(lapics.map((l) => [l.processor_id, l.apic_id, l.flags])).toEqual([
      [0, 0, 1],
      [1, 2, 1],
      [2, 4, 1],
      [3, 6, 1],
    ]);
  });

  it('has an I/O APIC only when asked', () => {
    expect(entries({ vcpus: 1, ioapic: false }).ioapics).toEqual([]);
    expect(entries({ vcpus: 1, ioapic: true }).ioapics).toMatchObject([{ ioapic_id: 1, address: 0xfec00000, gsi_base: 0 }]);
  });
});

describe('an ACPI disassembler', () => {
  const directory = mkdtempSync(join(tmpdir(), 'dom1-acpi-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function iasl(...args: string[]): string {
    return execFileSync('iasl', args, { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }
  let present = true;
  try {
    iasl('-v');
  } catch {
    present = false;
  }

  it.skipIf(!present)('reads every table, and compiles the DSDT back to the same bytes (needs iasl of acpica-tools)', () => {
    const { tables, xsdt } = parse({ vcpus: 20, ioapic: true });
    const all: [string, Uint8Array][] = [...tables].map(([name, t]) => [name, t.bytes]);
    all.push(['XSDT', xsdt.bytes]);
    for (const [name, bytes] of all) {
      writeFileSync(join(directory, `${name}.aml`), bytes);
      iasl('-d', `${name}.aml`);
      expect(readFileSync(join(directory, `${name}.dsl`), 'utf8')).not.toMatch(/error|invalid|incorrect|should be/i);
    }
    iasl('-p', 'again', 'DSDT.dsl');
    const body = (bytes: Uint8Array): number[] => [...bytes.subarray(acpi_header.sizeof)];
    expect(body(readFileSync(join(directory, 'again.aml')))).toEqual(body((tables.get('DSDT') as { bytes: Uint8Array }).bytes));
  });
});
