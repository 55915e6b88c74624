// A domain's time: the host's, or one made of instructions, in which what lives in domain 0 keeps pace with the guest.
import { REQUEST } from '../cpu/state.ts';
import { type IoPace, REAL_PACE } from '../io/io-pace.ts';
import { GuestClock, type TimeOrigin } from './guest-clock.ts';
import type { GuestTime } from './guest-time.ts';
import { kickVcpu } from './kick.ts';
import type { MachineImage } from './machine-image.ts';
import { CONTROL } from './machine-plan.ts';
import { VirtualGuestClock } from './virtual-guest-clock.ts';
import { VirtualPace } from './virtual-pace.ts';

export class DomainTime {
  readonly clock: GuestTime;
  readonly #image: MachineImage;
  readonly #virtual: { readonly clock: VirtualGuestClock; readonly pace: VirtualPace } | undefined;
  #settling: Promise<void> = Promise.resolve();

  /** @param origin see `timeOrigin` */
  constructor(image: MachineImage, origin: TimeOrigin) {
    this.#image = image;
    const { epochMs, memory, plan } = image;
    if (epochMs === undefined) this.clock = new GuestClock(origin, memory.buffer, plan.clock);
    else {
      const clock = new VirtualGuestClock(memory.buffer, plan);
      this.clock = clock;
      this.#virtual = { clock, pace: new VirtualPace(clock, () => kickVcpu(memory, plan, 0)) };
    }
  }

  get virtual(): boolean {
    return this.#virtual !== undefined;
  }

  /** The pace of what lives in domain 0. */
  get pace(): IoPace {
    return this.#virtual?.pace ?? REAL_PACE;
  }

  /** Of virtual time: see {@link VirtualGuestClock.path}. */
  get path(): string | undefined {
    return this.#virtual?.clock.path;
  }

  /** The vCPU waits for what it has caused: `ticket` is stored for it once that is done. @throws what the work failed with */
  settle(ticket: number): Promise<void> {
    const { memory, plan } = this.#image;
    this.#settling = this.#settling.then(async () => {
      await this.#virtual?.pace.settled();
      Atomics.store(memory.i32, (plan.control.at + CONTROL.settled) >>> 2, ticket);
      kickVcpu(memory, plan, 0, REQUEST.settled);
    });
    return this.#settling;
  }

  /** The guest has ended: nobody waits any more. */
  close(): void {
    this.#virtual?.pace.close();
  }
}
