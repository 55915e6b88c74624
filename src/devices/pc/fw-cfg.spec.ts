import { expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { FwCfg } from './fw-cfg.ts';

const FILES = new Map([
  ['opt/b', Uint8Array.of(1, 2, 3)],
  ['bootorder', new TextEncoder().encode('/rom@x\n')],
]);

const take = (chip: FwCfg, key: number, count: number): number[] => {
  chip.write(0, 2, key);
  return Array.from({ length: count }, () => chip.read(1, 1));
};
const text = (bytes: readonly number[]) => String.fromCharCode(...bytes);

it('has a signature and no DMA', () => {
  const chip = new FwCfg(FILES);
  expect(text(take(chip, 0, 5))).toBe('QEMU\0');
  expect(take(chip, 1, 4)).toEqual([1, 0, 0, 0]);
});

it('lists its files, whose contents end in zeroes', () => {
  const chip = new FwCfg(FILES);
  const list = take(chip, 0x19, 4 + 2 * 64);
  expect(list.slice(0, 4)).toEqual([0, 0, 0, 2]);
  expect([list.slice(4, 12), text(list.slice(12, 22))]).toEqual([[0, 0, 0, 7, 0, 0x20, 0, 0], 'bootorder\0']);
  expect(take(chip, 0x21, 5)).toEqual([1, 2, 3, 0, 0]);
  expect(take(chip, 0x7777, 2)).toEqual([0, 0]);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const chip = new FwCfg(FILES);
      return { chip, ranges: [{ handler: chip, size: 2 }] };
    },
    (chip) => expect(text(take(chip, 0, 4))).toBe('QEMU'),
  );
});
