// The types that fields of messages have. intro(5) of Plan 9's manual; diod's protocol.md for 9P2000.L.
import type { WireReader, WireWriter } from './wire.ts';

export interface FieldType<T> {
  read(reader: WireReader): T;
  write(writer: WireWriter, value: T): void;
}

/** What identifies a file on the server. */
export interface Qid {
  /** QT_*. */
  readonly type: number;
  readonly version: number;
  readonly path: bigint;
}

export const QT = { DIR: 0x80, SYMLINK: 0x02, FILE: 0 } as const;

export const u8: FieldType<number> = { read: (r) => r.u8(), write: (w, value) => w.u8(value) };
export const u16: FieldType<number> = { read: (r) => r.u16(), write: (w, value) => w.u16(value) };
export const u32: FieldType<number> = { read: (r) => r.u32(), write: (w, value) => w.u32(value) };
export const u64: FieldType<bigint> = { read: (r) => r.u64(), write: (w, value) => w.u64(value) };

/** Each character is a byte. @throws RangeError when it is longer than a message can say */
export const text: FieldType<string> = {
  read: (r) => latin1(r.bytes(r.u16())),
  write: (w, value) => {
    if (value.length > 0xffff) throw new RangeError(`a string of ${value.length} bytes`);
    w.u16(value.length);
    for (let i = 0; i < value.length; i++) w.u8(value.charCodeAt(i) & 0xff);
  },
};

/** A view of the message. */
export const data: FieldType<Uint8Array> = {
  read: (r) => r.bytes(r.u32()),
  write: (w, value) => {
    w.u32(value.length);
    w.bytes(value);
  },
};

export const qid: FieldType<Qid> = {
  read: (r) => ({ type: r.u8(), version: r.u32(), path: r.u64() }),
  write: (w, value) => {
    w.u8(value.type);
    w.u32(value.version);
    w.u64(value.path);
  },
};

/** Up to 65535 elements, counted in front. Reading ends where the message does. */
export const list = <T>(element: FieldType<T>): FieldType<readonly T[]> => ({
  read: (r) => {
    const values: T[] = [];
    for (let count = r.u16(); count > 0 && r.ok; count--) values.push(element.read(r));
    return values;
  },
  write: (w, values) => {
    w.u16(values.length);
    for (const value of values) element.write(w, value);
  },
});

const CHUNK = 4096;

function latin1(bytes: Uint8Array): string {
  let result = '';
  for (let at = 0; at < bytes.length; at += CHUNK) result += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return result;
}
