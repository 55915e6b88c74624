// What connects the local APICs with each other and with I/O APICs: finds who a message is for (SDM vol. 3A, 11.6.2).
import type { ApicPage } from './apic-page.ts';
import { type ApicMessage, DELIVERY, SHORTHAND } from './registers.ts';

/** A local APIC on the bus; `wake` gets its vCPU out of HLT or out of its run, from any thread. */
export interface ApicSlot {
  readonly page: ApicPage;
  wake(): void;
}

/** Delivers messages to local APICs. Every thread has its own instance over the same pages. */
export class ApicBus {
  readonly #slots: readonly ApicSlot[];
  /** Where the search for a lowest-priority target begins: ties go round. */
  #next = 0;

  constructor(slots: readonly ApicSlot[]) {
    this.#slots = slots;
  }

  /** Delivers a message; `source` is the sending APIC, undefined for an I/O APIC. Returns whether anyone was addressed. */
  deliver(message: ApicMessage, source?: ApicPage): boolean {
    if (message.mode === DELIVERY.lowestPriority) {
      const target = this.#lowestPriority(message, source);
      if (target !== undefined) this.#accept(target, message);
      return target !== undefined;
    }
    let found = false;
    for (const slot of this.#slots) {
      if (!this.#addressed(slot.page, message, source)) continue;
      found = true;
      this.#accept(slot, message);
    }
    return found;
  }

  #accept(slot: ApicSlot, message: ApicMessage): void {
    if (slot.page.accept(message.mode, message.vector, message.level)) slot.wake();
  }

  #addressed(page: ApicPage, message: ApicMessage, source: ApicPage | undefined): boolean {
    switch (message.shorthand) {
      case SHORTHAND.self:
        return page.isSame(source);
      case SHORTHAND.all:
        return page.hardwareEnabled;
      case SHORTHAND.others:
        return !page.isSame(source) && page.hardwareEnabled;
      default:
        return page.matches(message.dest, message.logical);
    }
  }

  /** The enabled target that does the least important work (SDM 11.6.2.4). */
  #lowestPriority(message: ApicMessage, source: ApicPage | undefined): ApicSlot | undefined {
    let best: ApicSlot | undefined;
    let bestPriority = 0x100;
    let bestIndex = 0;
    const count = this.#slots.length;
    for (let i = 0; i < count; i++) {
      const index = (this.#next + i) % count;
      const slot = this.#slots[index] as ApicSlot;
      if (!slot.page.enabled || !this.#addressed(slot.page, message, source)) continue;
      const priority = slot.page.processorPriority;
      if (priority >= bestPriority) continue;
      best = slot;
      bestPriority = priority;
      bestIndex = index;
    }
    if (best !== undefined) this.#next = (bestIndex + 1) % count;
    return best;
  }
}
