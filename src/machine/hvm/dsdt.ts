// The DSDT of an HVM guest: the PCI root with its windows and interrupts, what is on the ISA bus, the HPET, the processors, \_S4 and \_S5.
// By \_PIC a guest says whether it uses the I/O APIC or the 8259As. The links between PCI and the 8259As stay as they were set at the start.
import { acpi_header } from '../../abi/acpi.ts';
import { SLEEP_TYPE } from '../../devices/pc/acpi-pm.ts';
import { HPET_MMIO } from '../../devices/pc/hpet-place.ts';
import { SERIAL_PORTS } from '../../devices/pc/uart.ts';
import { intxGsi, intxLink } from '../../xen/events/callback-line.ts';
import { type Aml, constant, device, eisaId, method, name, packageOf, returnEither, scope, storeArgument } from '../pvh/aml.ts';
import { LEGACY_VGA, PCI_HOLE } from './memory-map.ts';
import { LINK_IRQS } from './pci-setup.ts';
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
    name('PRTA', packageOf(...routes(intxGsi))),
    name('PRTP', packageOf(...routes((slot, pin) => LINK_IRQS[intxLink(slot, pin)] as number))),
    method('_PRT', 0, returnEither('PICD', 'PRTA', 'PRTP')),
    device('ISA', name('_ADR', constant(0x1_0000)), ...isa),
  );
  const hpet = device('HPET', name('_HID', eisaId('PNP0103')), name('_UID', 0), name('_CRS', resources(memory(HPET_MMIO))));
  const processors = Array.from({ length: vcpus }, (_, id) =>
    device(`C${id.toString(16).toUpperCase().padStart(3, '0')}`, name('_HID', 'ACPI0007'), name('_UID', id)),
  );
  const body = [
    // 0 while the guest uses the 8259As, and before it has said anything (5.8.1).
    ...name('PICD', 0),
    ...method('_PIC', 1, storeArgument('PICD')),
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

/** _PRT (6.2.12): where each pin of each slot is wired to. */
function routes(to: (slot: number, pin: number) => number): Aml[] {
  const entries: Aml[] = [];
  // Slot 0 is the bridge itself.
  for (let slot = 1; slot < PCI_SLOTS; slot++)
    for (let pin = 0; pin < PINS; pin++)
      entries.push(packageOf(constant(slot * 0x1_0000 + 0xffff), constant(pin), constant(0), constant(to(slot, pin))));
  return entries;
}
