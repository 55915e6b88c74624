// One vCPU's local APIC as it lies in shared memory: what any thread may read of it, and post to it.
import { struct, u32, uint53 } from '../../abi/layout.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import type { Region } from '../../memory/arena.ts';
import {
  BASE_ENABLE,
  BASE_X2APIC,
  BROADCAST,
  DELIVERY,
  type DeliveryMode,
  ERROR,
  FIRST_LEGAL_VECTOR,
  LVT_MASKED,
  REG,
  SVR_ENABLE,
} from './registers.ts';

/** Bytes a `Region` for a local APIC must have. */
export const APIC_PAGE_BYTES: number = PAGE_SIZE;

/** Behind the architectural registers (0x000..0x3ff, each at its own offset) lies what software cannot see. */
const HIDDEN_AT = 0x400;
export const HIDDEN = struct(48, {
  apicBaseLow: u32,
  apicBaseHigh: u32,
  /** [any thread] EVENT bits, taken by the owner. */
  events: u32,
  /** [any thread] Vector of the last STARTUP message. */
  startupVector: u32,
  /** [any thread] Errors collected since the last write of ESR. */
  errors: u32,
  /** The id in x2APIC mode. The ID register holds it, in xAPIC mode, in bits 31:24. */
  apicId: u32,
  tscDeadlineLow: u32,
  tscDeadlineHigh: u32,
  /** When the timer expires, in the clock's nanoseconds; 0 while it is not armed. */
  timerDeadlineNs: uint53,
  reserved: uint53,
});
type HiddenField = keyof Omit<typeof HIDDEN, 'sizeof' | 'read' | 'timerDeadlineNs' | 'reserved'>;

/** Messages that are no vector, waiting for the owner of the APIC. */
export const EVENT = { nmi: 1 << 0, init: 1 << 1, startup: 1 << 2 } as const;

/** The vectors of one 256-bit register, highest first; -1 when it is empty. */
function highestVector(words: Int32Array, at: number): number {
  for (let i = 7; i >= 0; i--) {
    const word = Atomics.load(words, (at >> 2) + i * 4);
    if (word !== 0) return i * 32 + 31 - Math.clz32(word);
  }
  return -1;
}

/**
 * A view of a local APIC's state, valid on every thread. IRR, TMR, the collected errors and the events may be written
 * by anybody (with Atomics); everything else belongs to the thread that runs the vCPU.
 */
export class ApicPage {
  /** The page as 32-bit words; a register's index is its offset / 4. */
  readonly words: Int32Array;
  readonly #view: DataView;

  /** @throws RangeError when the region is smaller than `APIC_PAGE_BYTES`. */
  constructor(buffer: SharedArrayBuffer, region: Region) {
    if (region.size < APIC_PAGE_BYTES) throw new RangeError(`a local APIC needs ${APIC_PAGE_BYTES} bytes, not ${region.size}`);
    this.words = new Int32Array(buffer, region.at, APIC_PAGE_BYTES / 4);
    this.#view = new DataView(buffer, region.at, APIC_PAGE_BYTES);
  }

  /** Is the other a view of the same APIC? Every thread has views of its own. */
  isSame(other: ApicPage | undefined): boolean {
    return other !== undefined && this.words.byteOffset === other.words.byteOffset;
  }

  get(register: number): number {
    return Atomics.load(this.words, register >> 2) >>> 0;
  }

  set(register: number, value: number): void {
    Atomics.store(this.words, register >> 2, value | 0);
  }

  hidden(field: HiddenField): number {
    return Atomics.load(this.words, (HIDDEN_AT + HIDDEN[field].offset) >> 2) >>> 0;
  }

  setHidden(field: HiddenField, value: number): void {
    Atomics.store(this.words, (HIDDEN_AT + HIDDEN[field].offset) >> 2, value | 0);
  }

  get timerDeadlineNs(): number {
    return HIDDEN.timerDeadlineNs.get(this.#view, HIDDEN_AT);
  }

  set timerDeadlineNs(value: number) {
    HIDDEN.timerDeadlineNs.set(this.#view, HIDDEN_AT, value);
  }

  /** Enabled in IA32_APIC_BASE. */
  get hardwareEnabled(): boolean {
    return (this.hidden('apicBaseLow') & BASE_ENABLE) !== 0;
  }

  get x2apic(): boolean {
    return (this.hidden('apicBaseLow') & BASE_X2APIC) !== 0;
  }

  /** Accepts fixed interrupts: enabled in IA32_APIC_BASE and in SVR (SDM 11.4.7.2). */
  get enabled(): boolean {
    return this.hardwareEnabled && (this.get(REG.svr) & SVR_ENABLE) !== 0;
  }

  /** The APIC id that physical destinations name. */
  get id(): number {
    return this.hidden('apicId');
  }

  /** Highest vector that is requested, or -1. */
  get highestRequested(): number {
    return highestVector(this.words, REG.irr);
  }

  /** Highest vector that is in service, or -1. */
  get highestInService(): number {
    return highestVector(this.words, REG.isr);
  }

  /** PPR (SDM 11.8.3.1): the TPR, or the class of the vector in service when that is higher. */
  get processorPriority(): number {
    const tpr = this.get(REG.tpr);
    const inService = Math.max(this.highestInService, 0) & 0xf0;
    return (tpr & 0xf0) >= inService ? tpr : inService;
  }

  testVector(register: number, vector: number): boolean {
    return (this.get(register + (vector >> 5) * 0x10) & (1 << (vector & 31))) !== 0;
  }

  /** Returns whether the bit was clear before. */
  setVector(register: number, vector: number): boolean {
    const bit = 1 << (vector & 31);
    return (Atomics.or(this.words, (register + (vector >> 5) * 0x10) >> 2, bit) & bit) === 0;
  }

  /** Returns whether the bit was set before. */
  clearVector(register: number, vector: number): boolean {
    const bit = 1 << (vector & 31);
    return (Atomics.and(this.words, (register + (vector >> 5) * 0x10) >> 2, ~bit) & bit) !== 0;
  }

  /** Does a destination name this APIC? (SDM 11.6.2; 11.12.10 in x2APIC mode.) */
  matches(dest: number, logical: boolean): boolean {
    if (!this.hardwareEnabled) return false;
    if (dest === BROADCAST) return true;
    if (!logical) return dest === this.id;
    const ldr = this.get(REG.ldr);
    if (this.x2apic) return ldr >>> 16 === dest >>> 16 && (ldr & dest & 0xffff) !== 0;
    if (dest > 0xff) return false;
    const address = ldr >>> 24;
    const flat = this.get(REG.dfr) >>> 28 === 0xf;
    if (flat) return (address & dest) !== 0;
    return address >>> 4 === dest >>> 4 && (address & dest & 0xf) !== 0;
  }

  /**
   * Receives a message, on any thread. Returns true when the owner has something new to look at: wake it then.
   * A vector below 16 is an error of the receiver (ESR bit 6). ExtINT and SMI are not delivered: there is no 8259 and no SMM.
   */
  accept(mode: DeliveryMode, vector: number, level: boolean): boolean {
    switch (mode) {
      case DELIVERY.fixed:
      case DELIVERY.lowestPriority:
        return this.post(vector, level);
      case DELIVERY.nmi:
        return this.#raise(EVENT.nmi);
      case DELIVERY.init:
        return this.#raise(EVENT.init);
      case DELIVERY.startup:
        this.setHidden('startupVector', vector);
        return this.#raise(EVENT.startup);
      default:
        return false;
    }
  }

  /** Requests a fixed interrupt. Returns true when the owner has something new to look at. */
  post(vector: number, level: boolean): boolean {
    if (!this.enabled) return false;
    if (vector < FIRST_LEGAL_VECTOR) return this.raiseError(ERROR.receiveIllegalVector);
    // TMR before IRR: once the request is visible, its trigger mode is right.
    if (level) this.setVector(REG.tmr, vector);
    else this.clearVector(REG.tmr, vector);
    return this.setVector(REG.irr, vector);
  }

  /** Collects an error; a new one triggers the LVT error entry (SDM 11.5.3). Returns true when that requested a vector. */
  raiseError(error: number): boolean {
    const index = (HIDDEN_AT + HIDDEN.errors.offset) >> 2;
    if ((Atomics.or(this.words, index, error) & error) === error) return false;
    const lvt = this.get(REG.lvtError);
    if ((lvt & LVT_MASKED) !== 0 || !this.enabled) return false;
    const vector = lvt & 0xff;
    if (vector >= FIRST_LEGAL_VECTOR) return this.post(vector, false);
    Atomics.or(this.words, index, ERROR.receiveIllegalVector);
    return false;
  }

  /** Takes the collected errors, leaving none. */
  takeErrors(): number {
    return Atomics.exchange(this.words, (HIDDEN_AT + HIDDEN.errors.offset) >> 2, 0) >>> 0;
  }

  /** Takes one pending event; false when it was not pending. */
  takeEvent(event: number): boolean {
    return (Atomics.and(this.words, (HIDDEN_AT + HIDDEN.events.offset) >> 2, ~event) & event) !== 0;
  }

  #raise(event: number): boolean {
    return (Atomics.or(this.words, (HIDDEN_AT + HIDDEN.events.offset) >> 2, event) & event) === 0;
  }
}
