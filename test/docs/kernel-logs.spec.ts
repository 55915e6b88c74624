import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { renderLogDifferences } from './kernel-logs.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/kernel-logs.md', import.meta.url));

describe('docs/kernel-logs.md', () => {
  it('is up to date', () => {
    const text = renderLogDifferences();
    if (process.env.UPDATE_DOCS !== undefined) writeFileSync(DOCUMENT, text);
    expect(readFileSync(DOCUMENT, 'utf8'), 'run npm run docs:calls').toBe(text);
  });
});
