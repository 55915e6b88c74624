// What the package exports, with the first sentence of each doc comment: docs/library.md.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface ExportedName {
  readonly name: string;
  /** class, function, interface, type or const. */
  readonly kind: string;
  /** Its doc comment as one line; undefined when it has none. */
  readonly doc: string | undefined;
  readonly file: string;
}

/** The names that an entry point hands on from other files, in its order. @param entry its path, such as "src/index.ts" */
export function exportedNames(entry: string): ExportedName[] {
  const lists = readFileSync(entry, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm);
  return [...lists].flatMap(([, names = '', from = '']) =>
    names
      .split(',')
      .map((name) => name.replace(/^\s*(?:type )?/, '').trim())
      .filter((name) => name !== '')
      .map((name) => describeName(name, join(dirname(entry), from))),
  );
}

/** Follows a name to where it is declared. */
function describeName(name: string, file: string): ExportedName {
  const source = readFileSync(file, 'utf8');
  const declaration = new RegExp(
    `(?:/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\n)?^export (?:declare |abstract |async )*(class|function|interface|type|const) ${name}\\b`,
    'm',
  ).exec(source);
  if (declaration !== null) {
    const [, comment, kind = ''] = declaration;
    const doc = comment
      ?.replaceAll(/^\s*\*\s?/gm, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
    return { name, kind, doc, file };
  }
  const onwards = new RegExp(`export (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from '([^']+)'`).exec(source)?.[1];
  if (onwards === undefined) throw new Error(`${file} does not export ${name}`);
  return describeName(name, join(dirname(file), onwards));
}

/** Up to the first full stop, without lists and what is for compilers. */
const sentence = (doc: string): string => {
  const prose = doc.replace(/(?:^| )(?:@(?:throws|param|returns)|- ).*/, '').replaceAll(/\{@link ([\w.]+)\}/g, '`$1`');
  return (/^.*?[^.]\.(?= |$)/.exec(prose)?.[0] ?? prose).replace(/:$/, '.');
};

/** The document. */
export function libraryReference(): string {
  const section = (title: string, entry: string): string[] => [
    `## ${title}`,
    '',
    '| name | what it is |',
    '|---|---|',
    ...[...exportedNames(entry)]
      .sort((a, b) => a.name.localeCompare(b.name, 'en'))
      .map(({ name, kind, doc }) => `| \`${name}\` (${kind}) | ${sentence(doc ?? '').replaceAll('|', '\\|')} |`),
    '',
  ];
  return [
    '# What the package exports',
    '',
    'Written by `npm run docs:calls` from the doc comments, which say more: units, ranges, defaults, errors. What is promised of it',
    'is told in [design/0004](design/0004-the-library.md), and how it is used in [examples/](examples/).',
    '',
    ...section('dom1', 'src/index.ts'),
    ...section('dom1/testing', 'src/testing/index.ts'),
  ].join('\n');
}
