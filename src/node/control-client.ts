// The other end of a monitor connection: commands as promises, events as they come.
import type { Socket } from 'node:net';
import type { ControlErrorClass } from '../control/control-error.ts';
import { LineSplitter } from '../control/line-splitter.ts';
import { ControlConnectionError } from './control-error.ts';

/** The monitor refused a command; `message` is its description. */
export class ControlCommandError extends Error {
  override readonly name = 'ControlCommandError';
  readonly class: ControlErrorClass;
  /** Of a 'StoreError': 'ENOENT', 'EACCES'… */
  readonly errno: string | undefined;

  constructor(kind: ControlErrorClass, message: string, errno?: string) {
    super(message);
    this.class = kind;
    this.errno = errno;
  }
}

export interface ControlGreeting {
  readonly version: { readonly package: string };
  readonly domain: { readonly id: number; readonly domid: number; readonly name: string; readonly uuid: string };
}

export interface ClientEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly timestamp: { readonly seconds: number; readonly microseconds: number };
}

/** Longest line from a monitor: a whole XenStore, or the event channels of a large guest. */
const MAX_REPLY_BYTES = 64 * 2 ** 20;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

type Message = Readonly<Record<string, unknown>>;

/** Use `connectControl`. */
export class ControlClient implements Disposable {
  /** What the monitor says of itself. Rejects when it says something else, or nothing. */
  readonly greeting: Promise<ControlGreeting>;
  /** Resolves when the connection is closed, from whichever side. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #domain: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  #greet: Waiting | undefined;
  #nextId = 1;
  #failure: Error | undefined;

  /** @param domain what the domain is called in errors */
  constructor(socket: Socket, domain: string) {
    this.#socket = socket;
    this.#domain = domain;
    this.greeting = new Promise((resolve, reject) => {
      this.#greet = { resolve: resolve as (value: unknown) => void, reject };
    });
    this.greeting.catch(() => {});
    const splitter = new LineSplitter(
      (line) => this.#receive(line),
      () => this.#fail(this.#protocolError('a line that is too long')),
      MAX_REPLY_BYTES,
    );
    socket.on('data', (chunk) => splitter.push(chunk));
    socket.on('error', () => {}); // 'close' follows
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail(new ControlConnectionError('ended', `the domain ${domain} has ended`, 'see `dom1 list` for those that run'));
        resolve();
      });
    });
  }

  /**
   * What the command returns.
   * @throws ControlCommandError when the monitor refuses it, ControlConnectionError when the connection ends before
   */
  execute(command: string, given: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: given, id })}\n`);
    });
  }

  /** Calls the listener with each event; disposing ends that. */
  onEvent(listener: (event: ClientEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #receive(line: string): void {
    let message: Message;
    try {
      message = JSON.parse(line) as Message;
    } catch {
      return this.#fail(this.#protocolError('a line that is no JSON'));
    }
    if (typeof message !== 'object' || message === null) return this.#fail(this.#protocolError('a line that is no object'));
    if (this.#greet !== undefined) return this.#greeted(message);
    if (typeof message['event'] === 'string') {
      const event = { data: {}, ...message } as unknown as ClientEvent;
      for (const listener of this.#listeners) listener(event);
      return;
    }
    const waiting = this.#waiting.get(message['id'] as number);
    if (waiting === undefined) return this.#fail(this.#protocolError('a reply to nothing'));
    this.#waiting.delete(message['id'] as number);
    if ('error' in message) waiting.reject(commandError(message['error']));
    else waiting.resolve(message['return']);
  }

  #greeted(message: Message): void {
    const greeting = message['dom1'] as Partial<ControlGreeting> | undefined;
    if (typeof greeting?.domain?.id === 'number' && typeof greeting.domain.domid === 'number') {
      this.#greet?.resolve(greeting);
      this.#greet = undefined;
      return;
    }
    const error = message['error'] === undefined ? undefined : commandError(message['error']);
    this.#fail(
      error?.class === 'TooManyConnections'
        ? new ControlConnectionError('busy', `the domain ${this.#domain} has too many connections`, 'end one of them first')
        : this.#protocolError('no greeting'),
    );
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#greet?.reject(this.#failure);
    this.#greet = undefined;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
    this.#socket.destroy();
  }

  #protocolError(what: string): ControlConnectionError {
    return new ControlConnectionError(
      'protocol',
      `the domain ${this.#domain} sent ${what}`,
      'use the version of dom1 that runs the domain',
    );
  }
}

function commandError(error: unknown): ControlCommandError {
  const { class: kind, desc, errno } = (error ?? {}) as { class?: ControlErrorClass; desc?: unknown; errno?: unknown };
  return new ControlCommandError(kind ?? 'GenericError', String(desc), typeof errno === 'string' ? errno : undefined);
}
