// Bytes that arrive in chunks: the common shape of every decompressor's output.
import { ImageError } from './image-error.ts';

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** The chunks of a stream. Stopping early cancels the stream. (Not every browser's streams are async iterables.) */
export async function* streamChunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      yield value;
    }
  } catch (error) {
    ended = true;
    throw error;
  } finally {
    if (!ended) await reader.cancel();
  }
}

/**
 * Gathers all chunks. Chunks are copied as they come, so a producer may use its buffer again.
 * @param maxBytes throws ImageError 'too-large' beyond this, so that a small file cannot fill the memory
 * @param sizeHint expected total, to allocate once
 */
export async function readAll(chunks: Chunks, maxBytes: number, what: string, sizeHint = 0): Promise<Uint8Array> {
  let out = new Uint8Array(Math.min(Math.max(sizeHint, 1 << 16), maxBytes));
  let length = 0;
  for await (const chunk of chunks) {
    const end = length + chunk.length;
    if (end > maxBytes)
      throw new ImageError('too-large', `${what} unpacks to more than ${maxBytes} bytes`, 'check that it is the file you meant');
    if (end > out.length) {
      const grown = new Uint8Array(Math.min(maxBytes, Math.max(end, out.length * 2)));
      grown.set(out.subarray(0, length));
      out = grown;
    }
    out.set(chunk, length);
    length = end;
  }
  return out.subarray(0, length);
}
