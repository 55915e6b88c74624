// The DSDT of an HVM guest: the PCI root with its windows and interrupts, what is on the ISA bus, the HPET, the processors, \_S4 and \_S5.
// Interrupts are those of the I/O APIC alone; a guest that uses the 8259As goes by the interrupt lines in configuration space.
import { acpi_header } from '../../abi/acpi.ts';
import { SLEEP_TYPE } from '../../devices/pc/acpi-pm.ts';
import { HPET_MMIO } from '../../devices/pc/hpet-place.ts';
import { SERIAL_PORTS } from '../../devices/pc/uart.ts';
import { intxGsi } from '../../xen/events/callback-line.ts';
import { type Aml, constant, device, eisaId, name, packageOf, scope } from '../pvh/aml.ts';
import { LEGACY_VGA, PCI_HOLE } from './memory-map.ts';
import { busNumbers, io, ioWindow, irq, memory, memoryWindow, resources } from './resource-templates.ts';

const PCI_SLOTS = 32;
const PINS = 4;

/** Room for the header, and the definition block. */
export function buildDsdt({ vcpus }: { readonly vcpus: number }): Uint8Array {
  const [com1] = SERIAL_PORTS;
  const sleep = (type: number): Aml => packageOf(constant(type), constant(type), constant(0), constant(0));
  const isa = [
    device('PS2K', name('_HID', eisaId('PNP0303')), name('_CRS', resources(io(0x60, 1), io(0x64, 1), irq(1)))),
    device('PS2M', name('_HID', eisaId('PNP0F13')), name('_CRS', resources(irq(12)))),
    device('RTC', name('_HID', eisaId('PNP0B00')), name('_CRS', resources(io(0x70, 8), irq(8)))),
    device(
      'UAR1',
      name('_HID', eisaId('PNP0501')),
      name('_UID', 1),
      name('_CRS', resources(io(com1.ports.at, 8), irq(com1.irq))),
    ),
  ];
  const root = device(
    'PCI0',
    name('_HID', eisaId('PNP0A03')),
    name('_UID', 0),
    name('_BBN', 0),
    name('_CRS', rootResources()),
    name('_PRT', packageOf(...routes())),
    device('ISA', name('_ADR', constant(0x1_0000)), ...isa),
  );
  const hpet = device('HPET', name('_HID', eisaId('PNP0103')), name('_UID', 0), name('_CRS', resources(memory(HPET_MMIO))));
  const processors = Array.from({ length: vcpus }, (_, id) =>
    device(`C${id.toString(16).toUpperCase().padStart(3, '0')}`, name('_HID', 'ACPI0007'), name('_UID', id)),
  );
  const body = [
    ...name('_S4', sleep(SLEEP_TYPE.s4)),
    ...name('_S5', sleep(SLEEP_TYPE.s5)),
    ...scope('_SB', root, hpet, ...processors),
  ];
  const bytes = new Uint8Array(acpi_header.sizeof + body.length);
  bytes.set(body, acpi_header.sizeof);
  return bytes;
}

function rootResources(): Aml {
  return resources(
    busNumbers(0, 255),
    io(0xcf8, 8),
    ioWindow(0, 0xcf7),
    ioWindow(0xd00, 0xffff),
    memoryWindow(LEGACY_VGA),
    memoryWindow(PCI_HOLE),
  );
}

/** _PRT (6.2.12): each pin of each slot is wired to a GSI of its own. */
function routes(): Aml[] {
  const entries: Aml[] = [];
  // Slot 0 is the bridge itself.
  for (let slot = 1; slot < PCI_SLOTS; slot++)
    for (let pin = 0; pin < PINS; pin++)
      entries.push(packageOf(constant(slot * 0x1_0000 + 0xffff), constant(pin), constant(0), constant(intxGsi(slot, pin))));
  return entries;
}
