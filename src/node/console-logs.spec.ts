import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConsoleLogs } from './console-logs.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-logs-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it.each([
  ['web.console.log', 'web.console-2.log'],
  ['log', 'log-2'],
])('keeps the consoles apart: %s and %s', (first, second) => {
  {
    using logs = new ConsoleLogs(join(directory, first));
    logs.write(Buffer.from('a'), 0);
    logs.write(Buffer.from('b'), 2);
    logs.write(Buffer.from('c'), 2);
  }
  expect(readdirSync(directory).sort()).toEqual([first, second].sort());
  expect(readFileSync(join(directory, second), 'utf8')).toBe('bc');
});
