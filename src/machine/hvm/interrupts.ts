// How the interrupt lines of an HVM domain are wired, as Xen wires them (xen/arch/x86/hvm/irq.c): ISA lines go to the 8259As and to
// the I/O APIC, PCI pins to a GSI of their own and through the four links of the PCI-ISA bridge to ISA lines.
// A GSI that the guest has routed to a pirq is an event channel's and not the I/O APIC's.
import type { Ioapic } from '../../devices/apic/ioapic.ts';
import type { ApicMessage } from '../../devices/apic/registers.ts';
import { type InterruptLine, SharedLine } from '../../devices/interrupt-line.ts';
import type { PicPair } from '../../devices/pc/pic-pair.ts';
import { messageOf } from '../../devices/pci/msi.ts';
import { intxGsi, intxLink } from '../../xen/events/callback-line.ts';
import type { Pirqs } from '../../xen/events/pirqs.ts';

const ISA_IRQS = 16;
const LINKS = 4;
const TIMER_IRQ = 0;
/** The timer is at pin 2 of the I/O APIC: pin 0 has the 8259As. */
const TIMER_GSI = 2;

export interface InterruptsOptions {
  readonly pic: PicPair;
  readonly ioapic: Ioapic;
  readonly pirqs: Pirqs;
  /** To the local APICs. */
  readonly deliver: (message: ApicMessage) => void;
}

export class Interrupts {
  readonly #isa: readonly SharedLine[];
  readonly #gsis = new Map<number, SharedLine>();
  readonly #links: readonly SharedLine[];
  /** The ISA line that a link leads to, and its end there; -1 for none. */
  readonly #routes: { irq: number; driver: InterruptLine | undefined }[];
  readonly #options: InterruptsOptions;

  constructor(options: InterruptsOptions) {
    this.#options = options;
    this.#isa = Array.from({ length: ISA_IRQS }, (_, irq) => new SharedLine((level) => this.#setIsa(irq, level)));
    this.#routes = Array.from({ length: LINKS }, () => ({ irq: -1, driver: undefined }));
    this.#links = this.#routes.map((route) => new SharedLine((level) => drive(route.driver, level)));
  }

  /** A driver's end of ISA line 0..15. */
  isa(irq: number): InterruptLine {
    return (this.#isa[irq] as SharedLine).driver();
  }

  /** A driver's end of a PCI device's pin 0..3. */
  intx(device: number, pin: number): InterruptLine {
    const gsi = this.#gsi(intxGsi(device, pin)).driver();
    const link = (this.#links[intxLink(device, pin)] as SharedLine).driver();
    return {
      raise: () => {
        gsi.raise();
        link.raise();
      },
      lower: () => {
        gsi.lower();
        link.lower();
      },
    };
  }

  /** A device's message: a pirq's event where the guest has made it one (vector 0), or an interrupt of local APICs. */
  message(address: number, data: number): void {
    const { deliver, pirqs } = this.#options;
    if (pirqs.msi(address, data)) return;
    const message = messageOf(address, data);
    if (message !== undefined) deliver(message);
  }

  /** A driver's end of any GSI: below 16 the ISA line. */
  gsi(gsi: number): InterruptLine {
    if (gsi === TIMER_GSI) return this.isa(TIMER_IRQ);
    return gsi < ISA_IRQS ? this.isa(gsi) : this.#gsi(gsi).driver();
  }

  /** The PCI-ISA bridge routes a link to ISA line `irq`, or to none. */
  route(link: number, irq: number | undefined): void {
    const route = this.#routes[link];
    if (route === undefined || route.irq === (irq ?? -1)) return;
    route.driver?.lower();
    route.irq = irq ?? -1;
    route.driver = irq === undefined ? undefined : this.isa(irq);
    if ((this.#links[link] as SharedLine).asserted) route.driver?.raise();
  }

  #gsi(gsi: number): SharedLine {
    let line = this.#gsis.get(gsi);
    if (line === undefined) {
      line = new SharedLine((level) => this.#setGsi(gsi, level));
      this.#gsis.set(gsi, line);
    }
    return line;
  }

  #setIsa(irq: number, level: boolean): void {
    this.#options.pic.setLine(irq, level);
    this.#setGsi(irq === TIMER_IRQ ? TIMER_GSI : irq, level);
  }

  #setGsi(gsi: number, level: boolean): void {
    const { ioapic, pirqs } = this.#options;
    const routed = pirqs.gsiLevel(gsi, level);
    // A line that falls falls everywhere: it may have been routed while it was up.
    if (!routed || !level) ioapic.setLine(gsi, level);
  }
}

function drive(line: InterruptLine | undefined, level: boolean): void {
  if (level) line?.raise();
  else line?.lower();
}
