// Events that wait for room in the guest's ring. Bounded: a guest that does not read gets no more, except that each key that it
// was told is down may still come up.
import { keyEvent } from './input-events.ts';

/** Events that may wait. */
export const MOST_WAITING = 1024;

export class InputQueue {
  #waiting: Uint8Array[] = [];
  /** Keys whose press was taken and whose release was not. */
  readonly #down = new Set<number>();

  get length(): number {
    return this.#waiting.length;
  }

  get keysDown(): readonly number[] {
    return [...this.#down];
  }

  /** False, and nothing is taken, when there is no room for all of them. */
  put(events: readonly Uint8Array[]): boolean {
    if (this.#waiting.length + events.length > MOST_WAITING) return false;
    this.#waiting.push(...events);
    return true;
  }

  /** False when there is no room, which there always is for the release of a key that is down. */
  key(code: number, pressed: boolean): boolean {
    const event = keyEvent(code, pressed);
    if (!pressed && this.#down.delete(code)) {
      this.#waiting.push(event);
      return true;
    }
    if (!this.put([event])) return false;
    if (pressed) this.#down.add(code);
    return true;
  }

  /** Takes up to `count` out, the oldest first. */
  take(count: number): readonly Uint8Array[] {
    return this.#waiting.splice(0, count);
  }
}
