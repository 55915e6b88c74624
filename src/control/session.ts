// One connection to the monitor: lines of JSON in, lines of JSON out. Like QEMU's QMP, without its negotiation: a greeting,
// then replies in the order of the requests, and events in between.
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';
import { checkArguments } from './argument-spec.ts';
import { CONTROL_COMMANDS } from './command-table.ts';
import { versionJson } from './commands/monitor-commands.ts';
import type { CommandContext } from './control-command.ts';
import { asControlError, ControlError } from './control-error.ts';
import { type ControlEvent, endEvents, stateEvent } from './lifecycle-events.ts';
import { LineSplitter, MAX_LINE_BYTES } from './line-splitter.ts';
import type { MonitorTarget } from './monitor-target.ts';
import { BadRequest, parseRequest, type RequestId } from './request.ts';
import { SessionWatches } from './session-watches.ts';

/** The other side of a session. */
export interface SessionPeer {
  /** Sends a line; it has no line feed. */
  send(line: string): void;
  /** Asks to hold `receive` back, because requests wait, or to go on. */
  hold?(on: boolean): void;
}

export interface SessionOptions {
  readonly target: MonitorTarget;
  /** dom1's version. */
  readonly version: string;
  readonly peer: SessionPeer;
  /** Milliseconds since 1970, for the events. */
  readonly nowMs: () => number;
  /** The domain's number on this host; default: its domid. */
  readonly hostId?: number;
}

/** Requests that may wait for those before them until the peer is asked to hold back. */
const MAX_WAITING = 16;

const COMMANDS = new Map(CONTROL_COMMANDS.map((command) => [command.name, command]));

export class ControlSession implements Disposable {
  /** Resolves when the domain has ended and the peer has been told. */
  readonly ended: Promise<void>;
  readonly #peer: SessionPeer;
  readonly #nowMs: () => number;
  readonly #context: CommandContext;
  readonly #splitter: LineSplitter;
  readonly #states: Disposable;
  /** Replies come in the order of the requests. */
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #state: DomainState;
  #closed = false;

  constructor({ target, version, peer, nowMs, hostId }: SessionOptions) {
    this.#peer = peer;
    this.#nowMs = nowMs;
    this.#state = target.state;
    const watches = new SessionWatches(target, (data) => this.#event({ event: 'XENSTORE_WATCH', data }));
    this.#context = { target, version, watches, commands: CONTROL_COMMANDS };
    this.#splitter = new LineSplitter(
      (line) => this.#line(line),
      () => this.#queue(() => this.#fail(new BadRequest(`a request has ${MAX_LINE_BYTES} bytes at most`))),
    );
    const { id, name, uuid } = target;
    this.#send({
      dom1: {
        version: { ...versionJson(version), package: version },
        domain: { id: hostId ?? id, domid: id, name, uuid },
        capabilities: [],
      },
    });
    this.#states = target.onStateChange((state, cause) => {
      const event = stateEvent(this.#state, state, cause);
      this.#state = state;
      if (event !== undefined) this.#event(event);
    });
    const tellEnd = (end?: DomainEnd): void => endEvents(end).forEach((event) => this.#event(event));
    this.ended = target.ended.then(tellEnd, () => tellEnd());
  }

  /** Bytes from the peer, in any pieces. */
  receive(chunk: Uint8Array): void {
    if (!this.#closed) this.#splitter.push(chunk);
  }

  /** Resolves when every request that was received has its reply. */
  get idle(): Promise<void> {
    return this.#last;
  }

  /** The peer has gone: ends its watches. Requests that are under way end unheard. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#states[Symbol.dispose]();
    this.#context.watches[Symbol.dispose]();
  }

  #line(line: string): void {
    if (line.trim() !== '') this.#queue(() => this.#serve(line));
  }

  /** Does the work after everything that came before. */
  #queue(work: () => void | Promise<void>): void {
    if (++this.#waiting === MAX_WAITING) this.#peer.hold?.(true);
    this.#last = this.#last.then(async () => {
      if (!this.#closed) await work();
      if (this.#waiting-- === MAX_WAITING) this.#peer.hold?.(false);
    });
  }

  async #serve(line: string): Promise<void> {
    let id: RequestId | undefined;
    try {
      const request = parseRequest(line);
      id = request.id;
      const command = COMMANDS.get(request.execute);
      if (command === undefined) {
        throw new ControlError(
          'CommandNotFound',
          `there is no command ${JSON.stringify(request.execute.slice(0, 100))}; query-commands lists them`,
        );
      }
      const given = checkArguments(command.name, command.arguments, request.arguments);
      const result = await command.run(this.#context, given);
      this.#send({ return: result ?? {}, ...(id !== undefined && { id }) });
    } catch (error) {
      this.#fail(asControlError(error), error instanceof BadRequest ? error.id : id);
    }
  }

  #fail({ class: kind, message, errno }: ControlError, id?: RequestId): void {
    this.#send({
      error: { class: kind, desc: message, ...(errno !== undefined && { errno }) },
      ...(id !== undefined && { id }),
    });
  }

  #event({ event, data }: ControlEvent): void {
    const micro = Math.floor(this.#nowMs() * 1000);
    const timestamp = { seconds: Math.floor(micro / 1_000_000), microseconds: micro % 1_000_000 };
    this.#send({ event, ...(data !== undefined && { data }), timestamp });
  }

  #send(message: object): void {
    if (!this.#closed) this.#peer.send(JSON.stringify(message));
  }
}
