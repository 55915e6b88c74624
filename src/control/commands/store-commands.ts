// Commands of the monitor on XenStore. Paths that do not begin with a slash are relative to the guest's own directory.
import { childPath, parentPath } from '../../xen/store/path.ts';
import { formatPermission, type Permission, parsePermission } from '../../xen/store/permissions.ts';
import type { StoreClient } from '../../xen/store/store-client.ts';
import { StoreError } from '../../xen/store/store-error.ts';
import type { StoreView } from '../../xen/store/store-view.ts';
import { lookup, type StoreNode } from '../../xen/store/tree.ts';
import type { ArgumentSpec } from '../argument-spec.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import { absoluteStorePath } from '../store-path.ts';
import { type StoreValueJson, storeValueBytes, storeValueJson } from '../store-value.ts';

const PATH = { type: 'string', help: "from the root, or relative to the guest's own directory" } as const satisfies ArgumentSpec;
const TOKEN = {
  type: 'string',
  optional: true,
  help: "comes back in the watch's events; the path by default",
} as const satisfies ArgumentSpec;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such node',
  EINVAL: 'the path or the value is malformed',
  EACCES: 'it may not be accessed',
  EEXIST: 'it exists already',
  ENOSPC: 'a quota is used up',
  E2BIG: 'it is too large',
};

const refusal = ({ code }: StoreError, path: string): ControlError =>
  new ControlError('StoreError', `${path}: ${REASONS[code] ?? 'the store refused'} (${code})`, code);

/** Works on the node at a path. @throws ControlError `StoreError` with the path as it was given */
function onNode<T>({ target }: CommandContext, path: string, work: (store: StoreClient, absolute: string) => T): T {
  try {
    return work(target.xenstore, absoluteStorePath(path, target.id));
  } catch (error) {
    throw error instanceof StoreError ? refusal(error, path) : error;
  }
}

/** What a node must have, or there is no such node. */
function existing<T>(value: T | undefined, path: string): T {
  if (value === undefined) throw new StoreError('ENOENT', 'find', path);
  return value;
}

type StoreEntry = { readonly path: string; readonly permissions: readonly string[] } & StoreValueJson;

const permissionTexts = (permissions: readonly Permission[]): string[] => permissions.map(formatPermission);

/** Everything below a node at one moment, parents first. */
function subTree(node: StoreNode, path = ''): StoreEntry[] {
  return [...node.children].flatMap(([name, child]) => {
    const here = childPath(path, name);
    return [
      { path: here, ...storeValueJson(child.value), permissions: permissionTexts(child.permissions) },
      ...subTree(child, here),
    ];
  });
}

/** @throws ControlError */
function permissionOf(text: string): Permission {
  const permission = parsePermission(text);
  if (permission !== undefined) return permission;
  const shown = JSON.stringify(text.slice(0, 100));
  throw new ControlError('InvalidArgument', `${shown} is no permission; write n, r, w or b and a domid, such as r0`);
}

/**
 * Removes a node as the store does: a missing leaf is no mistake, a missing parent is one. Then parents that are left
 * without value and children, as long as their paths are longer than `top`.
 */
function remove(view: StoreView, path: string, top: number): void {
  if (path !== '/') existing(view.readBytes(parentPath(path)), path);
  view.remove(path);
  for (let up = parentPath(path); up.length > top && up !== '/'; up = parentPath(up)) {
    if (view.readBytes(up)?.length !== 0 || view.list(up)?.length !== 0) break;
    view.remove(up);
  }
}

export const STORE_COMMANDS = [
  controlCommand({
    name: 'xenstore-read',
    help: 'the value of a node: value, or hex where it is not UTF-8',
    arguments: { path: PATH },
    run: (context, { path }) => onNode(context, path, (store, at) => storeValueJson(existing(store.readBytes(at), at))),
  }),
  controlCommand({
    name: 'xenstore-write',
    help: 'set the value of a node; the node and its parents are created where there are none',
    arguments: {
      path: PATH,
      value: { type: 'string', optional: true, help: 'the value as text' },
      hex: { type: 'string', optional: true, help: 'or its bytes, two digits each' },
    },
    run(context, { path, ...value }) {
      const bytes = storeValueBytes(value);
      onNode(context, path, (store, at) => store.write(at, bytes));
    },
  }),
  controlCommand({
    name: 'xenstore-write-all',
    help: 'set the values of several nodes at once, or of none of them',
    arguments: {
      paths: { type: 'strings', help: 'as for xenstore-write' },
      hex: { type: 'strings', help: 'the bytes of each value, two digits a byte' },
    },
    run(context, { paths, hex }) {
      if (paths.length !== hex.length) throw new ControlError('InvalidArgument', 'there must be as many values as paths');
      const { id, xenstore } = context.target;
      const nodes = paths.map((path, i) => ({ path, bytes: storeValueBytes({ hex: hex[i] as string }) }));
      xenstore.transaction((view) => {
        for (const { path, bytes } of nodes) onNode(context, path, () => view.write(absoluteStorePath(path, id), bytes));
      });
    },
  }),
  controlCommand({
    name: 'xenstore-list',
    help: 'the names of the children of a node',
    arguments: { path: PATH },
    run: (context, { path }) => onNode(context, path, (store, at) => existing(store.list(at), at)),
  }),
  controlCommand({
    name: 'xenstore-ls',
    help: 'everything below a node: paths from there, values and permissions',
    arguments: { path: { ...PATH, optional: true, help: 'the root by default' } },
    run: (context, { path = '/' }) =>
      onNode(context, path, (store, at) => {
        // It knows what is wrong with a path that is none.
        existing(store.readBytes(at), at);
        return subTree(existing(lookup(store.store.root, at), at));
      }),
  }),
  controlCommand({
    name: 'xenstore-exists',
    help: 'whether there is a node',
    arguments: { path: PATH },
    run: (context, { path }) => onNode(context, path, (store, at) => store.exists(at)),
  }),
  controlCommand({
    name: 'xenstore-rm',
    help: 'remove a node and everything below it; with tidy also parents that are left empty',
    arguments: { path: PATH, tidy: { type: 'boolean', optional: true, help: 'remove empty parents too' } },
    run: (context, { path, tidy = false }) =>
      onNode(context, path, (store, at) => {
        // Of a relative path only what it names: the guest's own directory stays.
        const top = tidy ? at.length - path.length : Number.POSITIVE_INFINITY;
        store.transaction((view) => remove(view, at, top));
      }),
  }),
  controlCommand({
    name: 'xenstore-permissions',
    help: 'the permissions of a node, the owner first',
    arguments: { path: PATH },
    run: (context, { path }) => onNode(context, path, (store, at) => permissionTexts(store.permissions(at))),
  }),
  controlCommand({
    name: 'xenstore-chmod',
    help: 'set the permissions of a node',
    arguments: { path: PATH, permissions: { type: 'strings', help: 'the owner first, such as ["n0", "r1"]' } },
    run(context, { path, permissions }) {
      const parsed = permissions.map(permissionOf);
      if (parsed.length === 0) throw new ControlError('InvalidArgument', 'xenstore-chmod needs permissions: the owner at least');
      onNode(context, path, (store, at) => {
        existing(store.readBytes(at), at);
        try {
          store.setPermissions(at, parsed);
        } catch (error) {
          // The node is there, so it is the owner that is not.
          if (!(error instanceof StoreError) || error.code !== 'ENOENT') throw error;
          throw new ControlError('StoreError', `${path}: there is no domain ${parsed[0]?.domid} (ENOENT)`, 'ENOENT');
        }
      });
    },
  }),
  controlCommand({
    name: 'xenstore-watch',
    help: 'send XENSTORE_WATCH with path and token soon, and when the node or one below it changes',
    arguments: { path: PATH, token: TOKEN },
    run: (context, { path, token = path }) => onNode(context, path, () => context.watches.add(path, token)),
  }),
  controlCommand({
    name: 'xenstore-unwatch',
    help: 'end a watch of this connection',
    arguments: { path: PATH, token: TOKEN },
    run: (context, { path, token = path }) => context.watches.remove(path, token),
  }),
];
