import { expect, it } from 'vitest';
import { PROFILE_COUNTERS, SECOND_TLB, STATE, TLB, VCPU_BYTES } from './state.ts';

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

it('has its larger areas behind each other', () => {
  const areas = [
    { at: 0, bytes: TLB.at },
    { at: TLB.at, bytes: (TLB.arrays + 1) * TLB.bytes },
    { at: SECOND_TLB.at, bytes: SECOND_TLB.bytes },
    { at: TLB.filledAt, bytes: TLB.mostFilled * 4 },
    { at: TLB.filledGlobalAt, bytes: TLB.mostFilled * 4 },
    { at: PROFILE_COUNTERS.at, bytes: PROFILE_COUNTERS.count * 8 },
    { at: VCPU_BYTES, bytes: 0 },
  ];
  areas.forEach(({ at }, i) => {
    const before = areas[i - 1] ?? { at: 0, bytes: 0 };
    expect(at).toBeGreaterThanOrEqual(before.at + before.bytes);
  });
});
