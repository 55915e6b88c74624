import { expect, it } from 'vitest';
import { formatPermission, parsePermission, permissionList } from './permissions.ts';

it.each([
  ['n0', { domid: 0, access: 0 }],
  ['r7', { domid: 7, access: 1 }],
  ['w7', { domid: 7, access: 2 }],
  ['b32751', { domid: 32751, access: 3 }],
  ['n0x1F', { domid: 31, access: 0 }],
  ['n017', { domid: 15, access: 0 }],
  ['n +5', { domid: 5, access: 0 }],
  ['n-1', { domid: 0xffff_ffff, access: 0 }],
  ['n4294967303', { domid: 7, access: 0 }],
])('%s is a permission', (text, entry) => expect(parsePermission(text)).toEqual(entry));

it.each(['', 'n', 'x1', 'n1x', 'nn', '1', 'n0x', 'n08', 'r 1 '])('%j is not', (text) =>
  expect(parsePermission(text)).toBeUndefined(),
);

it('is written with a letter and the domain', () => {
  expect(permissionList('n0, r1,w2,b3').map(formatPermission).join()).toBe('n0,r1,w2,b3');
  expect(() => permissionList('n0,q')).toThrow(/'q' is no permission/);
});
