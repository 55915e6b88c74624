// The tree as text, as `xenstore-ls` prints it. tools/xs-clients/xenstore_client.c: do_ls, sanitise_value.
import { childPath } from './path.ts';
import { formatPermission } from './permissions.ts';
import type { XenStore } from './store.ts';
import { lookup, type StoreNode } from './tree.ts';

export interface FormatStoreOptions {
  /** Where to begin; the node itself is not printed. Default `/`. */
  readonly path?: string;
  /** Whole paths instead of indentation, and nothing cut (-f). */
  readonly flat?: boolean;
  /** Permissions too (-p). */
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
  const { path = '/', flat = false, permissions = false } = options;
  const width = flat ? Number.MAX_SAFE_INTEGER : (options.width ?? 80);
  const column = flat ? 0 : Math.min(COLUMN, width);
  const lines: string[] = [];
  const visit = (node: StoreNode, where: string, depth: number): void => {
    for (const [name, child] of node.children) {
      const here = childPath(where, name);
      let line = flat ? here : ' '.repeat(depth) + cut(name, width - TAG_LENGTH - depth);
      // With -f the path does not count towards the width.
      let used = flat ? 0 : line.length;
      const value = quoteValue(child.value);
      if (width < used + child.value.length + TAG_LENGTH) {
        line += ` = "${cut(value, width - TAG_LENGTH - used)}\\..."`;
      } else {
        line += ` = "${value}"`;
        used += value.length + 5;
        if (permissions) {
          line += ' ';
          for (used++; used < column; used++) line += used % 2 === 1 ? '.' : ' ';
        }
      }
      if (permissions) line += `  (${child.permissions.map(formatPermission).join(',')})`;
      lines.push(`${line}\n`);
      visit(child, here, depth + 1);
    }
  };
  const top = lookup(store.root, path);
  if (top === undefined) throw new RangeError(`${path}: there is no such node`);
  visit(top, path, 0);
  return lines.join('');
}

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
