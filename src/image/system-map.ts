// A Linux kernel's System.map: "ffffffff81000000 T _text", a line a symbol, as nm prints them.
import { ImageError } from './image-error.ts';

export interface CodeSymbol {
  /** Linear address of the first byte. */
  readonly address: bigint;
  readonly name: string;
}

const LINE = /^([0-9a-f]{8,16}) ([A-Za-z?]) (\S+)/;
/** nm's types of code: text, weak. */
const CODE: ReadonlySet<string> = new Set(['t', 'T', 'w', 'W']);

/** The functions, in the file's order. Throws ImageError: 'corrupt' when no line is a symbol. */
export function readSystemMap(text: string): CodeSymbol[] {
  const symbols: CodeSymbol[] = [];
  for (const line of text.split('\n')) {
    const [, address, type, name] = LINE.exec(line) ?? [];
    if (address !== undefined && name !== undefined && CODE.has(type ?? ''))
      symbols.push({ address: BigInt(`0x${address}`), name });
  }
  if (symbols.length === 0)
    throw new ImageError('corrupt', 'no line is a symbol, such as "ffffffff81000000 T _text"', "give the kernel's System.map");
  return symbols;
}
