// Paths of nodes: what is valid, and who is whose parent. tools/xenstored/core.c: canonicalize, get_parent.

const VALID = /^[A-Za-z0-9\-/_@]+$/;
const OWN_DIRECTORY = /^\/local\/domain\/[-+]?[0-9]{1,5}\//;

export const domainPath = (domid: number): string => `/local/domain/${domid}`;

export interface PathRules {
  /** Where relative paths begin: the caller's own directory. */
  readonly home: string;
  /** Longest path, without the `/local/domain/N/` it may begin with; Infinity for the privileged. */
  readonly maxLength: number;
  /** Whether `@introduceDomain` and the like are allowed here. */
  readonly special: boolean;
}

/** The absolute form of a path, or undefined when it is not valid. */
export function canonicalPath(path: string, rules: PathRules): string | undefined {
  if (!VALID.test(path) || (path.startsWith('@') && !rules.special)) return undefined;
  const absolute = path.startsWith('/') || path.startsWith('@') ? path : `${rules.home}/${path}`;
  if (absolute.includes('//') || (absolute.endsWith('/') && absolute !== '/')) return undefined;
  const prefix = OWN_DIRECTORY.exec(absolute)?.[0].length ?? 0;
  return absolute.length - prefix > rules.maxLength ? undefined : absolute;
}

/** The path of the directory that holds the node; the root's, and a special node's, is the root. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash > 0 ? path.slice(0, slash) : '/';
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

export const childPath = (parent: string, name: string): string => (parent === '/' ? `/${name}` : `${parent}/${name}`);

/** Whether `path` is `ancestor` or lies below it. */
export const isBelow = (path: string, ancestor: string): boolean =>
  ancestor === '/' || path === ancestor || (path.startsWith(ancestor) && path[ancestor.length] === '/');
