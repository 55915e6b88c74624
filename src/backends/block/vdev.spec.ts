import fc from 'fast-check';
import { expect, it } from 'vitest';
import { vdevName, vdevNumber } from './vdev.ts';

it.each([
  ['xvda', 51712],
  ['xvda1', 51713],
  ['xvdb', 51728],
  ['xvdp15', 51967],
  ['xvda16', 0x1000_0010],
  ['xvdq', 0x1000_1000],
  ['xvdaa', 0x1000_1a00],
  ['hda', 768],
  ['hdb1', 833],
  ['hdc', 5632],
  ['hdd', 5696],
  ['sda', 2048],
  ['sdb3', 2067],
  ['d0', 51712],
  ['d1p2', 51730],
  ['51712', 51712],
  ['0xca00', 51712],
])('%s is %i', (name, number) => {
  expect(vdevNumber(name)).toBe(number);
});

it.each([
  '',
  'xvd',
  'xvdA',
  'xvda0',
  'xvda256',
  'hde',
  'hda64',
  'sdq',
  'sda16',
  'vda',
  'xvdzzzzz',
  'd',
  'dp1',
  'd0p256',
  '-1',
  'xvda1x',
  '99999999999',
])('%j is no disk', (name) => {
  expect(vdevNumber(name)).toBeUndefined();
});

it('names are what Linux calls the disks', () => {
  for (const name of ['xvda', 'xvdp15', 'xvda16', 'xvdzz', 'hda', 'hdd7', 'sdp15'])
    expect(vdevName(vdevNumber(name) as number)).toBe(name);
  expect([0, 1, 51711, 52000, 3 * 256 + 200, 2 ** 29].map(vdevName)).toEqual(Array(6).fill(undefined));
});

it('every disk has one number', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: (1 << 20) - 1 }), fc.integer({ min: 0, max: 255 }), (disk, partition) => {
      const number = vdevNumber(`d${disk}p${partition}`) as number;
      expect(vdevNumber(vdevName(number) as string)).toBe(number);
    }),
  );
});
