// What a keyboard and a mouse have in common: bytes on their way to the controller.

/** Bytes that a device keeps for a controller that does not take them. */
const QUEUE_BYTES = 64;

export abstract class Ps2Device {
  /** There are bytes to take. Set by the controller. */
  onData: () => void = () => {};
  /** The controller has taken a byte: there may be room for what waits. Set by the board. */
  onRoom: () => void = () => {};
  #queue: number[] = [];

  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  take(): number | undefined {
    return this.#queue.shift();
  }

  /** A byte from the host. */
  abstract receive(byte: number): void;

  /** As after power-up. */
  abstract reset(): void;

  /** An answer to the host: always sent. */
  protected answer(...bytes: number[]): void {
    this.#queue.push(...bytes.slice(0, QUEUE_BYTES - this.#queue.length));
    this.onData();
  }

  /** Something that happened: sent whole, or not at all. */
  protected report(bytes: readonly number[]): boolean {
    if (this.#queue.length + bytes.length > QUEUE_BYTES) return false;
    this.#queue.push(...bytes);
    this.onData();
    return true;
  }

  protected clear(): void {
    this.#queue = [];
  }
}

export const PS2_ACK = 0xfa;
export const PS2_SELF_TEST_PASSED = 0xaa;
export const PS2_RESEND = 0xfe;
