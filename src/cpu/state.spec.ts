import { expect, it } from 'vitest';
import { STATE } from './state.ts';

it('has each slot at an offset of its own, multiples of their least size', () => {
  const seen = new Map<number, string>();
  const shared: string[] = [];
  for (const [name, at] of Object.entries(STATE)) {
    const other = seen.get(at);
    if (other !== undefined) shared.push(`${other} and ${name}`);
    seen.set(at, name);
    expect(at % 2).toBe(0);
  }
  expect(shared).toEqual([]);
});
