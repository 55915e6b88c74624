// 8254 programmable interval timer (Intel 231164), and port 0x61 of the PC, which gates its channel 2 and the speaker.
import type { Clock, Timer } from '../../time/clock.ts';
import type { InterruptLine } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import { bytePorts } from './byte-ports.ts';
import { PitChannel } from './pit-channel.ts';

export const PIT_PORTS: IoRange = { at: 0x40, size: 4 };
export const SPEAKER_PORT: IoRange = { at: 0x61, size: 1 };

/** Port 0x61. */
const SPEAKER = { gate: 1 << 0, data: 1 << 1, refresh: 1 << 4, output: 1 << 5 } as const;
/** What software may write and read back: gate, data, and the two NMI enables. */
const SPEAKER_WRITABLE = 0x0f;
/** Half of the 15 µs between two refreshes, which software has used to wait. */
const REFRESH_TOGGLE_NS = 15_085;

/** Read-back command (figure 11): low bits say what not to latch. */
const READ_BACK = 3;
const NO_COUNT = 0x20;
const NO_STATUS = 0x10;

/** Channel 0 interrupts no more often than this. */
const MIN_INTERRUPT_NS = 100_000;
/** How much faster than they were due missed interrupts come: Xen delivers them, too (HVM_PARAM_TIMER_MODE 1). */
const CATCH_UP = 4;
/** A guest that was away for longer does not get the interrupts of that time. */
const MOST_BEHIND_NS = 1e9;

export interface PitOptions {
  readonly clock: Clock;
  /** The output of channel 0: IRQ 0. */
  readonly interrupt: InterruptLine;
}

export class Pit {
  readonly ports: IoHandler;
  readonly speakerPort: IoHandler;
  readonly #clock: Clock;
  readonly #interrupt: InterruptLine;
  readonly #alarm: Timer;
  readonly #channels: readonly [PitChannel, PitChannel, PitChannel];
  #speaker = 0;
  /** When the next rise is, or was, due. */
  #dueNs = 0;
  #heard = true;

  constructor({ clock, interrupt }: PitOptions) {
    this.#clock = clock;
    this.#interrupt = interrupt;
    this.#alarm = clock.timer('pit', () => this.#fire());
    this.#channels = [new PitChannel(), new PitChannel(), new PitChannel()];
    this.ports = bytePorts(
      (offset) => (offset === 3 ? 0 : this.#channel(offset).read(clock.nowNs())),
      (offset, value) => this.#write(offset, value),
    );
    this.speakerPort = bytePorts(
      () => this.#readSpeaker(),
      (_, value) => {
        this.#speaker = value & SPEAKER_WRITABLE;
        this.#channels[2].setGate((value & SPEAKER.gate) !== 0, clock.nowNs());
      },
    );
    this.reset();
  }

  reset(): void {
    for (const channel of this.#channels) channel.reset();
    this.#channels[2].setGate(false, 0);
    this.#speaker = 0;
    this.#alarm.cancel();
    this.#interrupt.lower();
  }

  /** Whether channel 0's output goes anywhere: no alarm wakes the processor for one that nobody hears. */
  set heard(on: boolean) {
    this.#heard = on;
    this.#schedule(this.#clock.nowNs());
  }

  #channel(number: number): PitChannel {
    return this.#channels[number as 0 | 1 | 2];
  }

  #write(offset: number, value: number): void {
    const now = this.#clock.nowNs();
    if (offset !== 3) {
      this.#channel(offset).write(value, now);
      if (offset === 0) this.#schedule(now);
      return;
    }
    const select = value >> 6;
    if (select !== READ_BACK) {
      this.#channel(select).control(value, now);
      if (select === 0) this.#schedule(now);
      return;
    }
    for (let i = 0; i < 3; i++) {
      if ((value & (2 << i)) === 0) continue;
      if ((value & NO_COUNT) === 0) this.#channel(i).latchCount(now);
      if ((value & NO_STATUS) === 0) this.#channel(i).latchStatus(now);
    }
  }

  #readSpeaker(): number {
    const now = this.#clock.nowNs();
    const refresh = Math.floor(now / REFRESH_TOGGLE_NS) & 1 ? SPEAKER.refresh : 0;
    return this.#speaker | refresh | (this.#channels[2].output(now) ? SPEAKER.output : 0);
  }

  /** Brings IRQ 0 to where the output is, and sets the alarm for the next rise. */
  #schedule(now: number): void {
    const channel = this.#channels[0];
    if (channel.output(now)) this.#interrupt.raise();
    else this.#interrupt.lower();
    this.#arm(channel.nextRiseNs(now), now);
  }

  #fire(): void {
    const now = this.#clock.nowNs();
    const channel = this.#channels[0];
    const due = this.#dueNs;
    // A rise: the output was low before, if only for a moment.
    this.#interrupt.lower();
    this.#interrupt.raise();
    // From the rise that was due, not from now: one that comes late does not move the others.
    this.#arm(channel.nextRiseNs(now - due > MOST_BEHIND_NS ? now : due), now);
  }

  /** `riseNs` may be past: the guest gets what it missed, at four times the rate, so that it can take each. */
  #arm(riseNs: number, now: number): void {
    const period = riseNs - this.#dueNs;
    this.#dueNs = riseNs;
    if (!this.#heard || riseNs === Number.POSITIVE_INFINITY) this.#alarm.cancel();
    else this.#alarm.arm(Math.max(riseNs, now + Math.max(MIN_INTERRUPT_NS, riseNs < now ? period / CATCH_UP : 0)));
  }
}
