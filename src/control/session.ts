// One connection to the monitor: lines of JSON in, lines of JSON out. Like QEMU's QMP, without its negotiation: a greeting,
// then replies in the order of the requests, and events in between.
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';
import { checkArguments } from './argument-spec.ts';
import { CONTROL_COMMANDS } from './command-table.ts';
import { versionJson } from './commands/monitor-commands.ts';
import { SessionConsoles } from './console/session-consoles.ts';
import type { CommandContext } from './control-command.ts';
import { asControlError, ControlError } from './control-error.ts';
import { type ControlEvent, endEvents, stateEvent } from './lifecycle-events.ts';
import { LineSplitter, MAX_LINE_BYTES } from './line-splitter.ts';
import type { MonitorHost } from './monitor-host.ts';
import type { MonitorTarget } from './monitor-target.ts';
import { BadRequest, parseRequest, type RequestId } from './request.ts';
import { SessionWatches } from './session-watches.ts';

/** The other side of a session. */
export interface SessionPeer {
  /** Sends a line; it has no line feed. */
  send(line: string): void;
  /** Asks to hold `receive` back, because requests wait, or to go on. */
  hold?(on: boolean): void;
  /** Whether it has read enough of what was sent for more of the console; default: always. `drained` is called when it has again. */
  ready?(): boolean;
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
  readonly host?: MonitorHost;
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
  readonly #guestEnds: Disposable | undefined;
  /** Replies come in the order of the requests. */
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #state: DomainState;
  #closed = false;

  constructor({ target, version, peer, nowMs, hostId, host = {} }: SessionOptions) {
    this.#peer = peer;
    this.#nowMs = nowMs;
    this.#state = target.state;
    const watches = new SessionWatches(target, (data) => this.#event({ event: 'XENSTORE_WATCH', data }));
    const consoles = new SessionConsoles({
      send: (event) => this.#event(event),
      ready: () => peer.ready?.() ?? true,
    });
    this.#context = { target, host, consoles, version, watches, commands: CONTROL_COMMANDS };
    this.#splitter = new LineSplitter(
      (line) => this.#line(line),
      () => this.#queue(() => this.#fail(new BadRequest(`a request has ${MAX_LINE_BYTES} bytes at most`))),
    );
    const { id, uuid } = target;
    const name = host.name?.() ?? target.name;
    this.#send({
      dom1: {
        version: { ...versionJson(version), package: version },
        domain: { id: hostId ?? id, domid: id, name, uuid },
        capabilities: [],
      },
    });
    this.#states = target.on('state', ({ state, cause }) => {
      const event = stateEvent(this.#state, state, cause);
      this.#state = state;
      if (cause === 'reset') watches.renew();
      if (event !== undefined) this.#event(event);
    });
    this.#guestEnds = target.onGuestEnd?.((end, action) => {
      consoles.pump();
      for (const event of endEvents(end, action)) this.#event(event);
    });
    const tellEnd = (end?: DomainEnd): void => {
      consoles.pump(true);
      for (const event of endEvents(end)) this.#event(event);
    };
    this.ended = target.ended.then(tellEnd, () => tellEnd());
  }

  /** Bytes from the peer, in any pieces. */
  receive(chunk: Uint8Array): void {
    if (!this.#closed) this.#splitter.push(chunk);
  }

  /** The peer has read what was sent, and may be sent more. */
  drained(): void {
    if (!this.#closed) this.#context.consoles.pump();
  }

  /** Resolves when every request that was received has its reply. */
  get idle(): Promise<void> {
    return this.#last;
  }

  /** The peer has gone: ends its watches. Requests that are under way end unheard. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#states[Symbol.dispose]();
    this.#guestEnds?.[Symbol.dispose]();
    this.#context.consoles[Symbol.dispose]();
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
