// The requests of the protocol: payload grammar, who may make them, and which error comes first. tools/xenstored/core.c.

import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { XENSTORE_PAYLOAD_MAX, XS, type XsdError } from '../../abi/xen/xenstore.ts';
import { bytesOf, textOf } from './bytes.ts';
import type { StoreMessage } from './message.ts';
import type { Operation } from './operation.ts';
import { canonicalPath, domainPath } from './path.ts';
import { formatPermission, type Permission, parsePermission } from './permissions.ts';
import type { Reply, StoreConnection } from './store-connection.ts';
import type { StoreDomain } from './store-domain.ts';
import type { Transaction } from './transaction.ts';
import type { EventCause } from './watch.ts';

interface Request {
  readonly connection: StoreConnection;
  readonly payload: Uint8Array;
  readonly transaction: Transaction | undefined;
  readonly cause: EventCause | undefined;
}

interface Handler {
  readonly serve: (request: Request) => Reply;
  /** Only for the privileged. */
  readonly privileged?: true;
  /** The transaction number is not looked at. */
  readonly outside?: true;
}

const OK = bytesOf('OK\0');

/** The reply to a request. */
export function answer(connection: StoreConnection, message: StoreMessage, cause: EventCause | undefined): Reply {
  const handler = HANDLERS.get(message.type);
  if (handler === undefined) return 'ENOSYS';
  if (handler.privileged && !connection.domain.privileged) return 'EACCES';
  const id = handler.outside ? 0 : message.transactionId;
  const transaction = id === 0 ? undefined : connection.transaction(id);
  if (id !== 0 && transaction === undefined) return 'ENOENT';
  return handler.serve({ connection, payload: message.payload, transaction, cause });
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [XS.CONTROL, { privileged: true, serve: control }],
  [XS.DIRECTORY, { serve: directory }],
  [XS.READ, { serve: (r) => perform(r, (op) => op.read(soleString(op, r))) }],
  [XS.GET_PERMS, { serve: getPermissions }],
  [XS.WATCH, { outside: true, serve: watch }],
  [XS.UNWATCH, { outside: true, serve: unwatch }],
  [XS.TRANSACTION_START, { serve: transactionStart }],
  [XS.TRANSACTION_END, { serve: transactionEnd }],
  [XS.INTRODUCE, { privileged: true, serve: introduce }],
  [XS.RELEASE, { privileged: true, serve: (r) => withGuest(r, ({ domid }) => r.connection.store.release(domid)) }],
  [XS.GET_DOMAIN_PATH, { serve: getDomainPath }],
  [XS.WRITE, { serve: write }],
  [XS.MKDIR, { serve: (r) => acknowledged(perform(r, (op) => op.makeDirectory(soleString(op, r)))) }],
  [XS.RM, { serve: (r) => acknowledged(perform(r, (op) => op.remove(soleString(op, r)))) }],
  [XS.SET_PERMS, { serve: setPermissions }],
  [XS.IS_DOMAIN_INTRODUCED, { privileged: true, serve: isDomainIntroduced }],
  [XS.RESUME, { privileged: true, serve: (r) => withGuest(r, ({ domid }) => r.connection.store.resume(domid)) }],
  [XS.SET_TARGET, { privileged: true, serve: setTarget }],
  [XS.RESET_WATCHES, { serve: resetWatches }],
  [XS.DIRECTORY_PART, { serve: directoryPart }],
]);

function perform<T extends object | boolean>(request: Request, body: (op: Operation) => T | XsdError): T | XsdError {
  const { connection, transaction, cause } = request;
  return connection.store.perform(connection.domain, transaction, body, cause);
}

const acknowledged = (result: object | boolean | XsdError): Reply => (typeof result === 'string' ? result : OK);

/** The payload when it is one string: a single NUL, at its end. */
function sole(payload: Uint8Array): string | undefined {
  return payload.length > 0 && payload.indexOf(0) === payload.length - 1 ? textOf(payload.subarray(0, -1)) : undefined;
}

/** The payload as a path, undefined when it is none. */
function soleString(op: Operation, { payload }: Request, special = false): string | undefined {
  const text = sole(payload);
  return text === undefined ? undefined : op.path(text, special);
}

/** The strings with a NUL at their end; what follows the last NUL is not looked at. */
function strings(payload: Uint8Array): string[] {
  return textOf(payload).split('\0').slice(0, -1);
}

/** C's atoi. */
function atoi(text: string): number {
  const value = Number.parseInt(/^[ \t-\r]*[-+]?[0-9]+/.exec(text)?.[0] ?? '0', 10);
  return Math.max(Math.min(value, 2 ** 53), -(2 ** 53)) | 0;
}

function directory(request: Request): Reply {
  const node = perform(request, (op) => op.list(soleString(op, request)));
  if (typeof node === 'string') return node;
  if (node.childrenBytes > XENSTORE_PAYLOAD_MAX) return 'E2BIG';
  return bytesOf([...node.children.keys()].map((name) => `${name}\0`).join(''));
}

/** A list in pieces, each with the node's generation, so that a client notices when it changes meanwhile. */
function directoryPart(request: Request): Reply {
  const words = strings(request.payload);
  if (words.length !== 2) return 'EINVAL';
  const node = perform(request, (op) => op.list(op.path(words[0] ?? '')));
  if (typeof node === 'string') return node;
  const head = `${Math.max(node.generation, node.childrenGeneration)}\0`;
  const list = [...node.children.keys()].map((name) => `${name}\0`).join('');
  const offset = atoi(words[1] ?? '') >>> 0;
  if (offset >= list.length) return bytesOf(`${head}\0`);
  // One byte is kept free for the NUL that ends the whole list. Only whole names go in.
  let end = Math.min(list.length, offset + XENSTORE_PAYLOAD_MAX - head.length - 1);
  end = list.lastIndexOf('\0', end - 1) + 1;
  const part = list.slice(offset, Math.max(end, offset));
  return bytesOf(head + part + (end === list.length ? '\0' : ''));
}

function write(request: Request): Reply {
  const { payload } = request;
  const nul = payload.indexOf(0);
  if (nul < 0) return 'EINVAL';
  const value = payload.slice(nul + 1);
  return acknowledged(perform(request, (op) => op.write(op.path(textOf(payload.subarray(0, nul))), value)));
}

function getPermissions(request: Request): Reply {
  const list = perform(request, (op) => op.permissions(soleString(op, request, true)));
  return typeof list === 'string' ? list : bytesOf(list.map((entry) => `${formatPermission(entry)}\0`).join(''));
}

function setPermissions(request: Request): Reply {
  const { connection, payload } = request;
  const [path = '', ...words] = strings(payload);
  if (words.length < 1) return 'EINVAL';
  if (!connection.domain.privileged && words.length > connection.store.quotas.permissions) return 'ENOSPC';
  const list: Permission[] = [];
  for (const word of words) {
    const entry = parsePermission(word);
    if (entry === undefined) return 'EINVAL';
    list.push(entry);
  }
  return acknowledged(perform(request, (op) => op.setPermissions(op.path(path, true), list)));
}

/** Path and token of WATCH and UNWATCH; the path absolute, and how much of it the watcher did not write. */
function watchArguments({ connection, payload }: Request): { path: string; token: string; skip: number } | undefined {
  const words = strings(payload);
  const [text, token] = words;
  if (text === undefined || token === undefined || words.length !== 2) return undefined;
  const { home, privileged } = connection.domain;
  const maxLength = privileged ? Number.POSITIVE_INFINITY : connection.store.quotas.pathLength;
  const path = canonicalPath(text, { home, maxLength, special: true });
  return path === undefined ? undefined : { path, token, skip: path.length - text.length };
}

function watch(request: Request): Reply {
  const args = watchArguments(request);
  return args === undefined ? 'EINVAL' : acknowledged(request.connection.addWatch(args));
}

function unwatch(request: Request): Reply {
  const args = watchArguments(request);
  if (args === undefined) return 'EINVAL';
  return request.connection.removeWatch(args.path, args.token) ? OK : 'ENOENT';
}

function resetWatches({ connection }: Request): Reply {
  connection.resetWatches();
  return OK;
}

function transactionStart({ connection, transaction }: Request): Reply {
  if (transaction !== undefined) return 'EBUSY';
  const id = connection.beginTransaction();
  return typeof id === 'string' ? id : bytesOf(`${id}\0`);
}

function transactionEnd({ connection, payload, transaction, cause }: Request): Reply {
  const word = sole(payload);
  if (word !== 'T' && word !== 'F') return 'EINVAL';
  if (transaction === undefined) return 'ENOENT';
  return acknowledged(connection.endTransaction(transaction, word === 'T', cause));
}

function getDomainPath({ payload }: Request): Reply {
  const word = sole(payload);
  return word === undefined ? 'EINVAL' : bytesOf(`${domainPath(atoi(word) >>> 0)}\0`);
}

function isDomainIntroduced({ connection, payload }: Request): Reply {
  const word = sole(payload);
  if (word === undefined) return 'EINVAL';
  const domid = atoi(word) >>> 0;
  const introduced = domid === DOMID_SELF || connection.store.domain(domid)?.introduced === true;
  return bytesOf(introduced ? 'T\0' : 'F\0');
}

/** Domain number, gfn, port. Who runs the domain attaches its ring; here a domain that has one starts afresh. */
function introduce({ connection, payload }: Request): Reply {
  const words = strings(payload);
  if (words.length < 3 || atoi(words[2] ?? '') <= 0) return 'EINVAL';
  const domain = connection.store.domain(atoi(words[0] ?? '') >>> 0);
  if (domain === undefined) return 'ENOENT';
  connection.store.introduce(domain.domid);
  for (const other of connection.store.connectionsOf(domain)) if (other !== connection) other.reintroduce();
  return OK;
}

function setTarget({ connection, payload }: Request): Reply {
  const [domain, target] = strings(payload).map((word) => connection.store.domain(atoi(word) >>> 0));
  if (strings(payload).length < 2) return 'EINVAL';
  if (!domain?.introduced || !target?.introduced) return 'ENOENT';
  domain.target = target;
  return OK;
}

/** For requests about one domain other than domain 0. */
function withGuest({ connection, payload }: Request, act: (domain: StoreDomain) => void): Reply {
  const word = sole(payload);
  const domid = word === undefined ? 0 : atoi(word) >>> 0;
  if (domid === 0) return 'EINVAL';
  const domain = connection.store.domain(domid);
  if (!domain?.introduced) return 'ENOENT';
  act(domain);
  return OK;
}

/** `xenstore-control`: only what an operator may ask of a store that is part of the monitor. */
function control({ payload }: Request): Reply {
  const [command] = strings(payload);
  if (command === 'check') return OK;
  if (command === 'help') return bytesOf('Supported commands:\n\thelp\n\tcheck\n\0');
  return 'EINVAL';
}
