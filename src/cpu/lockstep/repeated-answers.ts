// What does not answer the same twice, the clock and RDRAND: the second run is given the answers of the first.
import type { Compute } from '../computes.ts';
import type { Cpu } from '../cpu.ts';
import { STATE } from '../state.ts';

const SCRATCH_BYTES = 64;
const NOT_REPEATABLE: ReadonlySet<string> = new Set(['rdrand']);

export class RepeatedAnswers {
  readonly #cpu: Cpu;
  readonly #answers: { readonly status: number; readonly scratch: Uint8Array }[] = [];
  #phase: 'off' | 'record' | 'repeat' = 'off';
  #next = 0;
  readonly #ticks: number[] = [];
  #nextTicks = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  record(): void {
    this.#phase = 'record';
    this.#answers.length = 0;
    this.#ticks.length = 0;
  }
  /** From the first answer on. */
  repeat(): void {
    this.#phase = 'repeat';
    this.#next = 0;
    this.#nextTicks = 0;
  }
  stop(): void {
    this.#phase = 'off';
  }

  /** What the clock says, or said at this place the first time. */
  ticks(clock: () => number): number {
    const now = (this.#phase === 'repeat' ? this.#ticks[this.#nextTicks++] : undefined) ?? clock();
    if (this.#phase === 'record') this.#ticks.push(now);
    return now;
  }

  /** The computations of these names: those that would answer something else take part in this. */
  amend(names: readonly string[], computes: readonly Compute[]): readonly Compute[] {
    return computes.map((compute, i) => (NOT_REPEATABLE.has(names[i] ?? '') ? this.#of(compute) : compute));
  }

  /** The computation, or what it answered at this place the first time. */
  #of(compute: Compute): Compute {
    return (argument) => {
      const known = this.#phase === 'repeat' ? this.#answers[this.#next++] : undefined;
      const status = compute(argument);
      if (known !== undefined) {
        this.#cpu.u8.set(known.scratch, STATE.scratch);
        return known.status;
      }
      if (this.#phase === 'record')
        this.#answers.push({ status, scratch: this.#cpu.u8.slice(STATE.scratch, STATE.scratch + SCRATCH_BYTES) });
      return status;
    };
  }
}
