import { describe, expect, it } from 'vitest';
import { closest, edits } from './closest.ts';

describe('edits', () => {
  it.each([
    ['', 'abc', 3],
    ['run', 'run', 0],
    ['rnu', 'run', 1],
    ['kitten', 'sitting', 3],
  ])('%j to %j: %i', (a, b, count) => {
    expect(edits(a, b)).toBe(count);
    expect(edits(b, a)).toBe(count);
  });
});

describe('closest', () => {
  it('finds what was meant', () => {
    expect(closest('--memroy', ['--memory', '--timeout'])).toBe('--memory');
    expect(closest('de', ['demo', 'run'])).toBe('demo');
  });

  it('finds nothing when nothing is near', () => {
    expect(closest('frobnicate', ['demo', 'run'])).toBeUndefined();
    expect(closest('', ['demo', 'run'])).toBeUndefined();
  });
});
