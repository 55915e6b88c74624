// One client that speaks the wire protocol: its watches, its transactions, and what waits to be sent to it. A transport
// gives it requests and takes messages away. tools/xenstored/core.c: struct connection.
import { XENSTORE_PAYLOAD_MAX, XS, type XsdError, XsdSockmsg } from '../../abi/xen/xenstore.ts';
import { bytesOf } from './bytes.ts';
import { encodeMessage, type StoreMessage } from './message.ts';
import { answer } from './requests.ts';
import type { XenStore } from './store.ts';
import type { StoreDomain } from './store-domain.ts';
import type { Transaction } from './transaction.ts';
import type { EventCause, Watch, Watcher } from './watch.ts';

export interface StoreConnectionOptions {
  /** A message waits, or the connection may take requests again that did not before. */
  readonly onOutput?: () => void;
  /** The toolstack introduced the domain again: the connection is as new, and its transport is to be. */
  readonly onReset?: () => void;
}

/** A reply's payload and type, or an error. */
export type Reply = XsdError | Uint8Array;

interface Outgoing {
  readonly bytes: Uint8Array;
  /** For events, what makes two of them the same. */
  readonly key: string | undefined;
  readonly taken: () => void;
}

export class StoreConnection implements Watcher {
  readonly store: XenStore;
  readonly domain: StoreDomain;
  readonly #onOutput: () => void;
  readonly #onReset: () => void;
  readonly #watches: Watch[] = [];
  readonly #transactions = new Map<number, Transaction>();
  readonly #queue: Outgoing[] = [];
  readonly #events = new Set<string>();
  /** First events of watches, which go out after the reply to their request. */
  readonly #late: { path: string; token: string }[] = [];
  #nextTransaction = 1;
  #closed = false;

  /** Made by `XenStore.connect`. */
  constructor(store: XenStore, domain: StoreDomain, options: StoreConnectionOptions) {
    this.store = store;
    this.domain = domain;
    this.#onOutput = options.onOutput ?? (() => {});
    this.#onReset = options.onReset ?? (() => {});
  }

  get watches(): readonly Watch[] {
    return this.#watches;
  }

  /** Whether the next request may be given: not while the domain has used up its outstanding requests or its memory. */
  get ready(): boolean {
    const { outstanding, memory } = this.store.quotas;
    return !this.#closed && (this.domain.privileged || (this.domain.outstanding < outstanding && this.domain.memory < memory));
  }

  /** Serves a request; the reply is queued, and events for it and others. */
  handle(request: StoreMessage): void {
    if (this.#closed) return;
    const cause = new RequestCause(this);
    let reply = answer(this, request, this.domain.privileged ? undefined : cause);
    if (typeof reply !== 'string' && reply.length > XENSTORE_PAYLOAD_MAX) reply = 'E2BIG';
    const type = typeof reply === 'string' ? XS.ERROR : request.type;
    const payload = typeof reply === 'string' ? bytesOf(`${reply}\0`) : reply;
    const bytes = encodeMessage({ ...request, type, payload });
    // A watch's first event follows the reply that says it is there.
    const late = this.#late.splice(0);
    this.#send({ bytes, key: undefined, taken: () => cause.answered() });
    for (const { path, token } of late) this.event(path, token, undefined);
    this.#onOutput();
  }

  /** The next message's bytes, until `shift`. */
  peek(): Uint8Array | undefined {
    return this.#queue[0]?.bytes;
  }

  /** The first message was delivered. */
  shift(): void {
    const message = this.#queue.shift();
    if (message === undefined) return;
    if (message.key !== undefined) this.#events.delete(message.key);
    this.domain.memory -= message.bytes.length;
    message.taken();
  }

  /** Everything that waits, at once: for transports without back-pressure. */
  take(): Uint8Array[] {
    const all: Uint8Array[] = [];
    for (let bytes = this.peek(); bytes !== undefined; bytes = this.peek()) {
      all.push(bytes);
      this.shift();
    }
    return all;
  }

  /** Messages that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  event(path: string, token: string, cause: EventCause | undefined): void {
    const length = path.length + token.length + 2;
    if (length > XENSTORE_PAYLOAD_MAX) return;
    const key = `${path}\0${token}\0`;
    // The same event again tells nothing new, but for those about domains.
    if (!path.startsWith('@') && this.#events.has(key)) return;
    if (!this.domain.privileged && this.domain.memory + length + XsdSockmsg.sizeof >= this.store.quotas.memory) return;
    const bytes = encodeMessage({ type: XS.WATCH_EVENT, requestId: 0, transactionId: 0, payload: bytesOf(key) });
    cause?.eventQueued();
    this.#events.add(key);
    this.#send({ bytes, key, taken: () => cause?.eventTaken() });
    this.#onOutput();
  }

  /** WATCH, checked already but for the quotas. */
  addWatch(watch: Watch): true | XsdError {
    const { domain } = this;
    if (this.#watches.some(({ path, token }) => path === watch.path && token === watch.token)) return 'EEXIST';
    const size = watch.path.length + watch.token.length;
    if (!domain.privileged) {
      if (domain.watches > this.store.quotas.watches) return 'E2BIG';
      if (domain.memory + size >= this.store.quotas.memory) return 'ENOMEM';
    }
    this.#watches.push(watch);
    domain.watches++;
    domain.memory += size;
    this.#late.push({ path: watch.path.slice(watch.skip), token: watch.token });
    return true;
  }

  removeWatch(path: string, token: string): boolean {
    const index = this.#watches.findIndex((watch) => watch.path === path && watch.token === token);
    if (index < 0) return false;
    this.#watches.splice(index, 1);
    this.domain.watches--;
    this.domain.memory -= path.length + token.length;
    return true;
  }

  transaction(id: number): Transaction | undefined {
    return this.#transactions.get(id);
  }

  /** Begins a transaction. Returns its number. */
  beginTransaction(): number | XsdError {
    const { domain } = this;
    if (!domain.privileged && domain.transactions > this.store.quotas.transactions) return 'ENOSPC';
    while (this.#nextTransaction === 0 || this.#transactions.has(this.#nextTransaction)) this.#advance();
    const id = this.#nextTransaction;
    this.#advance();
    this.#transactions.set(id, this.store.begin(domain, id));
    domain.transactions++;
    return id;
  }

  /** Ends a transaction, which is gone whatever the result. */
  endTransaction(transaction: Transaction, commit: boolean, cause: EventCause | undefined): true | XsdError {
    this.#drop(transaction);
    return commit ? this.store.commit(transaction, cause) : true;
  }

  get transactions(): Iterable<Transaction> {
    return this.#transactions.values();
  }

  /** RESET_WATCHES: without watches and transactions, as it began. */
  resetWatches(): void {
    for (const { path, token } of [...this.#watches]) this.removeWatch(path, token);
    for (const transaction of [...this.#transactions.values()]) this.#drop(transaction);
  }

  /** As it began, and with nothing to send. */
  reset(): void {
    this.resetWatches();
    this.#late.length = 0;
    this.take();
  }

  /** INTRODUCE of a domain that has this connection already. */
  reintroduce(): void {
    this.reset();
    this.#onReset();
  }

  close(): void {
    if (this.#closed) return;
    this.reset();
    this.#closed = true;
    this.store.disconnected(this);
  }

  /** For causes: one of the domain's outstanding requests is done. */
  requestDone(): void {
    this.domain.outstanding--;
    // It may have been what kept further requests back; its transport is asked to look again.
    if (this.domain.outstanding === this.store.quotas.outstanding - 1) this.#onOutput();
  }

  #advance(): void {
    this.#nextTransaction = (this.#nextTransaction + 1) >>> 0;
  }

  #drop(transaction: Transaction): void {
    this.#transactions.delete(transaction.id);
    transaction.release();
    this.domain.transactions--;
  }

  #send(message: Outgoing): void {
    this.#queue.push(message);
    this.domain.memory += message.bytes.length;
  }
}

/** Counts a request as outstanding until its reply and the events it caused have been taken. */
class RequestCause implements EventCause {
  readonly #connection: StoreConnection;
  #waiting = 1;

  constructor(connection: StoreConnection) {
    this.#connection = connection;
    connection.domain.outstanding++;
  }

  eventQueued(): void {
    this.#waiting++;
  }

  eventTaken(): void {
    if (--this.#waiting === 0) this.#connection.requestDone();
  }

  answered(): void {
    this.eventTaken();
  }
}
