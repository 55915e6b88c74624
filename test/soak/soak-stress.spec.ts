import { describe, expect, it } from 'vitest';
import { STRESS_CLASSES, stressCommands } from '../../bench/soak-stress.ts';

describe('the turns of stress-ng', () => {
  const turns = stressCommands(60, 10).filter((line) => line.startsWith('turn ') && !line.endsWith('{'));

  it('have each class once before any has its second, and all together then', () => {
    expect(turns.slice(0, STRESS_CLASSES.length + 1).map((turn) => turn.split(' ')[1])).toEqual([...STRESS_CLASSES, 'all-five']);
    expect(turns[STRESS_CLASSES.length]).toContain(
      '--cpu 1 --cpu-method all --vm 1 --vm-method all --vm-bytes 128M --fork 1 --switch 1',
    );
  });

  it('are each of another name', () => {
    const names = turns.map((turn) => turn.split(' ')[1]);
    expect(new Set(names).size).toBe(names.length);
  });
});
