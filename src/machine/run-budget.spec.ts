import { describe, expect, it } from 'vitest';
import { RunBudget } from './run-budget.ts';

describe('the budget of a run', () => {
  it('ends a little before the next timer at the speed of the last run', () => {
    const budget = new RunBudget();
    budget.ran(100_000, 1_000_000);
    expect(budget.before(500_000)).toBe(45_000);
    budget.ran(20_000, 1_000_000);
    expect(budget.before(500_000)).toBe(9_000);
  });
  it('is bounded, also when there is no timer or one is overdue', () => {
    const budget = new RunBudget();
    expect(budget.before(Number.POSITIVE_INFINITY)).toBe(200_000);
    expect(budget.before(-1000)).toBe(2_000);
  });
  it('does not take a short run for a measure', () => {
    const budget = new RunBudget();
    budget.ran(100_000, 1_000_000);
    budget.ran(10, 1_000_000);
    expect(budget.before(500_000)).toBe(45_000);
  });
});
