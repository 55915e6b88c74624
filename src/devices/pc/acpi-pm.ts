// The fixed hardware of ACPI (specification 5.0, 4.8) at the addresses that Xen's tables give: PM1a event and control, the PM timer,
// one block of general purpose events. There is no SMI command: ACPI mode is always on.
import type { Clock, Timer } from '../../time/clock.ts';
import { type InterruptLine, setLine } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';

/** xen/public/hvm/ioreq.h, the V1 locations: PM1a event, control and timer follow each other. */
export const ACPI_PM: IoRange = { at: 0xb000, size: 12 };
export const ACPI_GPE0: IoRange = { at: 0xafe0, size: 4 };
export const PM1A_EVENT = 0xb000;
export const PM1A_CONTROL = 0xb004;
export const PM_TIMER = 0xb008;

export const PM_TIMER_HZ = 3_579_545;

/** PM1 status and enable, 4.8.3.1. */
const PM1 = { timer: 1 << 0, globalLock: 1 << 5, power: 1 << 8, sleep: 1 << 9, rtc: 1 << 10, wake: 1 << 15 } as const;
const PM1_ENABLES = PM1.timer | PM1.globalLock | PM1.power | PM1.sleep | PM1.rtc;
/** PM1 control, 4.8.3.2. */
const SCI_ENABLE = 1 << 0;
const SLEEP_ENABLE = 1 << 13;
const sleepType = (control: number): number => (control >> 10) & 7;

/** What SLP_TYP means in Xen's DSDT: \_S5, \_S3 and \_S4. */
export const SLEEP_TYPE = { s5: 0, s3: 1, s4: 6 } as const;

/** Bit 31 of the timer changes this often; its change is what the timer interrupt tells. */
const HALF_WRAP = 0x8000_0000;

export interface AcpiPmOptions {
  readonly clock: Clock;
  /** SCI: IRQ 9, level-triggered. */
  readonly sci: InterruptLine;
  /** The guest asks for a sleep state: `type` is SLP_TYP. */
  readonly sleep: (type: number) => void;
}

export class AcpiPm {
  readonly ports: IoHandler;
  readonly gpePorts: IoHandler;
  readonly #clock: Clock;
  readonly #sci: InterruptLine;
  readonly #sleep: (type: number) => void;
  readonly #alarm: Timer;
  #status = 0;
  #enable = 0;
  #control: number = SCI_ENABLE;
  #gpeStatus = 0;
  #gpeEnable = 0;
  /** Which half of the timer's range was told last. */
  #half = 0;

  constructor({ clock, sci, sleep }: AcpiPmOptions) {
    this.#clock = clock;
    this.#sci = sci;
    this.#sleep = sleep;
    this.#alarm = clock.timer('pm timer', () => this.#update());
    const bytes = bytePorts(
      (offset) => this.#readByte(offset),
      (offset, value) => this.#writeByte(offset, value),
    );
    this.ports = {
      read: (offset, size) => (offset === 8 && size === 4 ? this.#timer() : bytes.read(offset, size)),
      write: (offset, size, value) => {
        // In one piece, so that SLP_TYP and SLP_EN come together.
        if (offset === 4 && size >= 2) this.#writeControl(value & 0xffff);
        else bytes.write(offset, size, value);
      },
    };
    this.gpePorts = bytePorts(
      (offset) => (offset < 2 ? this.#gpeStatus >> (offset * 8) : this.#gpeEnable >> ((offset - 2) * 8)) & 0xff,
      (offset, value) => {
        if (offset < 2) this.#gpeStatus &= ~(value << (offset * 8));
        else this.#gpeEnable = replaceByte(this.#gpeEnable, offset - 2, value);
        this.#drive();
      },
    );
  }

  reset(): void {
    this.#status = this.#enable = this.#gpeStatus = this.#gpeEnable = 0;
    this.#control = SCI_ENABLE;
    this.#alarm.cancel();
    this.#drive();
  }

  /** Somebody presses the power button. */
  pressPower(): void {
    this.#status |= PM1.power;
    this.#drive();
  }

  pressSleep(): void {
    this.#status |= PM1.sleep;
    this.#drive();
  }

  /** A general purpose event, 0..15, has happened. */
  raiseGpe(number: number): void {
    this.#gpeStatus |= 1 << number;
    this.#drive();
  }

  #ticks(): number {
    // Whole seconds apart: the product would not be exact after three quarters of an hour.
    const now = this.#clock.nowNs();
    const seconds = Math.floor(now / 1e9);
    return seconds * PM_TIMER_HZ + Math.floor(((now - seconds * 1e9) * PM_TIMER_HZ) / 1e9);
  }

  /** 32 bits: the tables say so (TMR_VAL_EXT). */
  #timer(): number {
    return this.#ticks() % 0x1_0000_0000;
  }

  #readByte(offset: number): number {
    if (offset < 2) {
      this.#update();
      return (this.#status >> (offset * 8)) & 0xff;
    }
    if (offset < 4) return (this.#enable >> ((offset - 2) * 8)) & 0xff;
    if (offset < 6) return (this.#control >> ((offset - 4) * 8)) & 0xff;
    return offset < 8 ? 0 : Math.floor(this.#timer() / 2 ** ((offset - 8) * 8)) & 0xff;
  }

  #writeByte(offset: number, value: number): void {
    if (offset < 2) {
      this.#update();
      this.#status &= ~(value << (offset * 8));
    } else if (offset < 4) this.#enable = replaceByte(this.#enable, offset - 2, value) & PM1_ENABLES;
    else if (offset < 6) this.#writeControl(replaceByte(this.#control, offset - 4, value));
    this.#update();
  }

  #writeControl(value: number): void {
    this.#control = (value & ~SLEEP_ENABLE) | SCI_ENABLE;
    if (value & SLEEP_ENABLE) this.#sleep(sleepType(value));
  }

  /** Brings the timer's status bit up to now. */
  #update(): void {
    const half = Math.floor(this.#ticks() / HALF_WRAP);
    if (half !== this.#half) this.#status |= PM1.timer;
    this.#half = half;
    if (this.#enable & PM1.timer) this.#alarm.arm((((half + 1) * HALF_WRAP) / PM_TIMER_HZ) * 1e9 + 1);
    else this.#alarm.cancel();
    this.#drive();
  }

  #drive(): void {
    setLine(this.#sci, (this.#status & this.#enable) !== 0 || (this.#gpeStatus & this.#gpeEnable) !== 0);
  }
}

const replaceByte = (word: number, byte: number, value: number): number => (word & ~(0xff << (byte * 8))) | (value << (byte * 8));
