// Waiting for something with a limit: a time, a signal, or both.

/** How long something is waited for. */
export interface WaitLimits {
  /** Milliseconds, from now. Default: for ever. */
  readonly timeout?: number;
  /** Gives up waiting; what is rejected with is the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The longest a timer can be set to. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Several waits in a row within the limits of one. */
export class Deadline {
  readonly #end: number;
  readonly #signal: AbortSignal | undefined;

  /** @throws RangeError when the timeout is negative or not a number */
  constructor({ timeout = Number.POSITIVE_INFINITY, signal }: WaitLimits) {
    if (!(timeout >= 0)) throw new RangeError(`${timeout} is no time to wait; give milliseconds`);
    this.#end = performance.now() + timeout;
    this.#signal = signal;
  }

  /** What is left of them. */
  get limits(): WaitLimits {
    const left = Math.ceil(this.#end - performance.now());
    const signal = this.#signal;
    return { ...(Number.isFinite(left) && { timeout: Math.max(0, left) }), ...(signal !== undefined && { signal }) };
  }
}

export interface Settle<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * A promise that is settled by what `begin` starts, or rejected when a limit is reached.
 * @param begin starts waiting; what it returns ends it, whatever the outcome. It may settle at once.
 * @param tooLate the error of a timeout
 */
export function boundedWait<T>(
  limits: WaitLimits,
  tooLate: (timeout: number) => Error,
  begin: (settle: Settle<T>) => () => void,
): Promise<T> {
  const { timeout, signal } = limits;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    let settled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let end: (() => void) | undefined;
    const settle = (): void => {
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      end?.();
    };
    const fail = (error: unknown): void => {
      if (settled) return;
      settle();
      reject(error);
    };
    const abort = (): void => fail(signal?.reason);
    signal?.addEventListener('abort', abort);
    end = begin({
      resolve: (value) => {
        if (settled) return;
        settle();
        resolve(value);
      },
      reject: fail,
    });
    if (settled) end();
    else if (timeout !== undefined && timeout <= MAX_TIMEOUT_MS) timer = setTimeout(() => fail(tooLate(timeout)), timeout);
  });
}
