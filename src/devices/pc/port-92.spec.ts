// IBM PS/2 Hardware Interface Technical Reference, "System Control Port A".
import { expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { Port92 } from './port-92.ts';

function make() {
  let resets = 0;
  const chip = new Port92(() => resets++);
  return { chip, resets: () => resets };
}

it('remembers A20, and resets when bit 0 rises', () => {
  const { chip, resets } = make();
  expect(chip.ports.read(0, 1)).toBe(2);
  chip.ports.write(0, 1, 0);
  expect([chip.ports.read(0, 1), resets()]).toEqual([0, 0]);
  chip.ports.write(0, 1, 3);
  chip.ports.write(0, 1, 3);
  expect([chip.ports.read(0, 1), resets()]).toEqual([3, 1]);
  chip.ports.write(0, 1, 2);
  chip.ports.write(0, 1, 3);
  expect(resets()).toBe(2);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made, ranges: [{ handler: made.chip.ports, size: 1 }] };
    },
    ({ chip, resets }) => {
      chip.reset();
      const before = resets();
      chip.ports.write(0, 1, 1);
      expect(resets()).toBe(before + 1);
    },
  );
});
