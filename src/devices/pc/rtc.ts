// MC146818 real-time clock with 256 bytes of CMOS memory behind ports 0x70 to 0x73. Sections are those of Motorola's datasheet.
// The alarm is watched only while its interrupt is enabled; the flags of the update and the periodic interrupt are always right.
import type { Clock, Timer } from '../../time/clock.ts';
import type { InterruptLine } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';
import { fromFields, type RtcFormat, readField, timeFields, writeField } from './rtc-time.ts';

export const RTC_PORTS: IoRange = { at: 0x70, size: 4 };
export const CMOS_BYTES = 256;

const REG = { seconds: 0, weekday: 6, day: 7, month: 8, year: 9, a: 10, b: 11, c: 12, d: 13, century: 0x32 } as const;
/** Register A: update in progress, the divider (010b runs, 11xb holds it in reset), the rate. */
const A = { uip: 1 << 7, dividerReset: 6 << 4, divider: 7 << 4, rate: 15 } as const;
const B = { set: 1 << 7, pie: 1 << 6, aie: 1 << 5, uie: 1 << 4, binary: 1 << 2, hours24: 1 << 1 } as const;
const C = { irq: 1 << 7, periodic: 1 << 6, alarm: 1 << 5, update: 1 << 4 } as const;
const VALID = 0x80;
const ALARMS = [1, 3, 5] as const;
/** An alarm byte with these bits matches anything. */
const DONT_CARE = 0xc0;

const SECOND_NS = 1e9;
/** UIP goes up this long before an update. */
const UIP_NS = 244_000;

export interface RtcOptions {
  readonly clock: Clock;
  /** IRQ 8. */
  readonly interrupt: InterruptLine;
  /** Seconds since 1970 when the clock showed 0, in the zone that the CMOS clock is to show. */
  readonly startSeconds: number;
  /** What the firmware is to find in the memory, by address 0x0e..0xff. */
  readonly cmos?: ReadonlyMap<number, number>;
}

export class Rtc {
  readonly ports: IoHandler;
  readonly #clock: Clock;
  readonly #interrupt: InterruptLine;
  readonly #startSeconds: number;
  readonly #periodic: Timer;
  readonly #second: Timer;
  readonly #cmos = new Uint8Array(CMOS_BYTES);
  #index = 0;
  #extendedIndex = 0;
  /** Seconds that the guest has set the clock ahead. */
  #offset = 0;
  /** The time as it was when SET stopped the updates. */
  #heldSeconds: number | undefined;
  /** What of register C is up. */
  #flags = 0;
  /** When register C was last read. */
  #clearedNs = 0;

  constructor(options: RtcOptions) {
    this.#clock = options.clock;
    this.#interrupt = options.interrupt;
    this.#startSeconds = options.startSeconds;
    this.#periodic = options.clock.timer('rtc periodic', () => this.#firePeriodic());
    this.#second = options.clock.timer('rtc second', () => this.#fireSecond());
    for (const [at, value] of options.cmos ?? []) this.#cmos[at] = value;
    this.#cmos[REG.a] = 0x26;
    this.#cmos[REG.b] = B.hours24;
    this.ports = bytePorts(
      (offset) => this.#readPort(offset),
      (offset, value) => this.#writePort(offset, value),
    );
  }

  /** RESET (2.2): interrupts off; time and memory stay. */
  reset(): void {
    (this.#cmos[REG.b] as number) &= ~(B.pie | B.aie | B.uie);
    this.#flags = 0;
    this.#index = this.#extendedIndex = 0;
    this.#interrupt.lower();
    this.#arm();
  }

  #readPort(offset: number): number {
    if (offset === 1) return this.#read(this.#index);
    if (offset === 3) return this.#read(this.#extendedIndex);
    // The index of the low bank is write-only in a PIIX3.
    return offset === 0 ? 0xff : this.#extendedIndex;
  }

  #writePort(offset: number, value: number): void {
    // Bit 7 of port 0x70 masks NMIs, which have no source here.
    if (offset === 0) this.#index = value & 0x7f;
    else if (offset === 2) this.#extendedIndex = value;
    else this.#write(offset === 1 ? this.#index : this.#extendedIndex, value);
  }

  get #b(): number {
    return this.#cmos[REG.b] as number;
  }

  get #format(): RtcFormat {
    return { binary: (this.#b & B.binary) !== 0, hours24: (this.#b & B.hours24) !== 0 };
  }

  get #running(): boolean {
    return (this.#b & B.set) === 0 && ((this.#cmos[REG.a] as number) & A.dividerReset) !== A.dividerReset;
  }

  /** The time it shows, in whole seconds since 1970. */
  #nowSeconds(): number {
    return this.#heldSeconds ?? this.#startSeconds + this.#offset + Math.floor(this.#clock.nowNs() / SECOND_NS);
  }

  #read(at: number): number {
    if (at === REG.c) return this.#readC();
    if (at === REG.d) return VALID;
    if (at === REG.a) {
      const untilUpdate = SECOND_NS - (this.#clock.nowNs() % SECOND_NS);
      const uip = this.#running && untilUpdate <= UIP_NS ? A.uip : 0;
      return ((this.#cmos[at] as number) & ~A.uip) | uip;
    }
    return readField(at, this.#nowSeconds(), this.#format) ?? (this.#cmos[at] as number);
  }

  #readC(): number {
    const now = this.#clock.nowNs();
    const b = this.#b;
    if (this.#running && Math.floor(now / SECOND_NS) > Math.floor(this.#clearedNs / SECOND_NS)) this.#flags |= C.update;
    const period = this.#periodNs;
    if (period > 0 && Math.floor(now / period) > Math.floor(this.#clearedNs / period)) this.#flags |= C.periodic;
    const flags = this.#flags | (this.#flags & b & (C.periodic | C.alarm | C.update) ? C.irq : 0);
    this.#flags = 0;
    this.#clearedNs = now;
    this.#interrupt.lower();
    return flags;
  }

  #write(at: number, value: number): void {
    switch (at) {
      case REG.a:
        this.#cmos[at] = value & ~A.uip;
        this.#hold();
        this.#arm();
        return;
      case REG.b:
        this.#cmos[at] = value;
        this.#hold();
        this.#arm();
        this.#drive();
        return;
      case REG.c:
      case REG.d:
        return;
    }
    const fields = timeFields(this.#nowSeconds());
    if (writeField(at, value, this.#format, fields)) {
      const seconds = fromFields(fields);
      if (this.#heldSeconds !== undefined) this.#heldSeconds = seconds;
      else this.#offset += seconds - this.#nowSeconds();
    } else this.#cmos[at] = value;
  }

  /** SET, or the divider's reset, stops the time; without them it goes on from what it shows. */
  #hold(): void {
    if (!this.#running) this.#heldSeconds ??= this.#nowSeconds();
    else if (this.#heldSeconds !== undefined) {
      const seconds = this.#heldSeconds;
      this.#heldSeconds = undefined;
      this.#offset += seconds - this.#nowSeconds();
    }
  }

  /** Nanoseconds of the rate in register A (table 5, 32768 Hz); 0 when there is none. */
  get #periodNs(): number {
    const a = this.#cmos[REG.a] as number;
    const rate = a & A.rate;
    if (rate === 0 || (a & A.divider) !== 0x20) return 0;
    return (1 << ((rate < 3 ? rate + 7 : rate) - 1)) * (1e9 / 32768);
  }

  #arm(): void {
    const now = this.#clock.nowNs();
    const b = this.#b;
    const period = this.#periodNs;
    if (b & B.pie && period > 0) this.#periodic.arm((Math.floor(now / period) + 1) * period);
    else this.#periodic.cancel();
    if (b & (B.uie | B.aie) && this.#running) this.#second.arm((Math.floor(now / SECOND_NS) + 1) * SECOND_NS);
    else this.#second.cancel();
  }

  #firePeriodic(): void {
    this.#flags |= C.periodic;
    this.#drive();
    const now = this.#clock.nowNs();
    this.#periodic.arm((Math.floor(now / this.#periodNs) + 1) * this.#periodNs);
  }

  #fireSecond(): void {
    this.#flags |= C.update;
    if (this.#alarmMatches()) this.#flags |= C.alarm;
    this.#drive();
    this.#second.arm((Math.floor(this.#clock.nowNs() / SECOND_NS) + 1) * SECOND_NS);
  }

  #alarmMatches(): boolean {
    const now = this.#nowSeconds();
    return ALARMS.every((at) => {
      const alarm = this.#cmos[at] as number;
      return (alarm & DONT_CARE) === DONT_CARE || alarm === readField(at - 1, now, this.#format);
    });
  }

  #drive(): void {
    if (this.#flags & this.#b & (C.periodic | C.alarm | C.update)) this.#interrupt.raise();
    else this.#interrupt.lower();
  }
}
