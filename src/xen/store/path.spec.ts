import { describe, expect, it } from 'vitest';
import { baseName, canonicalPath, childPath, isBelow, parentPath } from './path.ts';

const rules = { home: '/local/domain/7', maxLength: 2048, special: false };
const canonical = (path: string, more: Partial<typeof rules> = {}) => canonicalPath(path, { ...rules, ...more });

describe('a path', () => {
  it.each(['/', '/a', '/a/B-c_9/@d', '/local/domain/0'])('%s is what it says', (path) => expect(canonical(path)).toBe(path));

  it('without a slash in front begins at the caller’s directory', () => {
    expect(canonical('device/vif')).toBe('/local/domain/7/device/vif');
  });

  it.each(['', '//', '/a/', 'a/', '/a//b', 'a//b', '/a b', '/a\0b', '/é', '/a.b', '/a:b', '/a,b'])('%j is not valid', (path) =>
    expect(canonical(path)).toBeUndefined(),
  );

  it('beginning with @ is valid only where special nodes are meant', () => {
    expect(canonical('@releaseDomain')).toBeUndefined();
    expect(canonical('@releaseDomain', { special: true })).toBe('@releaseDomain');
  });

  it('may be 2048 long, and longer below a domain’s directory', () => {
    expect(canonical(`/${'a'.repeat(2047)}`)).toBeDefined();
    expect(canonical(`/${'a'.repeat(2048)}`)).toBeUndefined();
    expect(canonical('a'.repeat(2048))).toBeDefined();
    expect(canonical('a'.repeat(2049))).toBeUndefined();
    expect(canonical(`/local/domain/12345/${'a'.repeat(2048)}`)).toBeDefined();
    expect(canonical(`/local/domain/123456/${'a'.repeat(2040)}`)).toBeUndefined();
    expect(canonical(`/${'a'.repeat(4000)}`, { maxLength: Number.POSITIVE_INFINITY })).toBeDefined();
  });
});

it('parents and names', () => {
  expect(['/a/b', '/a', '/', '@releaseDomain'].map(parentPath)).toEqual(['/a', '/', '/', '/']);
  expect([baseName('/a/b'), childPath('/', 'a'), childPath('/a', 'b')]).toEqual(['b', '/a', '/a/b']);
});

it('is below itself and its ancestors, not beside', () => {
  expect([isBelow('/a/b', '/a'), isBelow('/a', '/a'), isBelow('/a', '/'), isBelow('@x', '/')]).toEqual([true, true, true, true]);
  expect([isBelow('/ab', '/a'), isBelow('/a', '/a/b')]).toEqual([false, false]);
});
