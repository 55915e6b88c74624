// The tree as text, as `xenstore-ls` prints it. tools/xs-clients/xenstore_client.c: do_ls, sanitise_value.
import { formatPermission } from './permissions.ts';
import type { XenStore } from './store.ts';
import { lookup, type StoreNode } from './tree.ts';

/** A node below the one that is shown. */
export interface StoreEntry {
  /** From the node that is shown: begins with a slash. */
  readonly path: string;
  readonly value: Uint8Array;
  /** As `formatPermission` writes them. */
  readonly permissions: readonly string[];
}

export interface ListStyle {
  /** The path of the node that is shown; the node itself is not printed. */
  readonly top: string;
  /** Whole paths instead of indentation, and nothing cut (-f). */
  readonly flat: boolean;
  /** Permissions too (-p). */
  readonly permissions: boolean;
  /** Columns that a line may have when it is not flat. */
  readonly width: number;
}

export interface FormatStoreOptions {
  /** Where to begin; the node itself is not printed. Default `/`. */
  readonly path?: string;
  readonly flat?: boolean;
  readonly permissions?: boolean;
  /** Columns. Default 80, as when the output is no terminal. */
  readonly width?: number;
}

/** ` = "..."` */
const TAG_LENGTH = 8;
/** Where permissions begin. */
const COLUMN = 60;

/** @throws RangeError when there is no node at `path`. */
export function formatStore(store: XenStore, options: FormatStoreOptions = {}): string {
  const { path: top = '/', flat = false, permissions = false, width = 80 } = options;
  const style = { top, flat, permissions, width };
  const lines: string[] = [];
  const visit = (node: StoreNode, where: string): void => {
    for (const [name, child] of node.children) {
      const path = `${where}/${name}`;
      lines.push(`${formatEntry({ path, value: child.value, permissions: child.permissions.map(formatPermission) }, style)}\n`);
      visit(child, path);
    }
  };
  const node = lookup(store.root, top);
  if (node === undefined) throw new RangeError(`${top}: there is no such node`);
  visit(node, '');
  return lines.join('');
}

/** One line, without its end. */
export function formatEntry(entry: StoreEntry, style: ListStyle): string {
  const { flat, permissions } = style;
  const width = flat ? Number.MAX_SAFE_INTEGER : style.width;
  const depth = entry.path.split('/').length - 2;
  const name = entry.path.slice(entry.path.lastIndexOf('/') + 1);
  let line = flat ? joinStorePath(style.top, entry.path) : ' '.repeat(depth) + cut(name, width - TAG_LENGTH - depth);
  // With -f the path does not count towards the width.
  let used = flat ? 0 : line.length;
  const value = quoteValue(entry.value);
  if (width < used + entry.value.length + TAG_LENGTH) {
    line += ` = "${cut(value, width - TAG_LENGTH - used)}\\..."`;
  } else {
    line += ` = "${value}"`;
    used += value.length + 5;
    if (permissions) {
      const column = flat ? 0 : Math.min(COLUMN, width);
      line += ' ';
      for (used++; used < column; used++) line += used % 2 === 1 ? '.' : ' ';
    }
  }
  return permissions ? `${line}  (${entry.permissions.join(',')})` : line;
}

/** A path of a node below another, which is `/` or does not end in a slash. */
export const joinStorePath = (top: string, below: string): string => (top === '/' ? below : `${top}${below}`);

/** printf's `%.*s`: a negative precision counts as none. */
const cut = (text: string, precision: number): string => (precision < 0 ? text : text.slice(0, precision));

const ESCAPES = new Map([
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x5c, '\\\\'],
]);

/** A value with what is not printable escaped: `\t`, `\\`, `\x1b`, and below 8 `\003`. */
export function quoteValue(value: Uint8Array): string {
  let text = '';
  for (const byte of value) {
    const escaped = ESCAPES.get(byte);
    if (escaped !== undefined) text += escaped;
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else if (byte < 8) text += `\\${byte.toString(8).padStart(3, '0')}`;
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}
