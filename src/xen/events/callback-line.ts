// HVM_PARAM_CALLBACK_IRQ of an HVM domain with an IOAPIC and a PIC: upcalls as a level-triggered interrupt line of vCPU 0.
// The line goes up when an event of ours sets vCPU 0's evtchn_upcall_pending, and down once the guest has cleared it.
// Xen: arch/x86/hvm/irq.c, hvm_set_callback_via and hvm_set_callback_irq_level.
import { CALLBACK_TYPE } from '../../abi/xen/hvm.ts';
import type { XenDomain } from '../domain.ts';
import { EMULATION, DomainHeader as Header, NR_GSIS, VCPU_WAIT } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';

/** GSI of a PCI device's INTx pin (0 to 3 for A to D) at the IOAPIC of an HVM domain: 16 to 47. */
export const intxGsi = (device: number, pin: number): number => (((device << 2) + (device >> 3) + pin) & 31) + 16;
/** The PCI link (0 to 3) of that pin; the PCI-ISA bridge routes the four links to ISA interrupts (its registers 0x60..0x63). */
export const intxLink = (device: number, pin: number): number => (device + pin) & 3;

/** Lines as `callback_line` has them: 0 none, 1..47 a GSI, INTX + device * 4 + pin. */
const INTX = 0x100;

export interface CallbackLineHooks {
  /** Raises or lowers our share of a GSI: the IOAPIC's pin, and below 16 the PIC's too. */
  readonly setGsi: (gsi: number, level: boolean) => void;
  /** The same for a PCI device's pin, where the PCI-ISA bridge is known. Without it `setGsi` gets the pin's GSI. */
  readonly setIntx?: ((device: number, pin: number, level: boolean) => void) | undefined;
}

/** vCPU 0's thread only. */
export class CallbackLine {
  readonly #domain: XenDomain;
  readonly #vcpu: VcpuState;
  readonly #hooks: CallbackLineHooks;
  readonly #lineAt: number;

  constructor(domain: XenDomain, vcpu: VcpuState, hooks: CallbackLineHooks) {
    this.#domain = domain;
    this.#vcpu = vcpu;
    this.#hooks = hooks;
    this.#lineAt = (domain.at + Header.callback_line.offset) >>> 2;
  }

  /** An upcall is due: puts the callback's line up if the guest has not looked yet. */
  raise(): void {
    this.release();
    const line = wantedLine(this.#domain);
    if (line === 0 || this.#domain.memory.i32[this.#lineAt] !== 0 || !this.#vcpu.upcallPending) return;
    this.#domain.memory.i32[this.#lineAt] = line;
    this.#drive(line, true);
  }

  /** Takes the line down when the guest has cleared evtchn_upcall_pending, or wants another one. Cheap while it is down. */
  release(): void {
    const { i32 } = this.#domain.memory;
    const line = i32[this.#lineAt] as number;
    if (line === 0 || (this.#vcpu.upcallPending && line === wantedLine(this.#domain))) return;
    i32[this.#lineAt] = 0;
    this.#drive(line, false);
  }

  #drive(line: number, level: boolean): void {
    if (line < INTX) return this.#hooks.setGsi(line, level);
    const device = (line - INTX) >> 2;
    const pin = line & 3;
    if (this.#hooks.setIntx !== undefined) this.#hooks.setIntx(device, pin, level);
    else this.#hooks.setGsi(intxGsi(device, pin), level);
  }
}

function wantedLine(domain: XenDomain): number {
  const { view } = domain.memory;
  const data = Header.callback_vector.get(view, domain.at);
  switch (Header.callback_type.get(view, domain.at)) {
    case CALLBACK_TYPE.gsi + 1:
      return data;
    case CALLBACK_TYPE.pci_intx + 1:
      return INTX + data;
    default:
      return 0;
  }
}

/**
 * The guest sets CALLBACK_IRQ: type in bits 63:56; the vector or GSI in 7:0, or a PCI device in 15:11 and its pin in 1:0.
 * Unknown types and GSIs mean no callback. In a domain without IOAPIC and PIC every type but the vector is ignored:
 * guests write "GSI 1" there to say they have drivers.
 */
export function setCallbackVia(domain: XenDomain, value: bigint): void {
  const { view } = domain.memory;
  const { at } = domain;
  const type = Number(value >> 56n);
  if (type !== CALLBACK_TYPE.vector && !domain.emulates(EMULATION.pic)) return;
  const low = Number(value & 0xffffn);
  const gsi = low & 0xff;
  const known = type === CALLBACK_TYPE.gsi ? gsi > 0 && gsi < NR_GSIS : type <= CALLBACK_TYPE.vector;
  // Another thread that reads in between sees no callback.
  Header.callback_type.set(view, at, 0);
  Header.callback_vector.set(view, at, type === CALLBACK_TYPE.pci_intx ? ((low >> 11) << 2) | (low & 3) : gsi);
  if (known) Header.callback_type.set(view, at, type + 1);
  for (const vcpu of domain.vcpus) if ((vcpu.waiting & VCPU_WAIT.down) === 0) domain.events.requestUpcall(vcpu);
}
