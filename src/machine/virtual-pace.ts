// The I/O side of a domain whose time is virtual. The guest stands still until everything that it has asked for is done
// ("settled"), so that it finds the same answers at the same instruction in every run. Nothing is guessed with timeouts: work under
// way is counted, and what is put off waits for guest time.
import type { IoPace } from '../io/io-pace.ts';
import { AlarmClock } from '../time/clock.ts';
import type { VirtualGuestClock } from './virtual-guest-clock.ts';

export class VirtualPace implements IoPace {
  readonly #time: VirtualGuestClock;
  readonly #kick: () => void;
  readonly #alarms: AlarmClock;
  readonly #turns: (() => void)[] = [];
  #channel: MessageChannel | undefined;
  /** Works under way, and what was put off for a moment. */
  #underWay = 0;
  #onIdle: (() => void) | undefined;
  /** Settles when the work that was begun last has. */
  #last: Promise<unknown> = Promise.resolve();
  #settling = false;
  #closed = false;

  /** @param kick has the vCPU look at the deadline */
  constructor(time: VirtualGuestClock, kick: () => void) {
    this.#time = time;
    this.#kick = kick;
    this.#alarms = new AlarmClock(time.nowNs);
  }

  after(ms: number, run: () => void): Disposable {
    if (ms <= 0) return this.#soon(run);
    const alarm = this.#alarms.timer('io', () => {
      this.#alarms.forget(alarm);
      run();
    });
    alarm.arm(this.#time.nowNs() + ms * 1e6);
    this.#publish();
    return {
      [Symbol.dispose]: () => {
        this.#alarms.forget(alarm);
        this.#publish();
      },
    };
  }

  during<T>(work: Promise<T>): Promise<T> {
    this.#underWay++;
    const inTurn = Promise.allSettled([work, this.#last]).then(() => work);
    this.#last = inTurn.catch(() => {});
    const end = (): void => this.#ended();
    inTurn.then(end, end);
    return inTurn;
  }

  /** Resolves when all that guest time has made due, and all that came of it, is done. One at a time. */
  async settled(): Promise<void> {
    this.#settling = true;
    this.#alarms.runDue();
    // What the vCPU posted before it asked has had its turn, and its microtasks theirs; timers that ran just now have not.
    for (;;) {
      await this.#turn();
      if (this.#underWay === 0 || this.#closed) break;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#settling = false;
    this.#publish();
  }

  /** The guest has ended: nobody waits any more, and nothing that was put off is done. */
  close(): void {
    this.#closed = true;
    this.#channel?.port1.close();
    this.#channel = undefined;
    for (const resolve of this.#turns.splice(0)) resolve();
    this.#onIdle?.();
  }

  #soon(run: () => void): Disposable {
    let waits = true;
    this.#underWay++;
    void this.#turn().then(() => {
      try {
        if (waits && !this.#closed) run();
      } finally {
        this.#ended();
      }
    });
    return {
      [Symbol.dispose]: () => {
        waits = false;
      },
    };
  }

  #ended(): void {
    this.#underWay--;
    if (this.#underWay > 0) return;
    this.#onIdle?.();
    this.#onIdle = undefined;
  }

  /** Resolves after the tasks that wait now, and all their microtasks. */
  #turn(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#channel === undefined) {
      this.#channel = new MessageChannel();
      this.#channel.port1.onmessage = () => this.#turns.shift()?.();
    }
    const { port2 } = this.#channel;
    return new Promise((resolve) => {
      this.#turns.push(resolve);
      port2.postMessage(0);
    });
  }

  #publish(): void {
    if (this.#closed) return;
    this.#time.ioDeadlineNs = this.#alarms.nextDeadlineNs();
    // The vCPU looks by itself once it may go on.
    if (!this.#settling) this.#kick();
  }
}
