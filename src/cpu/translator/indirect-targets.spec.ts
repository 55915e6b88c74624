import { expect, it } from 'vitest';
import { IndirectTargets } from './indirect-targets.ts';

const WORD = 0x1000;

it('says when it has seen enough, and after eight times as many again', () => {
  const targets = new IndirectTargets();
  const enough = Array.from({ length: 1000 }, (_, i) => (targets.count(WORD, 5) ? i + 1 : 0)).filter((i) => i > 0);
  expect(enough).toEqual([48, 384]);
});

it('has the most frequent first, without those that are rare', () => {
  const targets = new IndirectTargets();
  for (let i = 0; i < 100; i++) targets.count(WORD, i % 3 === 0 ? 7 : -9);
  targets.count(WORD, 1);
  expect(targets.of(WORD)).toEqual([-9, 7]);
});

it('forgets jumps by the addresses of their words', () => {
  const targets = new IndirectTargets();
  targets.count(WORD, 5);
  targets.count(WORD + 4, 6);
  targets.drop(WORD + 4, WORD + 8);
  expect([targets.of(WORD), targets.of(WORD + 4)]).toEqual([[5], []]);
});
