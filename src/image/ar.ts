// ar archives, as far as .deb uses them: ar(5), common format, members with short names.
import { BoundedReader, startsWith } from './bounded-reader.ts';
import { corrupt, ImageError } from './image-error.ts';

const MAGIC = [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e, 0x0a] as const; // "!<arch>\n"
const HEADER = 60;

export interface ArMember {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Reads all members; data are views of `bytes`. Throws ImageError: 'not-an-archive', 'truncated', 'corrupt'. */
export function readAr(bytes: Uint8Array, what = 'the ar archive'): ArMember[] {
  if (!startsWith(bytes, MAGIC))
    throw new ImageError('not-an-archive', `${what} is not an ar archive`, 'give a file that begins with "!<arch>"');
  const file = new BoundedReader(bytes, what);
  const members: ArMember[] = [];
  for (let at: number = MAGIC.length; at < file.length; ) {
    const sizeText = file.ascii(at + 48, 10).trim();
    if (file.ascii(at + 58, 2) !== '`\n' || !/^[0-9]+$/.test(sizeText)) throw corrupt(what, `no member header at offset ${at}`);
    const size = Number(sizeText);
    members.push({ name: file.ascii(at, 16).trimEnd().replace(/\/$/, ''), data: file.slice(at + HEADER, size) });
    at += HEADER + size + (size % 2); // members start at even offsets
  }
  return members;
}
