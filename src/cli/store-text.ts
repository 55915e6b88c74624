// XenStore values and trees as text, as Xen's own tools write them (tools/xs-clients).
import { quoteValue } from '../xen/store/format-store.ts';
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

/** A node below the one that is shown. */
export interface StoreEntry {
  /** From the node that is shown: begins with a slash. */
  readonly path: string;
  readonly value: Uint8Array;
  readonly permissions: readonly string[];
}

export interface StoreListStyle {
  /** The path of the node that is shown. */
  readonly top: string;
  readonly flat: boolean;
  readonly permissions: boolean;
  /** Columns that a line may have when it is not flat. */
  readonly width: number;
}

/** What a value takes beside its bytes: ` = "..."`. */
const AROUND_VALUE = 8;
/** Where the dots before permissions end. */
const PERMISSION_COLUMN = 60;

/** Entries, parents before children, as the lines of xenstore-ls. */
export function storeLines(entries: readonly StoreEntry[], { top, flat, permissions, width }: StoreListStyle): string[] {
  return entries.map((entry) => {
    const depth = entry.path.split('/').length - 2;
    const name = entry.path.slice(entry.path.lastIndexOf('/') + 1);
    const room = flat ? Number.POSITIVE_INFINITY : width - AROUND_VALUE;
    const indented = `${' '.repeat(depth)}${name.slice(0, Math.max(0, room - depth))}`;
    const start = flat ? joinStorePath(top, entry.path) : indented;
    const value = quoteValue(entry.value);
    let line: string;
    if (!flat && start.length + entry.value.length > room) {
      line = `${start} = "${value.slice(0, Math.max(0, room - start.length))}\\..."`;
    } else {
      line = `${start} = "${value}"`;
      if (permissions) line += dots(line.length, flat ? 0 : Math.min(PERMISSION_COLUMN, width));
    }
    return permissions ? `${line}  (${entry.permissions.join(',')})` : line;
  });
}

/** A blank, and dots at odd columns up to a column. */
function dots(from: number, to: number): string {
  let text = ' ';
  for (let column = from + 1; column < to; column++) text += column % 2 === 1 ? '.' : ' ';
  return text;
}

/** A path of a node below another, which is `/` or does not end in a slash. */
export const joinStorePath = (top: string, below: string): string => (top === '/' ? below : `${top}${below}`);
