// Checks the import directions of ARCHITECTURE.md: an import may point at its own folder or at a lower layer, and only
// some folders may see a host's own interfaces. Prints each violation; exit code 1 if there is any.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path/posix';

/** Lowest first. Folders on one line do not import each other. */
export const LAYERS = [
  ['abi', 'util'],
  ['trace', 'time', 'memory', 'vcpu', 'io'],
  ['wasm', 'image', 'net'],
  ['cpu', 'kvm', 'devices', 'host'],
  ['xen'],
  ['backends'],
  ['machine'],
  ['control'],
  ['node'],
  ['cli', 'web', 'testing'],
];
const HOSTS = { node: /^node:|^koffi$|^ws$/, dom: /^@xterm\/|^uplot$/ };
const MAY_USE = { cli: 'node', kvm: 'node', host: 'node', node: 'node', web: 'dom' };

const rank = new Map(LAYERS.flatMap((row, i) => row.map((name) => [name, i])));

/** Violations in the tree below `root`, one line each. Specs and fixtures may import what they like. */
export function checkLayers(root) {
  const problems = [];
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const file = normalize(join(entry.parentPath ?? entry.path, entry.name)).slice(normalize(root).length + 1);
    if (!file.endsWith('.ts') || file.endsWith('.spec.ts') || file.includes('/fixtures/')) continue;
    const [from] = file.split('/');
    if (!file.includes('/')) continue; // the curated entry points see everything
    if (!rank.has(from)) problems.push(`${file}: the folder '${from}' is in no layer`);
    for (const [, target] of readFileSync(join(root, file), 'utf8').matchAll(/(?:\bfrom |\bimport\()'([^']+)'/g)) {
      if (!target.startsWith('.')) {
        for (const [host, pattern] of Object.entries(HOSTS)) {
          if (pattern.test(target) && MAY_USE[from] !== host) problems.push(`${file}: '${target}' belongs to ${host}`);
        }
        continue;
      }
      const [to] = normalize(join(dirname(file), target)).split('/');
      const [a, b] = [rank.get(from), rank.get(to)];
      if (to !== from && a !== undefined && (b === undefined || b >= a)) problems.push(`${file}: ${from} must not import ${to}`);
    }
  }
  return problems;
}

if (process.argv[1]?.endsWith('check-layers.js')) {
  const problems = checkLayers('src');
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
