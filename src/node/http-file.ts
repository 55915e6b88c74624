// A file on a web server, read by ranges (RFC 9110, section 14). Pieces are kept in memory, a bounded number of them.
import { setTimeout as sleep } from 'node:timers/promises';
import { BlockStoreError, isReadOnly } from '../io/block-store-error.ts';
import type { RandomAccessFile } from '../io/random-access-file.ts';

export interface HttpFileOptions {
  /** Bytes of a piece; default 256 KiB. */
  readonly pieceSize?: number;
  /** Bytes of pieces in memory; default 32 MiB. */
  readonly cacheBytes?: number;
  /** How often a request is made again that failed for a reason which may pass; default 4. */
  readonly retries?: number;
  /** Pause before the first repetition in milliseconds, doubled each time; default 200. */
  readonly pauseMs?: number;
  /** How long a server may take for a piece, in milliseconds; default 30000. */
  readonly timeoutMs?: number;
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly total: number;
  /** Changes when the file does, if the server says it. */
  readonly version: string | undefined;
}

/** An answer that may be another one next time. */
class Passing extends Error {}

export class HttpFile implements RandomAccessFile {
  readonly name: string;
  readonly readOnly = true;
  readonly size: number;
  readonly #options: Required<HttpFileOptions>;
  readonly #version: string | undefined;
  /** Least recently used first. */
  readonly #pieces = new Map<number, Promise<Uint8Array>>();
  readonly #closing = new AbortController();

  private constructor(url: string, options: Required<HttpFileOptions>, size: number, version: string | undefined) {
    this.name = url;
    this.size = size;
    this.#options = options;
    this.#version = version;
  }

  /** @throws BlockStoreError 'missing', 'permission', 'network', 'unsupported' */
  static async open(url: string, options: HttpFileOptions = {}): Promise<HttpFile> {
    const all = { pieceSize: 2 ** 18, cacheBytes: 2 ** 25, retries: 4, pauseMs: 200, timeoutMs: 30_000, ...options };
    const first = await fetchWithRetries(url, 0, all.pieceSize, all, undefined);
    const file = new HttpFile(url, all, first.total, first.version);
    file.#pieces.set(0, Promise.resolve(first.bytes));
    return file;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const { pieceSize } = this.#options;
    const moves: Promise<void>[] = [];
    for (let done = 0; done < into.length; ) {
      const at = offset + done;
      const length = Math.min(pieceSize - (at % pieceSize), into.length - done);
      const target = into.subarray(done, done + length);
      if (at >= this.size) target.fill(0);
      else moves.push(this.#copy(Math.floor(at / pieceSize), at % pieceSize, target));
      done += length;
    }
    await Promise.all(moves);
  }

  async readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const moves: Promise<void>[] = [];
    let at = offset;
    for (const part of into) {
      moves.push(this.read(at, part));
      at += part.length;
    }
    await Promise.all(moves);
  }

  async write(): Promise<void> {
    throw isReadOnly(this.name);
  }

  async writev(): Promise<void> {
    throw isReadOnly(this.name);
  }

  async truncate(): Promise<void> {
    throw isReadOnly(this.name);
  }

  async datasync(): Promise<void> {}

  async close(): Promise<void> {
    this.#closing.abort(new BlockStoreError('closed', `${this.name} is closed`, 'open it again'));
    this.#pieces.clear();
  }

  async #copy(index: number, start: number, into: Uint8Array): Promise<void> {
    const bytes = await this.#piece(index);
    const part = bytes.subarray(start, start + into.length);
    into.set(part);
    into.fill(0, part.length);
  }

  #piece(index: number): Promise<Uint8Array> {
    const present = this.#pieces.get(index);
    if (present !== undefined) {
      this.#pieces.delete(index);
      this.#pieces.set(index, present);
      return present;
    }
    const piece = this.#fetch(index);
    this.#pieces.set(index, piece);
    piece.catch(() => this.#pieces.delete(index));
    for (const oldest of this.#pieces.keys()) {
      if (this.#pieces.size * this.#options.pieceSize <= this.#options.cacheBytes || oldest === index) break;
      this.#pieces.delete(oldest);
    }
    return piece;
  }

  async #fetch(index: number): Promise<Uint8Array> {
    const { pieceSize } = this.#options;
    const start = index * pieceSize;
    const piece = await fetchWithRetries(this.name, start, pieceSize, this.#options, this.#closing.signal);
    if (piece.total !== this.size || piece.version !== this.#version)
      throw new BlockStoreError('changed', `${this.name} has changed on the server`, 'start again, or copy the file first');
    const expected = Math.min(pieceSize, this.size - start);
    if (piece.bytes.length !== expected)
      throw new BlockStoreError(
        'network',
        `${this.name}: ${piece.bytes.length} bytes came instead of ${expected}`,
        'check the server',
      );
    return piece.bytes;
  }
}

async function fetchWithRetries(
  url: string,
  start: number,
  length: number,
  options: Required<HttpFileOptions>,
  signal: AbortSignal | undefined,
): Promise<Piece> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await fetchPiece(url, start, length, options.timeoutMs, signal);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof BlockStoreError) throw cause;
      if (attempt >= options.retries) {
        const why = cause instanceof Passing ? cause.message : reasonOf(cause);
        const times = attempt === 0 ? '' : ` (${attempt + 1} times)`;
        throw new BlockStoreError('network', `${url} cannot be read: ${why}${times}`, 'check the address and the network', {
          cause,
        });
      }
      await sleep(options.pauseMs * 2 ** attempt, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      signal?.throwIfAborted();
    }
  }
}

async function fetchPiece(
  url: string,
  start: number,
  length: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Piece> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, {
    headers: { range: `bytes=${start}-${start + length - 1}`, 'accept-encoding': 'identity' },
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  });
  if (response.status !== 206) {
    await response.body?.cancel();
    throw refusal(url, response);
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  if (range === null || Number(range[1]) !== start || Number(range[2]) >= start + length) {
    await response.body?.cancel();
    const said = response.headers.get('content-range') ?? 'nothing';
    throw new BlockStoreError(
      'network',
      `${url}: the server sent another range than it was asked for (${said})`,
      'check the server',
    );
  }
  const bytes = await readAtMost(response, url, length);
  if (bytes.length !== Number(range[2]) - start + 1) throw new Passing('the connection ended early');
  return {
    bytes,
    total: Number(range[3]),
    version: response.headers.get('etag') ?? response.headers.get('last-modified') ?? undefined,
  };
}

function refusal(url: string, response: Response): Error {
  const { status } = response;
  if (status === 200)
    return new BlockStoreError(
      'unsupported',
      `${url}: the server does not serve ranges`,
      'use another server, or download the file',
    );
  if (status === 404 || status === 410)
    return new BlockStoreError('missing', `${url} is not there (${status})`, 'check the address');
  if (status === 401 || status === 403)
    return new BlockStoreError('permission', `${url} may not be read (${status})`, 'check the address');
  if (status === 416)
    return new BlockStoreError('changed', `${url} is shorter than it was, or empty (416)`, 'check the file on the server');
  if (status === 408 || status === 429 || status >= 500) return new Passing(`the server answers ${status}`);
  return new BlockStoreError('network', `${url}: the server answers ${status}`, 'check the address');
}

async function readAtMost(response: Response, url: string, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  if (response.body === null) return bytes.subarray(0, 0);
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    if (at + chunk.length > length)
      throw new BlockStoreError('network', `${url}: the server sent more than it was asked for`, 'check the server');
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes.subarray(0, at);
}

/** fetch hides what happened in `cause`. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
};
