// Finding a node of the inspection tree by its path, such as /xen/evtchn/3.
import { type InspectNode, type InspectTree, type InspectValue, isTree, settle } from './inspect-node.ts';

/** Children that an error names. */
const NAMED = 20;

/** There is no node at a path. `message` is one line; `parent` is the nearest node that there is, `children` are its names. */
export class InspectPathError extends Error {
  override readonly name = 'InspectPathError';
  readonly parent: string;
  readonly children: readonly string[];

  constructor(path: string, parent: string, children: readonly string[]) {
    const more = children.length > NAMED ? ` and ${children.length - NAMED} more` : '';
    const has = children.length === 0 ? 'has nothing below it' : `has ${children.slice(0, NAMED).join(', ')}${more}`;
    super(`there is nothing at ${path}; ${parent} ${has}`);
    this.parent = parent;
    this.children = children;
  }
}

/**
 * The node at a path; '' and '/' are the root, and a slash at the end says nothing. Only what lies on the way is built.
 * @throws InspectPathError
 */
export function inspectAt(root: InspectNode, path: string): InspectValue | InspectTree {
  const names = path.split('/').filter((name) => name !== '');
  let here = settle(root);
  for (const [i, name] of names.entries()) {
    const child = isTree(here) && Object.hasOwn(here, name) ? here[name] : undefined;
    if (child === undefined) {
      throw new InspectPathError(`/${names.join('/')}`, `/${names.slice(0, i).join('/')}`, isTree(here) ? Object.keys(here) : []);
    }
    here = settle(child);
  }
  return here;
}
