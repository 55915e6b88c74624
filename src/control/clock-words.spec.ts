import { expect, it } from 'vitest';
import { clockOfWords } from './clock-words.ts';

it.each([
  ['real', { kind: 'real' }],
  ['virtual', { kind: 'virtual' }],
  ['virtual:2026-01-01T00:00:00Z', { kind: 'virtual', epochMs: 1_767_225_600_000 }],
  ['virtual:1970-01-01T00:00:00.25Z', { kind: 'virtual', epochMs: 250 }],
  ['virtual:2024-02-29T23:59:59Z', { kind: 'virtual', epochMs: 1_709_251_199_000 }],
])('%s is a clock', (words, clock) => {
  expect(clockOfWords(words)).toEqual(clock);
});

it.each([
  '',
  'wall',
  'Virtual',
  'real:2026-01-01T00:00:00Z',
  'virtual:',
  'virtual:2026-01-01',
  'virtual:2026-01-01T00:00:00',
  'virtual:2026-02-29T00:00:00Z',
  'virtual:2026-13-01T00:00:00Z',
  'virtual:1969-12-31T23:59:59Z',
  'virtual:2106-02-07T06:28:16Z',
])('%j is none', (words) => {
  expect(clockOfWords(words)).toBeUndefined();
});
