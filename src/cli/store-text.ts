// XenStore values as people type them for Xen's own tools (tools/xs-clients).
import { UsageError } from './arguments.ts';

const NAMES: Readonly<Record<string, number>> = { t: 0x09, n: 0x0a, r: 0x0d, '\\': 0x5c };

/** The bytes of a value with escapes; other characters are UTF-8. @throws UsageError for a backslash at the end */
export function unquoteValue(text: string): Uint8Array {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  let rest = text;
  while (rest !== '') {
    const [whole, plain, hex, octal, other] = /^(?:([^\\]+)|\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\(.))/su.exec(rest) ?? [];
    if (whole === undefined) throw new UsageError(`'${text}' ends in a backslash; write two of them, or use -R`);
    if (plain !== undefined) bytes.push(...encoder.encode(plain));
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8) & 0xff);
    else bytes.push(...(NAMES[other as string] === undefined ? encoder.encode(other) : [NAMES[other as string] as number]));
    rest = rest.slice(whole.length);
  }
  return Uint8Array.from(bytes);
}
