// A domain's console for any number of clients: what was printed last, and who may type. It outlives the guest that is
// connected to it, which another one replaces when the domain is restarted.
import { ByteHistory } from './byte-history.ts';

/** The guest's side. */
export interface ConsolePort {
  /** Calls the listener with what the guest prints. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposable;
  /** Types into the guest; returns how many bytes were taken. */
  write(bytes: Uint8Array): number;
}

export interface ConsoleSize {
  readonly columns: number;
  readonly rows: number;
}

/** One who is attached. */
export interface ConsoleClient {
  /** Somebody's terminal has another size now. */
  resized(size: ConsoleSize): void;
}

export class ConsoleHub {
  readonly history = new ByteHistory();
  readonly #clients = new Set<ConsoleClient>();
  #port: ConsolePort | undefined;
  #output: Disposable | undefined;
  #writer: ConsoleClient | undefined;
  #size: ConsoleSize | undefined;

  constructor(port?: ConsolePort) {
    if (port !== undefined) this.connect(port);
  }

  /** Connects a guest, in place of the one before. */
  connect(port: ConsolePort): void {
    this.#output?.[Symbol.dispose]();
    this.#port = port;
    this.#output = port.onOutput((bytes) => this.history.append(bytes));
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** Whether one client alone may type. */
  get exclusive(): boolean {
    return this.#writer !== undefined;
  }

  /** What the last client to say so has as its terminal's size. */
  get size(): ConsoleSize | undefined {
    return this.#size;
  }

  /** @param exclusive nobody else may type. Returns false when somebody else is attached so. */
  attach(client: ConsoleClient, exclusive: boolean): boolean {
    if (exclusive && this.#writer !== undefined && this.#writer !== client) return false;
    this.#clients.add(client);
    if (exclusive) this.#writer = client;
    return true;
  }

  detach(client: ConsoleClient): void {
    this.#clients.delete(client);
    if (this.#writer === client) this.#writer = undefined;
  }

  /** Types; returns how many bytes were taken, undefined when another client alone may type. */
  write(client: ConsoleClient, bytes: Uint8Array): number | undefined {
    if (this.#writer !== undefined && this.#writer !== client) return undefined;
    return this.#port?.write(bytes) ?? 0;
  }

  resize(client: ConsoleClient, size: ConsoleSize): void {
    this.#size = size;
    for (const other of this.#clients) if (other !== client) other.resized(size);
  }
}
