// The local APIC as its own vCPU sees it: registers by MMIO (xAPIC) and by MSR (x2APIC). SDM vol. 3A, chapter 11.
import type { Region } from '../../memory/arena.ts';
import { type Points, type Sink, tracepoints } from '../../trace/points.ts';
import { APIC_PAGE_BYTES, ApicPage, EVENT } from './apic-page.ts';
import { decodeIcr, ICR_X2_BITS, icrSendable } from './icr.ts';
import { LapicTimer, type LapicTimerOptions } from './lapic-timer.ts';
import { isRegister, LVT_WRITABLE, SVR_WRITABLE, X2_WRITABLE, x2Readable } from './register-access.ts';
import {
  APIC_MSR,
  APIC_VERSION,
  type ApicMessage,
  BASE_BSP,
  BASE_ENABLE,
  BASE_RESET_GPA,
  BASE_X2APIC,
  DELIVERY,
  type DeliveryMode,
  ERROR,
  FIRST_LEGAL_VECTOR,
  LVT_MASKED,
  REG,
  SHORTHAND,
  SVR_ENABLE,
  TIMER_MODE,
  timerModeOf,
} from './registers.ts';

const SVR_RESET = 0xff;
const PAGE_GPA_MASK = 0xffff_f000;

export type LvtRegister =
  | typeof REG.lvtTimer
  | typeof REG.lvtThermal
  | typeof REG.lvtPerf
  | typeof REG.lvtLint0
  | typeof REG.lvtLint1
  | typeof REG.lvtError;

/** The value of an MSR in two halves; `Exit` of vcpu/contract.ts is one. */
export interface MsrData {
  dataLow: number;
  dataHigh: number;
}

export interface LapicSinks {
  /** An inter-processor interrupt leaves for the bus. */
  send(message: ApicMessage): void;
  /** A level-triggered vector is done: I/O APICs look whether their pin still asks (SDM 11.8.5). */
  eoi(vector: number): void;
  /** This APIC itself requested a vector (timer, error, LVT). Called on the thread that owns it. */
  wake(): void;
}

export interface LapicOptions extends LapicTimerOptions {
  /** APIC id; below 255 without x2APIC. */
  readonly id: number;
  /** Sets BSP in IA32_APIC_BASE. */
  readonly bootstrap: boolean;
  /** CPUID.1:ECX[21]; without it EXTD is a reserved bit. Default true. */
  readonly x2apic?: boolean;
  /** CPUID.1:ECX[24]; without it IA32_TSC_DEADLINE raises #GP. Default true. */
  readonly tscDeadline?: boolean;
  /** Physical address width that CPUID reports, for the reserved bits of IA32_APIC_BASE. Default 40. */
  readonly physicalAddressBits?: number;
}

const FORMATS = {
  read: 'apic=%u offset=%x value=%x',
  write: 'apic=%u offset=%x value=%x',
  base: 'apic=%u low=%x high=%x',
  expire: 'apic=%u vector=%x',
  acknowledge: 'apic=%u vector=%x',
  eoi: 'apic=%u vector=%x',
} as const;
export type LapicTrace = Points<typeof FORMATS>;
export const lapicTrace = (sink: Sink): LapicTrace => tracepoints('lapic', FORMATS, sink);

export interface LapicState {
  readonly schema: 'lapic@1';
  readonly apicBase: readonly [low: number, high: number];
  readonly apicId: number;
  readonly events: number;
  readonly startupVector: number;
  readonly errors: number;
  readonly tscDeadline: readonly [low: number, high: number];
  readonly timerDeadlineNs: number;
  /** The register page, one number each 16 bytes, in the order of table 11-1. */
  readonly registers: readonly number[];
}

export class LocalApic {
  /** The part that other threads may use, too. */
  readonly page: ApicPage;
  readonly #options: LapicOptions;
  readonly #sinks: LapicSinks;
  readonly #trace: LapicTrace;
  readonly #timer: LapicTimer;

  /** A local APIC after power-up, with its state in `region` (`APIC_PAGE_BYTES` at least), which is cleared. */
  constructor(buffer: SharedArrayBuffer, region: Region, options: LapicOptions, sinks: LapicSinks, trace: LapicTrace) {
    new Uint8Array(buffer, region.at, APIC_PAGE_BYTES).fill(0);
    this.page = new ApicPage(buffer, region);
    this.#options = options;
    this.#sinks = sinks;
    this.#trace = trace;
    this.#timer = new LapicTimer(this.page, options, () => this.#timerExpired());
    this.#powerUp();
  }

  /** Where the register page lies now. */
  get baseGpa(): number {
    return (
      (this.page.hidden('apicBaseHigh') & 0xf_ffff) * 0x1_0000_0000 + ((this.page.hidden('apicBaseLow') & PAGE_GPA_MASK) >>> 0)
    );
  }

  /** True when an access to `gpa` is one to this APIC's registers: it is in xAPIC mode and the page is there. */
  claims(gpa: number): boolean {
    const base = this.baseGpa;
    return gpa >= base && gpa < base + APIC_PAGE_BYTES && this.page.hardwareEnabled && !this.page.x2apic;
  }

  /**
   * Reads a register in xAPIC mode; `offset` 0..0xfff in the page. Of a register only the aligned 32 bits are defined
   * (SDM 11.4.1); a narrower access gets its part of them, the rest of the 16 bytes reads as 0.
   */
  read(offset: number, size = 4): number {
    const lane = offset & 0xf;
    if (lane > 3) return 0;
    const value = this.#readRegister(offset & 0xff0) >>> (lane * 8);
    if (this.#trace.read.on) this.#trace.read(this.page.id, offset, value);
    return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value;
  }

  /** Writes a register in xAPIC mode. Only aligned 32-bit writes have an effect. */
  write(offset: number, value: number, size = 4): void {
    if ((offset & 0xf) !== 0 || size !== 4) return;
    if (this.#trace.write.on) this.#trace.write(this.page.id, offset, value);
    this.#writeRegister(offset, value >>> 0);
  }

  /** Is this one of the MSRs that `readMsr` and `writeMsr` answer? */
  static ownsMsr(msr: number): boolean {
    return msr === APIC_MSR.base || msr === APIC_MSR.tscDeadline || (msr >= APIC_MSR.x2First && msr <= APIC_MSR.x2Last);
  }

  /** RDMSR of an MSR it owns. Returns false for #GP(0); `into` is then unchanged. */
  readMsr(msr: number, into: MsrData): boolean {
    if (msr === APIC_MSR.base) {
      into.dataLow = this.page.hidden('apicBaseLow');
      into.dataHigh = this.page.hidden('apicBaseHigh');
      return true;
    }
    if (msr === APIC_MSR.tscDeadline) {
      if (this.#options.tscDeadline === false) return false;
      into.dataLow = this.page.hidden('tscDeadlineLow');
      into.dataHigh = this.page.hidden('tscDeadlineHigh');
      return true;
    }
    const offset = (msr - APIC_MSR.x2First) << 4;
    if (!this.page.x2apic || !x2Readable(offset)) return false;
    into.dataLow = this.#readRegister(offset);
    into.dataHigh = offset === REG.icrLow ? this.page.get(REG.icrHigh) : 0;
    if (this.#trace.read.on) this.#trace.read(this.page.id, offset, into.dataLow);
    return true;
  }

  /** WRMSR of an MSR it owns, value in two unsigned halves. Returns false for #GP(0), and has then no effect. */
  writeMsr(msr: number, low: number, high: number): boolean {
    if (msr === APIC_MSR.base) return this.#writeBase(low >>> 0, high >>> 0);
    if (msr === APIC_MSR.tscDeadline) {
      if (this.#options.tscDeadline === false) return false;
      this.#timer.writeDeadline(low, high);
      return true;
    }
    const offset = (msr - APIC_MSR.x2First) << 4;
    const writable = X2_WRITABLE.get(offset);
    if (!this.page.x2apic || writable === undefined || (low & ~writable) !== 0) return false;
    if (offset === REG.icrLow) this.page.set(REG.icrHigh, high);
    else if (high !== 0) return false;
    if (this.#trace.write.on) this.#trace.write(this.page.id, offset, low);
    this.#writeRegister(offset, low >>> 0);
    return true;
  }

  /** TPR bits 7:4, as MOV CR8 reads and writes them (SDM 11.8.6). */
  get cr8(): number {
    return this.page.get(REG.tpr) >>> 4;
  }

  set cr8(value: number) {
    this.page.set(REG.tpr, (value & 0xf) << 4);
  }

  /** Requests a fixed interrupt on this APIC. */
  postInterrupt(vector: number, level: boolean): void {
    if (this.page.post(vector, level)) this.#sinks.wake();
  }

  /** The vector to interrupt the CPU with, or -1: the highest requested one when its class is above PPR's. */
  hasInterrupt(): number {
    const vector = this.page.highestRequested;
    if (vector < 0 || !this.page.enabled) return -1;
    return (vector & 0xf0) > (this.page.processorPriority & 0xf0) ? vector : -1;
  }

  /** The CPU takes `vector`, which `hasInterrupt` named: from requested to in service (SDM 11.8.4). */
  acknowledge(vector: number): void {
    if (this.#trace.acknowledge.on) this.#trace.acknowledge(this.page.id, vector);
    this.page.clearVector(REG.irr, vector);
    this.page.setVector(REG.isr, vector);
  }

  /** End of interrupt of the highest vector in service; without one it does nothing (SDM 11.8.5). */
  eoi(): void {
    const vector = this.page.highestInService;
    if (vector < 0) return;
    if (this.#trace.eoi.on) this.#trace.eoi(this.page.id, vector);
    this.page.clearVector(REG.isr, vector);
    if (this.page.testVector(REG.tmr, vector)) this.#sinks.eoi(vector);
  }

  /** Takes a pending NMI. */
  takeNmi(): boolean {
    return this.page.takeEvent(EVENT.nmi);
  }

  /** Takes a pending INIT: the vCPU then resets, calls `init`, and waits for STARTUP. */
  takeInit(): boolean {
    return this.page.takeEvent(EVENT.init);
  }

  /** Takes a pending STARTUP and returns its vector (start at vector * 4096), or -1. To be ignored unless waiting for it. */
  takeStartup(): number {
    return this.page.takeEvent(EVENT.startup) ? this.page.hidden('startupVector') & 0xff : -1;
  }

  /**
   * Signals a local source: LINT0, LINT1, the thermal sensor, the performance counters. A LINT pin counts as
   * edge-triggered whatever its entry says; ExtINT is not delivered, for there is no 8259.
   */
  signal(register: LvtRegister): void {
    const lvt = this.page.get(register);
    if ((lvt & LVT_MASKED) !== 0 || !this.page.enabled) return;
    const mode = ((lvt >>> 8) & 7) as DeliveryMode;
    if (this.page.accept(mode, lvt & 0xff, false)) this.#sinks.wake();
  }

  /** The registers after INIT: as after power-up, but for IA32_APIC_BASE and the id (SDM 11.4.7.3). */
  init(): void {
    const { page } = this;
    this.#timer.disarm();
    for (let register = 0; register < 0x400; register += 0x10) page.set(register, 0);
    page.setHidden('tscDeadlineLow', 0);
    page.setHidden('tscDeadlineHigh', 0);
    page.takeErrors();
    page.set(REG.version, APIC_VERSION);
    page.set(REG.dfr, 0xffff_ffff);
    page.set(REG.svr, SVR_RESET);
    for (let i = 0; i < LVT_WRITABLE.length; i++) page.set(REG.lvtTimer + i * 0x10, LVT_MASKED);
    this.#identify();
  }

  save(): LapicState {
    const { page } = this;
    return {
      schema: 'lapic@1',
      apicBase: [page.hidden('apicBaseLow'), page.hidden('apicBaseHigh')],
      apicId: page.id,
      events: page.hidden('events'),
      startupVector: page.hidden('startupVector'),
      errors: page.hidden('errors'),
      tscDeadline: [page.hidden('tscDeadlineLow'), page.hidden('tscDeadlineHigh')],
      timerDeadlineNs: page.timerDeadlineNs,
      registers: Array.from({ length: 0x40 }, (_, i) => page.get(i * 0x10)),
    };
  }

  load(state: LapicState): void {
    const { page } = this;
    for (const [i, value] of state.registers.entries()) page.set(i * 0x10, value);
    page.setHidden('apicBaseLow', state.apicBase[0]);
    page.setHidden('apicBaseHigh', state.apicBase[1]);
    page.setHidden('apicId', state.apicId);
    page.setHidden('events', state.events);
    page.setHidden('startupVector', state.startupVector);
    page.setHidden('errors', state.errors);
    page.setHidden('tscDeadlineLow', state.tscDeadline[0]);
    page.setHidden('tscDeadlineHigh', state.tscDeadline[1]);
    page.timerDeadlineNs = state.timerDeadlineNs;
    this.#timer.rearm();
  }

  #powerUp(): void {
    this.page.setHidden('apicId', this.#options.id);
    this.page.setHidden('apicBaseLow', BASE_RESET_GPA | BASE_ENABLE | (this.#options.bootstrap ? BASE_BSP : 0));
    this.page.setHidden('apicBaseHigh', 0);
    this.page.setHidden('events', 0);
    this.init();
  }

  /** ID and, in x2APIC mode, LDR follow from the id (SDM 11.12.5.1, 11.12.10.2). */
  #identify(): void {
    const { page } = this;
    if (page.x2apic) {
      page.set(REG.id, page.id);
      page.set(REG.ldr, ((page.id >>> 4) << 16) | (1 << (page.id & 0xf)));
    } else page.set(REG.id, page.id << 24);
  }

  #readRegister(offset: number): number {
    switch (offset) {
      case REG.ppr:
        return this.page.processorPriority;
      case REG.timerCurrent:
        return this.#timer.currentCount;
      // Write-only; and APR, which processors with this version of the APIC do not have (SDM table 11-1).
      case REG.eoi:
      case REG.apr:
        return 0;
    }
    if (!isRegister(offset)) {
      this.#error(ERROR.illegalRegister);
      return 0;
    }
    return this.page.get(offset);
  }

  #writeRegister(offset: number, value: number): void {
    const { page } = this;
    switch (offset) {
      case REG.tpr:
        page.set(REG.tpr, value & 0xff);
        break;
      case REG.eoi:
        this.eoi();
        break;
      case REG.ldr:
        page.set(REG.ldr, value & 0xff00_0000);
        break;
      case REG.dfr:
        page.set(REG.dfr, value | 0x0fff_ffff);
        break;
      case REG.svr:
        page.set(REG.svr, value & SVR_WRITABLE);
        // Software disable masks every LVT entry, and they stay masked (SDM 11.4.7.2).
        if ((value & SVR_ENABLE) === 0) {
          for (let i = 0; i < LVT_WRITABLE.length; i++) {
            const register = REG.lvtTimer + i * 0x10;
            page.set(register, page.get(register) | LVT_MASKED);
          }
        }
        break;
      case REG.esr:
        // The write moves what was collected into the register (SDM 11.5.3).
        page.set(REG.esr, page.takeErrors());
        break;
      case REG.icrLow:
        page.set(REG.icrLow, value & ICR_X2_BITS);
        this.#send(value);
        break;
      case REG.icrHigh:
        page.set(REG.icrHigh, value & 0xff00_0000);
        break;
      case REG.lvtTimer: {
        const before = page.get(REG.lvtTimer);
        this.#writeLvt(offset, value);
        this.#timer.lvtWritten(before, page.get(REG.lvtTimer));
        break;
      }
      case REG.lvtThermal:
      case REG.lvtPerf:
      case REG.lvtLint0:
      case REG.lvtLint1:
      case REG.lvtError:
        this.#writeLvt(offset, value);
        break;
      case REG.timerInitial:
        this.#timer.writeInitial(value);
        break;
      case REG.timerDivide:
        this.#timer.writeDivide(value);
        break;
      case REG.selfIpi:
        if (page.x2apic) this.#send((SHORTHAND.self << 18) | (value & 0xff));
        else this.#error(ERROR.illegalRegister);
        break;
      default:
        if (!isRegister(offset)) this.#error(ERROR.illegalRegister);
    }
  }

  #writeLvt(register: number, value: number): void {
    const writable = LVT_WRITABLE[(register - REG.lvtTimer) >> 4] as number;
    const masked = (this.page.get(REG.svr) & SVR_ENABLE) === 0 ? LVT_MASKED : 0;
    this.page.set(register, (value & writable) | masked);
  }

  #send(icr: number): void {
    const message = decodeIcr(icr, this.page.get(REG.icrHigh), this.page.x2apic);
    const carriesVector = message.mode === DELIVERY.fixed || message.mode === DELIVERY.lowestPriority;
    if (carriesVector && message.vector < FIRST_LEGAL_VECTOR) this.#error(ERROR.sendIllegalVector);
    else if (!icrSendable(icr, message)) return;
    else if (message.shorthand === SHORTHAND.self) this.postInterrupt(message.vector, false);
    else this.#sinks.send(message);
  }

  #error(error: number): void {
    if (this.page.raiseError(error)) this.#sinks.wake();
  }

  #timerExpired(): void {
    const lvt = this.page.get(REG.lvtTimer);
    if ((lvt & LVT_MASKED) !== 0 || timerModeOf(lvt) > TIMER_MODE.tscDeadline) return;
    if (this.#trace.expire.on) this.#trace.expire(this.page.id, lvt & 0xff);
    this.postInterrupt(lvt & 0xff, false);
  }

  /** WRMSR IA32_APIC_BASE: reserved bits and the transitions of SDM figure 11-27. */
  #writeBase(low: number, high: number): boolean {
    const { page } = this;
    const addressHigh = 2 ** Math.max(0, (this.#options.physicalAddressBits ?? 40) - 32) - 1;
    const x2 = this.#options.x2apic === false ? 0 : BASE_X2APIC;
    if ((low & 0xfff & ~(BASE_BSP | BASE_ENABLE | x2)) !== 0 || (high & ~addressHigh) !== 0) return false;
    const enable = (low & BASE_ENABLE) !== 0;
    const extend = (low & BASE_X2APIC) !== 0;
    if (extend && !enable) return false;
    const wasEnabled = page.hardwareEnabled;
    const wasX2 = page.x2apic;
    // Into x2APIC mode only from xAPIC mode; out of it only by disabling.
    if (enable && extend && !wasEnabled) return false;
    if (enable && !extend && wasX2) return false;
    if (this.#trace.base.on) this.#trace.base(page.id, low, high);
    page.setHidden('apicBaseLow', low);
    page.setHidden('apicBaseHigh', high);
    if (!enable && wasEnabled) this.#timer.disarm();
    if (enable && !wasEnabled) this.init();
    if (extend !== wasX2) this.#identify();
    return true;
  }
}
