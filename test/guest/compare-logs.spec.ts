import { describe, expect, it } from 'vitest';
import { differences, Explanations, logLines } from './compare-logs.ts';

describe('two logs', () => {
  it('are compared without time stamps and what a terminal adds', () => {
    expect(logLines('[    0.000000] one \r\n\r[   12.345678]  two\n\nthree')).toEqual(['one', ' two', 'three']);
  });

  it('differ in lines that one has more often', () => {
    expect(differences(['a', 'b', 'a'], ['b', 'a', 'c'])).toEqual({ there: ['a'], here: ['c'] });
  });

  it.each<[string, Partial<ConstructorParameters<typeof Explanations>[0][number]>]>([
    ['a line of the wrong side', { here: ['clock at * MHz'] }],
    ['a line that begins as the pattern does', { there: ['clock'] }],
    ['a line that has no pair on the other side', { both: ['clock at * MHz'] }],
    ['a pattern with another character', { there: ['clock.at ? MHz'] }],
  ])('%s stays unexplained', (_, difference) => {
    const explanations = new Explanations([{ what: 'clock', why: 'it is', ...difference }]);
    expect(explanations.unexplained({ there: ['clock at 5 MHz'], here: [] })).toEqual({ there: ['clock at 5 MHz'], here: [] });
    expect(explanations.unused()).toHaveLength(1);
  });

  it('are explained by patterns, each of which is of use', () => {
    const explanations = new Explanations([
      { what: 'clock', both: ['clock at ? MHz (*)'], there: ['late'], sometimes: ['early'], why: 'it is' },
    ]);
    expect(explanations.unused()).toEqual(['late', 'clock at ? MHz (*)']);
    const found = { there: ['clock at 5 MHz (so)', 'late'], here: ['clock at 1 MHz ()'] };
    expect(explanations.unexplained(found)).toEqual({ there: [], here: [] });
    expect(explanations.unused()).toEqual([]);
  });
});
