// A vCPU in virtual time: it runs only while the I/O side has nothing to do. docs/design/0010.
import { REQUEST, STATE } from '../cpu/state.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { CLOCK, CONTROL, type MachinePlan } from './machine-plan.ts';
import type { VcpuMessage } from './vcpu-parts.ts';
import { VirtualGuestClock } from './virtual-guest-clock.ts';

/** Instructions without a look at anything, when nothing is due: so often at least is it noted where the guest is. */
const MOST = 1 << 16;

/** Words of the state that are noted: RIP, RAX, RSP, the instructions retired. */
const NOTED = [STATE.rip, STATE.rip + 4, STATE.gpr, STATE.gpr + 32, STATE.retired, STATE.retired + 4].map((at) => at >>> 2);

export class VirtualVcpu {
  readonly time: VirtualGuestClock;
  readonly #i32: Int32Array;
  readonly #post: (message: VcpuMessage) => void;
  /** Indices of the shared words. */
  readonly #request: number;
  readonly #stop: number;
  readonly #pause: number;
  readonly #settled: number;
  /** Where it has been, hashed: two words. */
  readonly #path: Uint32Array;
  readonly #cpu: number;
  /** The devices of the start have to be there before the first instruction. */
  #owes = true;
  #ticket = 0;

  constructor(memory: GuestMemory, plan: MachinePlan, post: (message: VcpuMessage) => void) {
    this.time = new VirtualGuestClock(memory.buffer, plan);
    this.#i32 = memory.i32;
    this.#post = post;
    this.#path = new Uint32Array(memory.buffer, plan.clock.at + CLOCK.path, 2);
    this.#cpu = (plan.vcpus[0]?.cpu.at ?? 0) >>> 2;
    const control = plan.control.at;
    this.#request = this.#cpu + (STATE.request >>> 2);
    this.#stop = (control + CONTROL.stop) >>> 2;
    this.#pause = (control + CONTROL.pause) >>> 2;
    this.#settled = (control + CONTROL.settled) >>> 2;
  }

  /** The I/O side has been told something, or may have been while the guest was held. */
  owe(): void {
    this.#owes = true;
  }

  /** Whether the I/O side has something to do before the guest goes on. */
  get owes(): boolean {
    return this.#owes || this.time.ioDeadlineNs <= this.time.nowNs();
  }

  /** Waits until it is done. False when the vCPU is to park or to end first; where it was not done, it is owed still. */
  settle(): boolean {
    const i32 = this.#i32;
    this.#ticket = (this.#ticket + 1) | 0;
    this.#post({ type: 'settle', ticket: this.#ticket });
    for (;;) {
      // The bit is the last that the I/O side does: no kick of its own comes behind it, in the middle of the guest's code.
      const request = Atomics.exchange(i32, this.#request, 0);
      if ((request & REQUEST.settled) !== 0 && Atomics.load(i32, this.#settled) === this.#ticket) break;
      if (Atomics.load(i32, this.#stop) !== 0 || Atomics.load(i32, this.#pause) !== 0) {
        this.#owes = true;
        return false;
      }
      Atomics.wait(i32, this.#request, 0);
    }
    this.#owes = false;
    // Held meanwhile, it parks here whichever of the two it saw first, and not some instructions later.
    return Atomics.load(i32, this.#pause) === 0;
  }

  /** Instructions to run when the vCPU's own next timer is due at `deadlineNs`: until it is, or the I/O side's. */
  budget(deadlineNs: number): number {
    const { time } = this;
    const ns = Math.min(deadlineNs, time.ioDeadlineNs) - time.nowNs();
    return Math.min(MOST, Math.max(1, time.instructionsIn(ns)));
  }

  /** The vCPU has left the engine: where it is, and after how many instructions, goes into the hash of its path. */
  note(): void {
    const i32 = this.#i32;
    for (const word of NOTED) this.#mix(i32[this.#cpu + word] as number);
  }

  /** Two hashes of the FNV-1a kind over words, with different primes. */
  #mix(word: number): void {
    const path = this.#path;
    path[0] = Math.imul((path[0] as number) ^ word, 0x0100_0193) + 1;
    path[1] = Math.imul(((path[1] as number) >>> 15) ^ ((path[1] as number) << 7) ^ word, 0x85eb_ca6b) + 1;
  }

  /** Nothing to run: goes on to the next deadline. False when there is none. */
  skip(deadlineNs: number): boolean {
    if (this.owes) return true;
    const next = Math.min(deadlineNs, this.time.ioDeadlineNs);
    if (next === Number.POSITIVE_INFINITY) return false;
    this.time.skipTo(next);
    return true;
  }
}
