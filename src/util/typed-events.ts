// Events with a type for each name: listeners, and promises of the next one.
import { boundedWait, type Settle, type WaitLimits } from './bounded-wait.ts';

/** Waiting for one event. */
export interface OnceOptions<T> extends WaitLimits {
  /** Which of them is waited for. Default: the next. */
  readonly where?: (event: T) => boolean;
}

type Listener = (event: never) => void;

/** What one can listen to; `Events` maps names to what listeners are given. */
export class TypedEvents<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<{ readonly call: Listener }>>();
  readonly #waiting = new Set<Settle<never>>();
  #closed: ((name: string) => Error) | undefined;

  /**
   * Calls the listener with each event of this name, in the order in which listeners came. Disposing of the result ends
   * that. What a listener throws is an uncaught exception of the process, and the other listeners are called all the same.
   */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): Disposable {
    const entry = { call: listener as Listener };
    const entries = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, entries.add(entry));
    return { [Symbol.dispose]: () => void entries.delete(entry) };
  }

  /**
   * Resolves with the next event of this name that `options.where` accepts.
   * @throws an Error named TimeoutError, the signal's reason, or the error of `close` when no event can come any more
   */
  once<K extends keyof Events & string>(name: K, options: OnceOptions<Events[K]> = {}): Promise<Events[K]> {
    const { where = () => true } = options;
    return boundedWait<Events[K]>(
      options,
      (timeout) => Object.assign(new Error(`no such event '${name}' within ${timeout} ms`), { name: 'TimeoutError' }),
      (settle) => {
        if (this.#closed !== undefined) {
          settle.reject(this.#closed(name));
          return () => {};
        }
        const subscription = this.on(name, (event) => {
          try {
            if (where(event)) settle.resolve(event);
          } catch (error) {
            settle.reject(error);
          }
        });
        const waiting = { ...settle, reject: () => settle.reject(this.#closed?.(name)) } as Settle<never>;
        this.#waiting.add(waiting);
        return () => {
          subscription[Symbol.dispose]();
          this.#waiting.delete(waiting);
        };
      },
    );
  }

  /** Whether anybody listens: what is costly to make need not be made otherwise. */
  has(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const { call } of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (call as (event: Events[K]) => void)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** No event comes any more: rejects what waits for one. @param why makes the error, given the event's name */
  close(why: (name: string) => Error): void {
    this.#closed ??= why;
    for (const { reject } of [...this.#waiting]) reject(undefined);
  }
}
