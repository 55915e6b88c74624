// The list of everything a guest can call: docs/xen-calls.md is made of it, and the spec beside it holds it against the code.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HVM_PARAM } from '../../src/abi/xen/hvm.ts';
import { HYPERVISOR } from '../../src/abi/xen/hypercall.ts';
import { type CallName, GROUPS, PLAIN, REFUSED } from '../../src/xen/calls/call-list.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SPEC_FOLDERS = ['test/guests', 'test/guest', 'src/xen'];

interface SpecFile {
  readonly path: string;
  readonly text: string;
}

export function specFiles(): SpecFile[] {
  return SPEC_FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.spec.ts') || (folder === 'test/guests' && name.endsWith('.ts')))
      .filter((name) => name !== 'xen-numbers.ts')
      .map((name) => ({ path: join(folder, name), text: readFileSync(join(ROOT, folder, name), 'utf8') })),
  ).sort((a, b) => a.path.localeCompare(b.path));
}

/** The files that mention an operation; guests' specs first. */
export function testsOf(mention: RegExp, files: readonly SpecFile[]): string[] {
  const found = files.filter(({ text }) => mention.test(text)).map(({ path }) => path);
  const guests = found.filter((path) => path.startsWith('test/'));
  return [...guests, ...found.filter((path) => !path.startsWith('test/'))];
}

const code = (text: string): string => `\`${text}\``;
const answer = (key: string): string => (REFUSED[key] === undefined ? 'served' : `refused: -${REFUSED[key]}`);
/** Test files as the document names them: the folder is said once. */
const list = (paths: readonly string[]): string => paths.map(code).join(', ') || 'none';

/** How specs mention a sub-operation: `EVTCHNOP.send`. */
export const mentionOf = (prefix: string, op: string): RegExp =>
  new RegExp(`\\b${prefix === 'VMASST' ? 'VMASST_CMD|vm_assist' : prefix}(?:\\.${op}\\b${prefix === 'VMASST' ? '|\\b' : ''})`);

export function renderCalls(files: readonly SpecFile[] = specFiles()): string {
  const lines = [
    '# What a guest can call',
    '',
    'Made by `npm run docs:calls` from the code: every hypercall of Xen 4.20, every sub-operation, whether it is served or with which',
    'errno an unprivileged HVM domain is refused, and the tests that make the call. "Served" means that it does what it does in Xen,',
    'and fails as it fails there. `test/guests/` are guests of our own, in 64-bit mode and in 32-bit mode with PAE, that check each',
    'result from inside.',
    '',
  ];
  const absent: string[] = [];
  for (const [name, nr] of Object.entries(HYPERVISOR) as [CallName, number][]) {
    const group = GROUPS[name];
    if (group === undefined && !PLAIN.has(name)) {
      if (REFUSED[name] === undefined) absent.push(`${name} (${nr})`);
      continue;
    }
    lines.push(`## ${nr}: ${name}`, '');
    if (group === undefined) {
      lines.push(`Served. Tests: ${list(testsOf(new RegExp(`\\b${name}\\b`), files))}.`, '');
      continue;
    }
    lines.push('| operation | number | answer | tests |', '|---|---:|---|---|');
    for (const [op, number] of Object.entries(group.ops)) {
      const key = `${group.prefix}.${op}`;
      lines.push(`| ${code(op)} | ${number} | ${answer(key)} | ${list(testsOf(mentionOf(group.prefix, op), files))} |`);
    }
    lines.push('');
  }
  const refused = Object.entries(REFUSED).filter(([key]) => !key.includes('.'));
  lines.push('## The others', '');
  lines.push('| hypercall | answer |', '|---|---|', ...refused.map(([key, errno]) => `| ${code(key)} | -${errno} |`), '');
  lines.push(`Of PV guests, or not in this build of Xen: -ENOSYS. ${absent.map(code).join(', ')}.`, '');
  lines.push('## HVM parameters', '');
  lines.push(
    '`HVMOP_set_param` and `HVMOP_get_param`, row by row in `test/guests/hvm-op.spec.ts` and `src/xen/calls/hvm-op.spec.ts`:',
    '',
  );
  lines.push(
    `${Object.entries(HVM_PARAM)
      .map(([name, index]) => `${index} ${code(name)}`)
      .join(', ')}.`,
    '',
  );
  return lines.join('\n');
}
