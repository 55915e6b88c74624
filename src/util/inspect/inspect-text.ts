// The inspection tree as text for people: names and values in two columns, sub-trees indented below their names, and a
// table where several sub-trees have the same fields.
import { textColumns } from '../text-columns.ts';
import { hexText } from './inspect-json.ts';
import { type InspectNode, type InspectTree, type InspectValue, isTree, settle } from './inspect-node.ts';

const INDENT = '  ';

/** The whole tree below a node, without a line feed at its end; '' for an empty tree. */
export function inspectText(node: InspectNode): string {
  const here = settle(node);
  return isTree(here) ? treeLines(here).join('\n') : valueText(here);
}

function valueText(value: InspectValue): string {
  if (value === null) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'bigint') return hexText(value);
  if (typeof value === 'number') return String(value);
  // What a guest wrote must not steer a terminal.
  return value.replaceAll(/[\p{Cc}\p{Cf}]/gu, (c) => `\\u{${(c.codePointAt(0) as number).toString(16)}}`);
}

function treeLines(tree: InspectTree): string[] {
  const children = Object.entries(tree).map(([name, child]) => [name, settle(child)] as const);
  const table = tableOf(children);
  if (table !== undefined) return textColumns(table);
  const width = Math.max(0, ...children.filter(([, child]) => !isTree(child)).map(([name]) => name.length));
  return children.flatMap(([name, child]) => {
    if (!isTree(child)) return [`${name.padEnd(width)}  ${valueText(child)}`.trimEnd()];
    return [`${name}:`, ...treeLines(child).map((line) => `${INDENT}${line}`)];
  });
}

/** Two or more sub-trees that have the same fields, all of them plain values: a row of names, then a row for each. */
function tableOf(children: readonly (readonly [string, InspectValue | InspectTree])[]): string[][] | undefined {
  const first = children[0]?.[1];
  if (children.length < 2 || first === undefined || !isTree(first)) return undefined;
  const names = Object.keys(first);
  const rows: string[][] = [['', ...names]];
  for (const [name, child] of children) {
    if (!isTree(child) || Object.keys(child).join('/') !== names.join('/')) return undefined;
    const values = Object.values(child).map(settle);
    if (values.length === 0 || values.some(isTree)) return undefined;
    rows.push([name, ...values.map((value) => valueText(value as InspectValue))]);
  }
  return rows;
}
