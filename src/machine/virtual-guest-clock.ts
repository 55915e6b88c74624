// Guest time made of instructions: each that is retired takes a nanosecond, and while the vCPU has nothing to do, time goes to
// the next deadline at once. Equal runs have equal times. docs/design/0010.
import { STATE } from '../cpu/state.ts';
import type { GuestTime } from './guest-time.ts';
import { CLOCK, type MachinePlan } from './machine-plan.ts';

/**
 * Nanoseconds an instruction takes: at the TSC's 1 GHz one instruction a cycle, which is what guests find plausible when they
 * calibrate by it.
 */
const NS_PER_INSTRUCTION = 1;

export class VirtualGuestClock implements GuestTime {
  readonly #times: Float64Array;
  readonly #words: Int32Array;
  readonly #retired: number;
  readonly #path: number;

  /** @param plan of one vCPU; the clock's region is zero for a new domain */
  constructor(buffer: SharedArrayBuffer, { clock, vcpus }: MachinePlan) {
    const cpu = vcpus[0]?.cpu;
    if (cpu === undefined || vcpus.length > 1) throw new RangeError('virtual time is made of the instructions of one vCPU');
    this.#times = new Float64Array(buffer, clock.at, CLOCK.sizeof / 8);
    this.#words = new Int32Array(buffer);
    this.#path = (clock.at + CLOCK.path) >>> 2;
    this.#retired = (cpu.at + STATE.retired) >>> 2;
  }

  /** Nanoseconds of guest system time, whole ones: exact while the vCPU is out of the engine, else as of when it last was. */
  readonly nowNs = (): number => this.#instructions() * NS_PER_INSTRUCTION + (this.#times[CLOCK.skipped / 8] as number);

  /** The most instructions that end before `ns` has passed, or just then. */
  instructionsIn(ns: number): number {
    return Math.ceil(ns / NS_PER_INSTRUCTION);
  }

  /** The vCPU sleeps until a moment to come. On its own thread. */
  skipTo(ns: number): void {
    const at = CLOCK.skipped / 8;
    this.#times[at] = (this.#times[at] as number) + Math.max(0, Math.ceil(ns) - this.nowNs());
  }

  /** When the I/O side has something to do; Infinity when it has not. */
  get ioDeadlineNs(): number {
    return this.#times[CLOCK.ioDeadline / 8] || Number.POSITIVE_INFINITY;
  }

  set ioDeadlineNs(ns: number) {
    this.#times[CLOCK.ioDeadline / 8] = Number.isFinite(ns) ? Math.max(1, ns) : 0;
  }

  /**
   * A hash of the vCPU's path so far, 16 hexadecimal digits: of where it was, and after how many instructions, whenever it left
   * the engine. Two runs with the same one have run the same.
   */
  get path(): string {
    const [a, b] = [0, 1].map((i) => (this.#words[this.#path + i] as number) >>> 0) as [number, number];
    return a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0');
  }

  /** It stands still by itself while the vCPU does not run. */
  stop(): void {}

  start(): number {
    return 0;
  }

  /** Its memory has been emptied. */
  reset(): void {}

  #instructions(): number {
    for (;;) {
      const high = Atomics.load(this.#words, this.#retired + 1);
      const low = Atomics.load(this.#words, this.#retired);
      if (Atomics.load(this.#words, this.#retired + 1) === high) return (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
    }
  }
}
