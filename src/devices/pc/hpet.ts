// High Precision Event Timer: IA-PC HPET Specification 1.0a, with three comparators. Section numbers are its own.
import type { Clock, Timer } from '../../time/clock.ts';
import { type InterruptLine, setLine } from '../interrupt-line.ts';
import type { IoHandler } from '../io-bus.ts';
import { HPET_VENDOR } from './hpet-place.ts';

/** As on Xen: 62.5 MHz. */
const TICK_NS = 16;
const PERIOD_FS = TICK_NS * 1_000_000;
const TIMERS = 3;
/** Registers of 64 bits (2.3.1); the comparators' follow from 0x100 on, 0x20 each: configuration, comparator, FSB route. */
const REG = { capabilities: 0x00, config: 0x10, status: 0x20, counter: 0xf0, timers: 0x100 } as const;
const CONFIG = { enable: 1 << 0, legacy: 1 << 1 } as const;
/** Timer configuration, 2.3.8. */
const TIMER = {
  level: 1 << 1,
  interrupt: 1 << 2,
  periodic: 1 << 3,
  periodicCapable: 1 << 4,
  wide: 1 << 5,
  setValue: 1 << 6,
  narrow: 1 << 8,
} as const;
const TIMER_WRITABLE = TIMER.level | TIMER.interrupt | TIMER.periodic | TIMER.setValue | TIMER.narrow | 0x3e00;
const routeOf = (config: number): number => (config >> 9) & 31;
/** GSIs that a comparator may be routed to: 20 to 23. */
const ROUTES = 0x00f0_0000;
/** What the comparators 0 and 1 are wired to while legacy routing is on (2.4.1). */
const LEGACY_IRQS = [0, 8] as const;

const MASK64 = 2n ** 64n - 1n;
const MASK32 = 0xffff_ffffn;
/** A periodic comparator does not fire more often than every 100 µs. */
const LEAST_TICKS = 6250n;
const LEAST_NS = 100_000;
/** How much faster than they were due missed interrupts come: Xen delivers them, too (HVM_PARAM_TIMER_MODE 1). */
const CATCH_UP = 4;
/** One second. */
const MOST_BEHIND_TICKS = 62_500_000n;
/** Alarms further away than this are not set: nobody will wait 11 days. */
const FAR_NS = 1e15;

export interface HpetOptions {
  readonly clock: Clock;
  /** A driver's end of a GSI 16..31, and of ISA lines 0 and 8. */
  readonly gsi: (gsi: number) => InterruptLine;
  readonly isa: (irq: number) => InterruptLine;
  /** Legacy routing goes on or off: while it is on, timer and RTC do not drive their lines. */
  readonly legacy: (on: boolean) => void;
}

interface Comparator {
  config: number;
  value: bigint;
  period: bigint;
  readonly alarm: Timer;
  line: InterruptLine | undefined;
}

export class Hpet implements IoHandler {
  readonly #options: HpetOptions;
  readonly #timers: readonly Comparator[];
  readonly #lines = new Map<string, InterruptLine>();
  #config = 0;
  #status = 0;
  /** While it counts: counter less clock ticks. While it stands: the counter. */
  #base = 0n;

  constructor(options: HpetOptions) {
    this.#options = options;
    this.#timers = Array.from({ length: TIMERS }, (_, i) => ({
      config: 0,
      value: MASK64,
      period: 0n,
      alarm: options.clock.timer(`hpet ${i}`, () => this.#fire(i)),
      line: undefined,
    }));
    this.reset();
  }

  reset(): void {
    if (this.#config & CONFIG.legacy) this.#options.legacy(false);
    this.#config = this.#status = 0;
    this.#base = 0n;
    for (const timer of this.#timers) {
      timer.config = TIMER.periodicCapable | TIMER.wide;
      timer.value = MASK64;
      timer.period = 0n;
      timer.alarm.cancel();
      timer.line?.lower();
      timer.line = undefined;
    }
  }

  read(offset: number, size: number): number {
    const value = this.#read64(offset & ~7) >> BigInt((offset & 7) * 8);
    return Number(value & (2n ** BigInt(size * 8) - 1n));
  }

  /** Registers take 32 bits at a time, aligned (2.3.2: nothing narrower). */
  write(offset: number, size: number, value: number): void {
    if (size !== 4 || offset & 3) return;
    this.#fireDue();
    const high = (offset & 4) !== 0;
    const at = offset & ~7;
    const old = this.#read64(at);
    const word = BigInt(value >>> 0);
    this.#write64(at, high ? (old & MASK32) | (word << 32n) : (old & ~MASK32 & MASK64) | word, high);
  }

  get #enabled(): boolean {
    return (this.#config & CONFIG.enable) !== 0;
  }

  #ticks(): bigint {
    return BigInt(Math.floor(this.#options.clock.nowNs() / TICK_NS));
  }

  get #counter(): bigint {
    return this.#enabled ? (this.#base + this.#ticks()) & MASK64 : this.#base;
  }

  #read64(at: number): bigint {
    switch (at) {
      case REG.capabilities:
        return (BigInt(PERIOD_FS) << 32n) | BigInt(HPET_VENDOR);
      case REG.config:
        return BigInt(this.#config);
      case REG.status:
        return BigInt(this.#status);
      case REG.counter:
        return this.#counter;
    }
    const timer = this.#timers[(at - REG.timers) >> 5];
    if (at < REG.timers || timer === undefined) return 0n;
    switch (at & 0x18) {
      case 0:
        return (BigInt(ROUTES) << 32n) | BigInt(timer.config);
      case 8:
        return timer.value;
      default:
        return 0n;
    }
  }

  #write64(at: number, value: bigint, high: boolean): void {
    const low = Number(value & MASK32);
    switch (at) {
      case REG.config:
        if (!high) this.#writeConfig(low);
        return;
      case REG.status:
        if (high) return;
        this.#status &= ~low;
        for (const [i, timer] of this.#timers.entries()) if (timer.config & TIMER.level) this.#drive(i);
        return;
      case REG.counter:
        // Meant to be written while it stands (2.3.7).
        this.#base = this.#enabled ? (value - this.#ticks()) & MASK64 : value;
        for (let i = 0; i < TIMERS; i++) this.#schedule(i);
        return;
    }
    const number = (at - REG.timers) >> 5;
    const timer = this.#timers[number];
    if (at < REG.timers || timer === undefined) return;
    if ((at & 0x18) === 0 && !high) {
      timer.config = (low & TIMER_WRITABLE) | TIMER.periodicCapable | TIMER.wide;
      this.#route(number);
    } else if ((at & 0x18) === 8) this.#writeComparator(timer, value, high);
    this.#schedule(number);
  }

  #writeConfig(value: number): void {
    const counter = this.#counter;
    const legacy = (this.#config ^ value) & CONFIG.legacy;
    this.#config = value & (CONFIG.enable | CONFIG.legacy);
    this.#base = this.#enabled ? (counter - this.#ticks()) & MASK64 : counter;
    if (legacy) this.#options.legacy((value & CONFIG.legacy) !== 0);
    for (let i = 0; i < TIMERS; i++) {
      this.#route(i);
      this.#schedule(i);
    }
  }

  /** In periodic mode what is written is the period, and with the set bit the next moment, too (2.3.9.2.2). */
  #writeComparator(timer: Comparator, value: bigint, high: boolean): void {
    const narrow = (timer.config & TIMER.narrow) !== 0;
    const kept = narrow ? value & MASK32 : value;
    if ((timer.config & TIMER.periodic) === 0 || timer.config & TIMER.setValue) timer.value = kept;
    if (timer.config & TIMER.periodic) {
      const word = high ? kept & ~MASK32 : kept & MASK32;
      const period = high ? (timer.period & MASK32) | word : (timer.period & ~MASK32) | word;
      timer.period = period === 0n ? 0n : period < LEAST_TICKS ? LEAST_TICKS : period;
    }
    // The set bit is good for one write of the whole comparator: of its low half in 32-bit mode.
    if (narrow || !high) timer.config &= ~TIMER.setValue;
  }

  /**
   * Sets the alarm for when the counter comes to the comparator, seen from clock tick `now`. A counter that has passed the comparator
   * meets it again only after it has wrapped, so what was decided at one reading of the clock has to be scheduled by the same.
   */
  #schedule(number: number, now: bigint = this.#ticks()): void {
    const timer = this.#timers[number] as Comparator;
    if (!this.#enabled) {
      timer.alarm.cancel();
      return;
    }
    const mask = timer.config & TIMER.narrow ? MASK32 : MASK64;
    const ticks = ((timer.value - this.#base - now - 1n) & mask) + 1n;
    const ns = Number(ticks) * TICK_NS;
    if (ns > FAR_NS) timer.alarm.cancel();
    else timer.alarm.arm(Number(now) * TICK_NS + ns);
  }

  /** What the counter has passed while the clock was not looked at is due before the guest changes anything. */
  #fireDue(): void {
    const now = this.#options.clock.nowNs();
    for (const [i, timer] of this.#timers.entries()) if (timer.alarm.deadlineNs <= now) this.#fire(i);
  }

  #fire(number: number): void {
    const timer = this.#timers[number] as Comparator;
    const mask = timer.config & TIMER.narrow ? MASK32 : MASK64;
    const now = this.#ticks();
    const behind = (this.#base + now - timer.value) & mask;
    const periodic = (timer.config & TIMER.periodic) !== 0 && timer.period > 0n;
    if (periodic) {
      // A guest that was away for long does not get the interrupts of that time.
      const periods = behind > MOST_BEHIND_TICKS ? behind / timer.period + 1n : 1n;
      timer.value = (timer.value + timer.period * periods) & mask;
    }
    if (timer.config & TIMER.level) {
      this.#status |= 1 << number;
      this.#drive(number);
    } else if (timer.config & TIMER.interrupt) {
      timer.line?.lower();
      timer.line?.raise();
    }
    const missed = periodic && behind >= timer.period && behind <= MOST_BEHIND_TICKS;
    // What it missed otherwise it gets, at four times the rate, so that it can take each.
    if (missed) timer.alarm.arm(this.#options.clock.nowNs() + Math.max(LEAST_NS, (Number(timer.period) * TICK_NS) / CATCH_UP));
    else this.#schedule(number, now);
  }

  #drive(number: number): void {
    const timer = this.#timers[number] as Comparator;
    if (timer.line !== undefined)
      setLine(timer.line, (this.#status & (1 << number)) !== 0 && (timer.config & TIMER.interrupt) !== 0);
  }

  /** Connects a comparator to where its interrupt goes now. */
  #route(number: number): void {
    const timer = this.#timers[number] as Comparator;
    const legacy = this.#config & CONFIG.legacy ? LEGACY_IRQS[number] : undefined;
    const gsi = routeOf(timer.config);
    const line =
      legacy !== undefined
        ? this.#line(`isa ${number}`, () => this.#options.isa(legacy))
        : ROUTES & (1 << gsi)
          ? this.#line(`gsi ${gsi} ${number}`, () => this.#options.gsi(gsi))
          : undefined;
    if (line === timer.line) return;
    timer.line?.lower();
    timer.line = line;
  }

  #line(name: string, make: () => InterruptLine): InterruptLine {
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = make();
      this.#lines.set(name, line);
    }
    return line;
  }
}
