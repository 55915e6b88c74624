import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { RotatingFile } from './rotating-file.ts';

it('keeps the last of what is written in two files of bounded size, over restarts too', () => {
  const directory = mkdtempSync(join(tmpdir(), 'dom1-log-'));
  const path = join(directory, 'a.log');
  {
    using file = new RotatingFile(path, 10);
    file.write('12345\n');
  }
  {
    using file = new RotatingFile(path, 10);
    file.write('abc\n');
    expect(readFileSync(path, 'utf8')).toBe('12345\nabc\n');
    file.write('next\n');
    expect([readFileSync(`${path}.1`, 'utf8'), readFileSync(path, 'utf8')]).toEqual(['12345\nabc\n', 'next\n']);
    for (let i = 0; i < 100; i++) file.write(new TextEncoder().encode(`${i % 10}\n`));
  }
  expect(readdirSync(directory).sort()).toEqual(['a.log', 'a.log.1']);
  expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThanOrEqual(20);
  expect(readFileSync(path, 'utf8')).toMatch(/9\n$/);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  rmSync(directory, { recursive: true });
});
