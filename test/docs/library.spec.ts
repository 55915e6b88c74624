// Everything that the package exports has a doc comment, and docs/library.md lists it.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { exportedNames, libraryReference } from './library.ts';

const FILE = 'docs/library.md';

describe.each(['src/index.ts', 'src/testing/index.ts'])('each export of %s', (entry) => {
  it('is said in a doc comment to be something', () => {
    const silent = exportedNames(entry).filter(({ doc }) => doc === undefined || /^(@|$)/.test(doc));
    expect(silent.map(({ name, file }) => `${name} (${file})`)).toEqual([]);
  });
});

describe(FILE, () => {
  it('lists what is exported; `npm run docs:calls` writes it', () => {
    const text = libraryReference();
    if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(FILE, text);
    expect(readFileSync(FILE, 'utf8')).toBe(text);
  });
});
